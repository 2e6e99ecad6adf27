//! Tags of languages: what the catalog accepts and the schema of the resource allows.

/// The pattern of a schema; with [`LANGUAGE_TAG_CHARACTERS_MAX`], it accepts exactly what [`is_language_tag`] accepts.
pub const LANGUAGE_TAG_PATTERN: &str = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$";

/// Most characters of a tag (RFC 5646, 4.4.1).
pub const LANGUAGE_TAG_CHARACTERS_MAX: usize = 35;

/// Whether the text has the form of a BCP 47 tag, like `de` or `zh-Hant-TW`: subtags of 1 to 8 letters and digits, the first of 2
/// to 8 letters. Whether the language exists is not looked at.
pub fn is_language_tag(text: &str) -> bool {
    let mut subtags = text.split('-');
    let first = subtags.next().unwrap_or_default();
    text.len() <= LANGUAGE_TAG_CHARACTERS_MAX
        && (2..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|text| (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::{LANGUAGE_TAG_CHARACTERS_MAX, LANGUAGE_TAG_PATTERN, is_language_tag};

    #[test]
    fn a_schema_accepts_exactly_the_tags_that_the_catalog_accepts() {
        let pattern = regex::Regex::new(LANGUAGE_TAG_PATTERN).unwrap();
        let schema = |text: &str| pattern.is_match(text) && text.chars().count() <= LANGUAGE_TAG_CHARACTERS_MAX;
        let longest = "de-abcdefgh-abcdefgh-abcdefgh-abcde";
        assert_eq!(longest.len(), LANGUAGE_TAG_CHARACTERS_MAX);
        for tag in ["de", "DE", "de-at", "zh-Hant-TW", "es-419", "de-CH-1901", "sl-rozaj-biske-1994", longest] {
            assert_eq!((is_language_tag(tag), schema(tag)), (true, true), "{tag}");
        }
        let longer = format!("{longest}f");
        for text in ["", "d", "1a", "de_AT", "de-", "-de", "de--AT", "de AT", "de\n", "dé", "de-ABCDEFGHI", &longer] {
            assert_eq!((is_language_tag(text), schema(text)), (false, false), "{text:?}");
        }
    }
}
