//! A product as it is indexed: vectors of weighted words, and the vocabulary. Independent of how an index stores them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    product::Product,
    words::{trigram_key, words},
};

/// A longer description is indexed in part. The catalog's limit is the same.
const DESCRIPTION_CHARACTERS_MAX: usize = 10_000;
/// Limits of a `tsvector`: the last position, and positions of one word.
const POSITION_MAX: usize = 16_383;
const POSITIONS_MAX: usize = 250;
/// A shorter word is not corrected and needs no place in the vocabulary.
const TERM_CHARACTERS_MIN: usize = 3;

/// A word of the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    pub word: String,
    /// The word in ASCII.
    pub trigram_key: String,
}

impl Term {
    /// The term of a word.
    pub fn of(word: &str) -> Self {
        Self { word: word.to_owned(), trigram_key: trigram_key(word) }
    }
}

/// A product as it is indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The text of a `tsvector` of the words of name and SKU (weight A), brand, category and supplier (B).
    pub headline: String,
    /// The same with the words of the description (C).
    pub search: String,
    /// Words that a misspelt word may stand for.
    pub terms: BTreeSet<Term>,
}

impl Document {
    pub fn of(product: &Product) -> Self {
        let mut vector = Vector::default();
        vector.add(words(&product.name), 'A');
        vector.add(product.sku.as_deref().map(sku_words).unwrap_or_default(), 'A');
        for label in [&product.brand, &product.category, &product.supplier].into_iter().flatten() {
            vector.add(words(label), 'B');
        }
        let headline = vector.text();
        let description: String = product.description.chars().take(DESCRIPTION_CHARACTERS_MAX).collect();
        vector.add(words(&description), 'C');
        let terms = vector.words.keys().filter(|word| is_term(word)).map(|word| Term::of(word)).collect();
        Self { headline, search: vector.text(), terms }
    }
}

fn is_term(word: &str) -> bool {
    word.chars().count() >= TERM_CHARACTERS_MIN && word.chars().any(char::is_alphabetic)
}

/// The words of a SKU, and the whole of it: `AB-12` is found by `ab12`, too.
fn sku_words(sku: &str) -> Vec<String> {
    let mut parts = words(sku);
    if parts.len() > 1 {
        parts.extend(words(&parts.concat()));
    }
    parts
}

#[derive(Debug, Default)]
struct Vector {
    words: BTreeMap<String, Vec<(usize, char)>>,
    position: usize,
}

impl Vector {
    fn add(&mut self, words: Vec<String>, weight: char) {
        for word in words {
            self.position += 1;
            let positions = self.words.entry(word).or_default();
            if positions.len() < POSITIONS_MAX {
                positions.push((self.position.min(POSITION_MAX), weight));
            }
        }
    }

    /// The words are letters and digits, so that quotes around them suffice.
    fn text(&self) -> String {
        let mut text = String::new();
        for (word, positions) in &self.words {
            let _ = write!(text, "'{word}':");
            for (index, (position, weight)) in positions.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{position}{weight}");
            }
            text.push(' ');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::{Currency, Money, ProductId, SellerId};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn product(description: &str) -> Product {
        Product {
            id: ProductId::new(Uuid::nil()),
            version: 1,
            name: "Oak chair".into(),
            description: description.into(),
            sku: Some("OC-7".into()),
            price: Money { amount: 1, currency: Currency::EUR },
            category: Some("Chairs".into()),
            brand: None,
            supplier: None,
            image_url: None,
            seller: SellerId::HOUSE,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
            stock: 0,
        }
    }

    #[test]
    fn words_have_the_weight_of_their_field() {
        let document = Document::of(&product("A chair of oak."));
        assert_eq!(document.headline, "'7':4A 'chair':2A 'chairs':6B 'oak':1A 'oc':3A 'oc7':5A ");
        assert_eq!(document.search, "'7':4A 'a':7C 'chair':2A,8C 'chairs':6B 'oak':1A,10C 'oc':3A 'oc7':5A 'of':9C ");
        let terms: Vec<_> = document.terms.iter().map(|term| term.word.as_str()).collect();
        assert_eq!(terms, ["chair", "chairs", "oak", "oc7"]);
    }

    #[test]
    fn a_vector_keeps_the_limits_of_its_type_whatever_the_description() {
        let long = Document::of(&product(&"a ".repeat(50_000)));
        assert_eq!(long.search.matches('C').count(), POSITIONS_MAX);
        let many = (0..50_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert!(Document::of(&product(&many)).search.len() < 1 << 20);
    }
}
