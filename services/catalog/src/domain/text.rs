//! Validation of text. Pure.

use agora_vocab::Invalid;

/// Parses text of at most `max` characters without control characters other than `allowed`. Trims surrounding
/// whitespace.
pub(super) fn text(field: &'static str, text: &str, max: usize, allowed: &[char]) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > max {
        return Err(Invalid::new(field, format!("must be at most {max} characters")));
    }
    if text.chars().any(|c| c.is_control() && !allowed.contains(&c)) {
        return Err(Invalid::new(field, "must not hold control characters"));
    }
    Ok(text.to_owned())
}

/// Like [`text`], of at least one character and on one line.
pub(super) fn line_of_text(field: &'static str, value: &str, max: usize) -> Result<String, Invalid> {
    let value = text(field, value, max, &[])?;
    if value.is_empty() { Err(Invalid::new(field, format!("must be from 1 to {max} characters"))) } else { Ok(value) }
}
