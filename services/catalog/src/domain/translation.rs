//! Names and descriptions of products by language, and the choice of one for a client. Pure.

use std::collections::BTreeMap;

use agora_vocab::{Invalid, Patch, is_language_tag};
use serde::{Deserialize, Serialize};

use super::fields::{Description, Name};

/// Most languages of a product, besides the default language.
pub const TRANSLATIONS_MAX: usize = 20;

/// Most languages of a client that are considered.
const RANGES_MAX: usize = 20;

/// A language by its BCP 47 tag, such as `de` or `de-AT`, in its usual case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Language(String);

/// A product's name and description in a language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Translation {
    pub name: Name,
    /// Description; may be empty.
    pub description: Description,
}

/// Translations of a product: at most [`TRANSLATIONS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Translations(BTreeMap<Language, Translation>);

/// A change of translations, by language; languages that are not named do not change.
pub type TranslationsChange = Patch<BTreeMap<Language, Patch<TranslationChange>>>;

/// A change of one translation; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranslationChange {
    pub name: Option<Name>,
    pub description: Option<Description>,
}

/// The languages of a client, the preferred one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Languages(Vec<Language>);

impl Language {
    /// Accepts what [`is_language_tag`] accepts.
    pub fn parse(tag: &str) -> Result<Self, Invalid> {
        if !is_language_tag(tag) {
            return Err(Invalid::new("translations", "must have BCP 47 tags like de or de-AT as names"));
        }
        let cased = |(place, subtag): (usize, &str)| match subtag.len() {
            2 if place > 0 => subtag.to_ascii_uppercase(),
            4 if place > 0 => {
                let (head, tail) = subtag.split_at(1);
                head.to_ascii_uppercase() + &tail.to_ascii_lowercase()
            }
            _ => subtag.to_ascii_lowercase(),
        };
        Ok(Self(tag.split('-').enumerate().map(cased).collect::<Vec<_>>().join("-")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language without script and region: `de` of `de-AT`.
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    pub(crate) const fn stored(tag: String) -> Self {
        Self(tag)
    }

    /// The tags that serve a client of this language, best first: itself, then without its last subtags (RFC 4647, 3.4).
    fn fallbacks(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |tag| tag.rsplit_once('-').map(|(shorter, _)| shorter))
    }

    fn is_variety_of(&self, tag: &str) -> bool {
        self.0.strip_prefix(tag).is_some_and(|rest| rest.starts_with('-'))
    }
}

impl Default for Language {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl std::str::FromStr for Language {
    type Err = Invalid;

    fn from_str(tag: &str) -> Result<Self, Invalid> {
        Self::parse(tag)
    }
}

impl Translations {
    /// Accepts at most [`TRANSLATIONS_MAX`] languages.
    pub fn parse(translations: BTreeMap<Language, Translation>) -> Result<Self, Invalid> {
        if translations.len() > TRANSLATIONS_MAX {
            return Err(Invalid::new("translations", format!("must be at most {TRANSLATIONS_MAX} languages")));
        }
        Ok(Self(translations))
    }

    pub(crate) const fn stored(translations: BTreeMap<Language, Translation>) -> Self {
        Self(translations)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Language, &Translation)> {
        self.0.iter()
    }

    pub fn get(&self, language: &Language) -> Option<&Translation> {
        self.0.get(language)
    }

    /// Applies a change. Rejects a new language without a name, and too many languages.
    pub(super) fn changed(self, change: TranslationsChange) -> Result<Self, Invalid> {
        let changes = match change {
            Patch::Keep => return Ok(self),
            Patch::Remove => return Ok(Self::default()),
            Patch::Set(changes) => changes,
        };
        let mut all = self.0;
        for (language, change) in changes {
            match change {
                Patch::Keep => {}
                Patch::Remove => {
                    all.remove(&language);
                }
                Patch::Set(TranslationChange { name, description }) => {
                    let now = all.remove(&language);
                    let (now_name, now_description) = now.map(|now| (now.name, now.description)).unzip();
                    let name = name.or(now_name).ok_or(Invalid::new("translations", "must each have a name"))?;
                    let description = description.or(now_description).unwrap_or_default();
                    all.insert(language, Translation { name, description });
                }
            }
        }
        Self::parse(all)
    }
}

impl Languages {
    /// Reads the header `Accept-Language` (RFC 9110, 12.5.4). What cannot be read is skipped: no client depends on it.
    pub fn parse(header: &str, default: &Language) -> Self {
        let mut ranges: Vec<(u16, Language)> = Vec::new();
        for range in header.split(',').take(RANGES_MAX) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let language = match tag.trim() {
                "*" => Some(default.clone()),
                tag => Language::parse(tag).ok(),
            };
            if let (Some(language), Some(weight @ 1..)) = (language, parse_weight(weight)) {
                ranges.push((weight, language));
            }
        }
        // Stable: of equal weights, the first one is preferred.
        ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Self(ranges.into_iter().map(|(_, language)| language).collect())
    }

    /// The first subtags of the languages before the default one; none if the client is served by the default language.
    pub fn wanted(&self, default: &Language) -> Vec<String> {
        let wanted = self.0.iter().take_while(|language| !serves(default, language));
        wanted.map(|language| language.primary().to_owned()).collect()
    }

    /// The language of `translations` that serves the client best; `None` if the default language does.
    pub fn choose<'t>(&self, translations: &'t Translations, default: &Language) -> Option<&'t Language> {
        for wanted in &self.0 {
            for tag in wanted.fallbacks() {
                if default.as_str() == tag {
                    return None;
                }
                if let Some(found) = translations.0.keys().find(|language| language.as_str() == tag) {
                    return Some(found);
                }
            }
            let tag = wanted.as_str();
            if default.is_variety_of(tag) {
                return None;
            }
            if let Some(found) = translations.0.keys().find(|language| language.is_variety_of(tag)) {
                return Some(found);
            }
        }
        None
    }
}

