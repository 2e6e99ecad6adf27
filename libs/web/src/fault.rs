//! What serde says about a value, turned into a field and what would be acceptable there. Knows serde's sentences; it
//! drops the part of them that repeats the value.

use serde_path_to_error::{Path, Segment};

/// The field that serde complains about, and what would be acceptable.
pub(crate) fn explain(path: &Path, message: &str) -> (String, String) {
    let message = message.rsplit_once(" at line ").map_or(message, |(said, _)| said);
    let (below, acceptable) = acceptable(message);
    let place = place(path, below);
    (if place.is_empty() { "body".to_owned() } else { place }, acceptable)
}

/// The field below the path, where the sentence names one, and what would be acceptable.
fn acceptable(message: &str) -> (Option<&str>, String) {
    let named = message.split('`').nth(1);
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    match (message, named, expected) {
        (m, Some(_), _) if m.starts_with("missing field") => (named, "is required".to_owned()),
        (m, Some(_), _) if m.starts_with("unknown field") => (named, "is not known here".to_owned()),
        (m, Some(_), _) if m.starts_with("duplicate field") => (named, "is given twice".to_owned()),
        (m, _, Some(expected)) if m.starts_with("unknown variant") || m.starts_with("invalid ") => {
            (None, format!("must be {}", in_words(expected)))
        }
        _ => (None, message.to_owned()),
    }
}

fn in_words(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        _ if expected.starts_with("struct ") => "an object".to_owned(),
        _ => expected.replace('`', ""),
    }
}

/// `items[0].quantity`
fn place(path: &Path, below: Option<&str>) -> String {
    let mut place = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => place.extend(["[", &index.to_string(), "]"]),
            Segment::Map { key } => name(&mut place, key),
            Segment::Enum { variant } => name(&mut place, variant),
            Segment::Unknown => {}
        }
    }
    if let Some(below) = below.filter(|below| place.rsplit('.').next() != Some(below)) {
        name(&mut place, below);
    }
    place
}

fn name(place: &mut String, part: &str) {
    if !place.is_empty() {
        place.push('.');
    }
    place.push_str(part);
}
