//! Corrections of words that the index does not contain: those of its similar words that differ by few letters.

use strsim::osa_distance;

/// Replacements of a word.
const REPLACEMENTS_MAX: usize = 3;

/// A word of a query, compared with the vocabulary of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedWord {
    pub word: String,
    /// Whether a word of the vocabulary begins with it.
    pub is_known: bool,
    /// Words that may be meant, the most similar first; empty for a known word.
    pub similar: Vec<String>,
}

/// Replacements of a word that is likely misspelt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    pub word: String,
    /// Never empty, the most likely first.
    pub replacements: Vec<String>,
}

/// The corrections of the words that are not known and that a word with few other letters is similar to.
pub fn correct(words: Vec<CheckedWord>) -> Vec<Correction> {
    let correction = |checked: CheckedWord| {
        let CheckedWord { word, is_known: _, similar } = checked;
        let most = differences_max(&word);
        let mut near: Vec<(usize, String)> = similar
            .into_iter()
            .map(|other| (osa_distance(&word, &other), other))
            .filter(|(differences, _)| *differences <= most)
            .collect();
        // Stable: the more similar ones stay first.
        near.sort_by_key(|(differences, _)| *differences);
        let nearest = near.first()?.0;
        let replacements = near.into_iter().filter(|(differences, _)| *differences == nearest).map(|(_, other)| other);
        Some(Correction { word, replacements: replacements.take(REPLACEMENTS_MAX).collect() })
    };
    words.into_iter().filter(|checked| !checked.is_known).filter_map(correction).collect()
}

/// Letters that may be wrong, missing, added or exchanged with the next one, by the length of a word.
fn differences_max(word: &str) -> usize {
    match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(word: &str, similar: &[&str]) -> CheckedWord {
        CheckedWord {
            word: word.into(),
            is_known: similar.is_empty(),
            similar: similar.iter().map(ToString::to_string).collect(),
        }
    }

    fn replacements(word: &str, similar: &[&str]) -> Vec<String> {
        correct(vec![checked(word, similar)]).into_iter().flat_map(|correction| correction.replacements).collect()
    }

    #[test]
    fn the_nearest_similar_words_replace_an_unknown_one() {
        assert_eq!(replacements("chiar", &["charm", "chair", "chairs"]), ["chair"]);
        assert_eq!(replacements("headfone", &["headphone", "headline"]), ["headphone", "headline"]);
        assert_eq!(replacements("кресло", &["кресла"]), ["кресла"]);
    }

    #[test]
    fn a_known_a_short_and_a_very_different_word_are_not_corrected() {
        assert_eq!(replacements("chair", &[]), [""; 0]);
        assert_eq!(replacements("tb", &["tv"]), [""; 0]);
        assert_eq!(replacements("table", &["cable", "fable", "gable", "sable"]), ["cable", "fable", "gable"]);
        assert_eq!(replacements("lamp", &["clamps"]), [""; 0]);
    }
}
