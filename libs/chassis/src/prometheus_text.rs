//! The text format of Prometheus as this process writes it, read back into families of samples. Knows no metric.

/// All samples of one metric.
#[derive(Debug, PartialEq)]
pub(crate) struct Family<'a> {
    pub name: &'a str,
    /// "counter", "gauge", "histogram" or "summary".
    pub kind: &'a str,
    pub samples: Vec<Sample<'a>>,
}

/// One line: of a histogram, the name ends with `_bucket`, `_sum` or `_count`.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub name: &'a str,
    pub labels: Vec<(&'a str, String)>,
    pub value: f64,
}

/// The families of a text; a line that is none of them is left out.
pub(crate) fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|declared| declared.split_once(' ')) {
            families.push(Family { name, kind, samples: Vec::new() });
        } else if let (Some(family), Some(sample)) = (families.last_mut(), sample(line)) {
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Option<Sample<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    Some(Sample { name, labels, value: value.trim().parse().ok()? })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        labels.push((name, value));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// The text up to the closing quote, without its escapes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, character) in text.char_indices() {
        match character {
            'n' if escaped => value.push('\n'),
            _ if escaped => value.push(character),
            '\\' => {
                escaped = true;
                continue;
            }
            '"' => return Some((value, text.get(at + 1..)?)),
            _ => value.push(character),
        }
        escaped = false;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Family, Sample, families};

    #[test]
    fn labels_may_hold_braces_quotes_and_line_ends() {
        let text = "# HELP a What it is.\n# TYPE a counter\na{route=\"/x/{id}\",why=\"\\\"b\\\\\\n\"} 3\na 4\n\n\
                    # TYPE b gauge\nb 0.5\nnonsense\n";
        let found = families(text);
        let labels = vec![("route", "/x/{id}".to_owned()), ("why", "\"b\\\n".to_owned())];
        let a = vec![Sample { name: "a", labels, value: 3.0 }, Sample { name: "a", labels: Vec::new(), value: 4.0 }];
        let b = vec![Sample { name: "b", labels: Vec::new(), value: 0.5 }];
        let expected =
            [Family { name: "a", kind: "counter", samples: a }, Family { name: "b", kind: "gauge", samples: b }];
        assert_eq!(found, expected);
    }
}