/// Whether no translation can serve a client of the language better than the default language.
fn serves(default: &Language, wanted: &Language) -> bool {
    default == wanted
}

/// The weight `q=0.8` in thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let weight: f32 = text.trim().strip_prefix("q=")?.trim().parse().ok()?;
    (0.0..=1.0).contains(&weight).then_some(())?;
    // Steps of a thousandth are all that the header has.
    (0..=1_000_u16).find(|thousandths| f32::from(*thousandths) >= weight * 1_000.0 - 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(tag: &str) -> Language {
        Language::parse(tag).unwrap()
    }

    fn translations(tags: &[&str]) -> Translations {
        let translation = Translation { name: Name::parse("x").unwrap(), description: Description::default() };
        Translations::parse(tags.iter().map(|tag| (language(tag), translation.clone())).collect()).unwrap()
    }

    #[test]
    fn tags_have_their_usual_case_and_what_is_no_tag_is_rejected() {
        for (tag, expected) in [("DE", "de"), ("de-at", "de-AT"), ("ZH-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")] {
            assert_eq!(language(tag).as_str(), expected);
        }
        for wrong in ["", "d", "de_AT", "de-", "-de", "1a", "de-ABCDEFGHI", "de at", &"de-abcdefgh".repeat(4)] {
            assert!(Language::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_language_that_a_client_prefers_is_chosen() {
        let available = translations(&["de", "fr-CA", "pt-BR"]);
        let choose = |header: &str| {
            let default = language("en-GB");
            let languages = Languages::parse(header, &default);
            languages.choose(&available, &default).map(|language| language.as_str().to_owned())
        };
        for (header, expected) in [
            ("de", Some("de")),
            ("de-AT,en", Some("de")),
            ("en;q=0.5, de;q=0.8", Some("de")),
            ("de;q=0, fr", Some("fr-CA")),
            ("pt", Some("pt-BR")),
            ("sv, de;q=0.1", Some("de")),
            ("en, de", None),
            ("en-GB-oed, de", None),
            ("*, de", None),
            ("sv", None),
            ("", None),
            ("de;q=2, ;;, q", None),
        ] {
            assert_eq!(choose(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn languages_after_the_default_one_are_not_wanted() {
        let default = language("en");
        assert_eq!(Languages::parse("de-AT, en, fr", &default).wanted(&default), ["de"]);
        assert_eq!(Languages::parse("en, fr", &default).wanted(&default), Vec::<String>::new());
    }

    #[test]
    fn a_change_keeps_other_languages_and_a_new_one_needs_a_name() {
        let named =
            |name: &str| Patch::Set(TranslationChange { name: Some(Name::parse(name).unwrap()), description: None });
        let change = Patch::Set(BTreeMap::from([(language("de"), Patch::Remove), (language("sv"), named("stol"))]));
        let changed = translations(&["de", "fr"]).changed(change).unwrap();
        assert_eq!(changed.iter().map(|(language, _)| language.as_str()).collect::<Vec<_>>(), ["fr", "sv"]);
        let nameless = Patch::Set(BTreeMap::from([(language("it"), Patch::Set(TranslationChange::default()))]));
        assert_eq!(changed.clone().changed(nameless).unwrap_err().field, "translations");
        assert!(changed.changed(Patch::Remove).unwrap().is_empty());
        let many = (b'a'..=b'u').map(|letter| format!("a{}", char::from(letter)));
        let many: BTreeMap<_, _> = many.map(|tag| (language(&tag), named("x"))).collect();
        assert!(Translations::default().changed(Patch::Set(many)).is_err());
    }
}
