//! The text that a shopper searches for, and the query of the index that is made of it.

use agora_vocab::Invalid;

use super::{spelling::Correction, words::words};

/// Longest search text, in characters.
const TEXT_CHARACTERS_MAX: usize = 100;
/// Words of a search text; further ones are ignored.
const WORDS_MAX: usize = 10;
/// A shorter word is searched as it is: too many words begin with it.
const PREFIX_CHARACTERS_MIN: usize = 3;

/// A search text of 1 to 100 characters, which may have no words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryText(Vec<String>);

impl QueryText {
    /// Accepts 1 to 100 characters on one line.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if !(1..=TEXT_CHARACTERS_MAX).contains(&text.chars().count()) {
            return Err(Invalid::new("q", format!("must be from 1 to {TEXT_CHARACTERS_MAX} characters")));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid::new("q", "must not hold control characters"));
        }
        let mut distinct: Vec<String> = Vec::new();
        for word in words(text) {
            if distinct.len() < WORDS_MAX && !distinct.contains(&word) {
                distinct.push(word);
            }
        }
        Ok(Self(distinct))
    }

    /// The words, each once.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Finds products that have every word, or one that begins with it; instead of a corrected word, one of its replacements.
    pub fn matching(&self, corrections: &[Correction]) -> MatchQuery {
        let replaced = |word: &String| corrections.iter().find(|correction| correction.word == *word);
        let prefix = |word: &String| match replaced(word) {
            Some(correction) => any_of(&correction.replacements),
            None if word.chars().count() >= PREFIX_CHARACTERS_MIN => format!("'{word}':*"),
            None => format!("'{word}'"),
        };
        let whole = |word: &String| match replaced(word) {
            Some(correction) => any_of(&correction.replacements),
            None => format!("'{word}'"),
        };
        MatchQuery { prefixes: all_of(self.0.iter().map(prefix)), whole: all_of(self.0.iter().map(whole)) }
    }

    /// Finds products that have every word; the last one may be the beginning of a word, however short.
    pub fn completing(&self) -> MatchQuery {
        let last = self.0.len().saturating_sub(1);
        let prefix = |(index, word): (usize, &String)| {
            let star = if index == last { ":*" } else { "" };
            format!("'{word}'{star}")
        };
        let whole = |word: &String| format!("'{word}'");
        MatchQuery { prefixes: all_of(self.0.iter().enumerate().map(prefix)), whole: all_of(self.0.iter().map(whole)) }
    }

    /// The text with the best replacement of each corrected word; none if nothing is corrected.
    pub fn corrected(&self, corrections: &[Correction]) -> Option<String> {
        if corrections.is_empty() {
            return None;
        }
        let best = |word: &String| {
            let correction = corrections.iter().find(|correction| correction.word == *word);
            correction.and_then(|correction| correction.replacements.first()).unwrap_or(word).clone()
        };
        Some(self.0.iter().map(best).collect::<Vec<_>>().join(" "))
    }
}

/// The texts of two `tsquery`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchQuery {
    /// What products must have.
    pub prefixes: String,
    /// What products that rank higher have: words as they were typed.
    pub whole: String,
}

fn any_of(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    format!("({})", quoted.join(" | "))
}

fn all_of(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> QueryText {
        QueryText::parse(text).unwrap()
    }

    #[test]
    fn every_word_is_required_and_a_long_one_may_be_a_beginning() {
        let query = text("Oak, TV oak chair").matching(&[]);
        assert_eq!(query.prefixes, "'oak':* & 'tv' & 'chair':*");
        assert_eq!(query.whole, "'oak' & 'tv' & 'chair'");
        assert_eq!(text("oak c").completing().prefixes, "'oak' & 'c':*");
    }

    #[test]
    fn a_corrected_word_is_replaced() {
        let correction = Correction { word: "chiar".into(), replacements: vec!["chair".into(), "char".into()] };
        let (text, corrections) = (text("oak chiar"), [correction]);
        assert_eq!(text.matching(&corrections).prefixes, "'oak':* & ('chair' | 'char')");
        assert_eq!(text.corrected(&corrections).as_deref(), Some("oak chair"));
        assert_eq!(text.corrected(&[]), None);
    }

    #[test]
    fn a_text_of_wrong_length_or_with_control_characters_is_refused_and_one_without_words_is_empty() {
        for wrong in ["", "  ", "a\u{0}b", &"x".repeat(101)] {
            assert_eq!(QueryText::parse(wrong).unwrap_err().field, "q", "{wrong:?}");
        }
        assert_eq!(text("'); --").words(), [""; 0]);
        assert_eq!(text(&"a b c d e f g h i j k l".repeat(4)).words().len(), WORDS_MAX);
    }
}
