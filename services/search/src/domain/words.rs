//! Words of a text, in a form in which equal words are equal texts whatever their case, accents and script. Depends on
//! Unicode's tables only, so that indexed and searched words are the same on every server.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// A longer word is cut: no shopper types more, and an index entry has a limit.
const WORD_CHARACTERS_MAX: usize = 40;

/// Splits a text into its words. A word is a run of letters and digits in compatibility decomposition, without case and
/// without the accents of Latin, Greek and Cyrillic letters; apostrophes are left out.
pub fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut length = 0;
    for c in text.nfkd().flat_map(fold) {
        match kind(c) {
            Kind::Part if length < WORD_CHARACTERS_MAX => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
                length += 1;
            }
            Kind::Separator if length > 0 => {
                words.push(String::new());
                length = 0;
            }
            Kind::Part | Kind::Dropped | Kind::Separator => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A key in ASCII of which the trigrams are compared: trigrams of other characters depend on the locale of the server.
/// Another character becomes two of the digits and letters; two characters may become the same.
pub fn trigram_key(word: &str) -> String {
    const BASE: u32 = 36;
    let mut key = String::with_capacity(word.len());
    for c in word.chars() {
        if c.is_ascii() {
            key.push(c);
        } else {
            let code = u32::from(c);
            let digits = [code / BASE % BASE, code % BASE];
            key.extend(digits.into_iter().filter_map(|digit| char::from_digit(digit, BASE)));
        }
    }
    key
}

enum Kind {
    Part,
    Dropped,
    Separator,
}

fn kind(c: char) -> Kind {
    match c {
        '\u{300}'..='\u{36F}' | '\'' | '\u{2019}' | '\u{2BC}' => Kind::Dropped,
        c if c.is_alphanumeric() || is_combining_mark(c) => Kind::Part,
        _ => Kind::Separator,
    }
}

/// The character without case. Letters that decompose into no base letter and accent become the letters that are typed for
/// them.
fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase).flat_map(|c| {
        let letters: &str = match c {
            'ø' => "o",
            'đ' | 'ð' => "d",
            'ł' => "l",
            'ħ' => "h",
            'ŧ' => "t",
            'æ' => "ae",
            'œ' => "oe",
            'þ' => "th",
            _ => "",
        };
        let folded = letters.is_empty().then_some(c);
        letters.chars().chain(folded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_in_other_case_accents_and_composition_are_equal() {
        let cases = [
            ("Café CAFÉ cafe\u{301}", vec!["cafe"; 3]),
            ("Straße STRASSE STRAẞE", vec!["strasse"; 3]),
            ("ΣΊΣΥΦΟΣ Σίσυφος", vec!["σισυφοσ"; 2]),
            ("İstanbul ISTANBUL ıstanbul", vec!["istanbul"; 3]),
            ("Кресло КРЕСЛО", vec!["кресло"; 2]),
            ("Ёлка елка", vec!["елка"; 2]),
            ("smørbrød SMORBROD", vec!["smorbrod"; 2]),
            ("ﬁne ＦＩＮＥ", vec!["fine"; 2]),
            ("children’s children's", vec!["childrens"; 2]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_separated_by_what_is_neither_letter_nor_digit() {
        assert_eq!(words("USB-C (2.0) cable—1m, 50%"), ["usb", "c", "2", "0", "cable", "1m", "50"]);
        assert_eq!(words("हिन्दी किताब"), ["हिन्दी".nfkd().collect::<String>(), "किताब".nfkd().collect()]);
        assert_eq!(words(" \t'!?\u{0}"), [""; 0]);
    }

    #[test]
    fn a_long_word_is_cut() {
        assert_eq!(words(&"a".repeat(5_000)), ["a".repeat(WORD_CHARACTERS_MAX)]);
    }

    #[test]
    fn a_trigram_key_is_ascii_and_differs_where_words_differ() {
        assert_eq!(trigram_key("chair"), "chair");
        let (one, other) = (trigram_key("кресло"), trigram_key("кресла"));
        assert!(one.is_ascii() && one != other && one[..10] == other[..10], "{one} {other}");
    }

    proptest::proptest! {
        #[test]
        fn the_words_of_words_are_the_same_words(text in "[^'\u{2019}\u{2BC}\u{149}]{0,60}") {
            let once = words(&text);
            let again: Vec<String> = once.iter().flat_map(|word| words(word)).collect();
            proptest::prop_assert_eq!(once, again);
        }

        #[test]
        fn a_word_has_letters_and_digits_only(text in "\\PC{0,60}") {
            for word in words(&text) {
                proptest::prop_assert!(word.chars().all(|c| c.is_alphanumeric() || is_combining_mark(c)), "{}", word);
            }
        }
    }
}
