//! Products in the language and currency of a client: its choice by the request, and translations on the wire. Independent
//! of SQL.

use std::collections::{BTreeMap, BTreeSet};

use agora_api::catalog as api;
use agora_vocab::{Currency, Invalid, Patch};
use agora_web::Problem;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    domain::{Description, Language, Languages, Listed, Name, Price, Translation, TranslationChange, Translations},
    service::CatalogService,
};

/// The headers that an answer depends on.
const VARY: HeaderValue = HeaderValue::from_static("accept-language, x-currency");
const CURRENCY: HeaderName = HeaderName::from_static("x-currency");

/// What a client prefers.
#[derive(Debug)]
pub(super) struct Client {
    pub languages: Languages,
    /// `None`: the products' own.
    pub currency: Option<Currency>,
    /// The language of the products' own names.
    default: Language,
}

impl Client {
    /// Reads the header `Accept-Language`, and the parameter `currency` or the header `X-Currency`. 400 for what is no currency.
    pub(super) fn of(headers: &HeaderMap, currency: Option<&str>, catalog: &CatalogService) -> Result<Self, Problem> {
        let default = catalog.language().clone();
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = || headers.get(CURRENCY).map(|value| value.to_str().unwrap_or_default());
        let currency = currency.or_else(named).map(str::parse).transpose().map_err(|Invalid { field, message }| {
            Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field(field, message)
        })?;
        Ok(Self { languages: Languages::parse(accepted, &default), currency, default })
    }

    fn language<'l>(&'l self, listed: &'l Listed) -> Option<&'l Language> {
        self.languages.choose(&listed.product.details.translations, &self.default)
    }

    /// What distinguishes the client's representation of a product from others of the same version: the end of its entity tag.
    pub(super) fn choice(&self, listed: &Listed) -> String {
        let language = self.language(listed).map(|language| format!(".{}", language.as_str()));
        let currency = self.price(listed).map(|price| format!(".{}", price.money().currency));
        [language, currency].into_iter().flatten().collect()
    }

    /// The price in the client's currency, unless that is the product's own or the product has none in it.
    fn price(&self, listed: &Listed) -> Option<Price> {
        self.currency.and_then(|currency| listed.product.details.prices.get(currency))
    }

    /// The headers of an answer with these products, before they are localized.
    pub(super) fn headers(&self, products: &[Listed]) -> [(HeaderName, HeaderValue); 2] {
        let mut languages: BTreeSet<&str> =
            products.iter().map(|listed| self.language(listed).unwrap_or(&self.default).as_str()).collect();
        if languages.is_empty() {
            languages.insert(self.default.as_str());
        }
        let languages = languages.into_iter().collect::<Vec<_>>().join(", ");
        // Tags are letters, digits and hyphens.
        let languages = HeaderValue::try_from(languages).unwrap_or(HeaderValue::from_static("en"));
        [(header::CONTENT_LANGUAGE, languages), (header::VARY, VARY)]
    }

    /// Replaces a product's name and description by those in the client's language, and its price by that in the client's
    /// currency.
    pub(super) fn localize(&self, listed: &mut Listed) {
        let (chosen, price) = (self.language(listed).cloned(), self.price(listed));
        let details = &mut listed.product.details;
        details.price = price.unwrap_or(details.price);
        if let Some(translation) = chosen.and_then(|language| details.translations.get(&language)) {
            let Translation { name, description } = translation.clone();
            (details.name, details.description) = (name, description);
        }
    }
}

/// The public representation of translations.
pub(super) fn translations(translations: &Translations) -> BTreeMap<String, api::Translation> {
    let to_wire = |(language, Translation { name, description }): (&Language, &Translation)| {
        let translation = api::Translation { name: name.clone().into(), description: description.clone().into() };
        (language.as_str().to_owned(), translation)
    };
    translations.iter().map(to_wire).collect()
}

/// Parses translations by language.
pub(super) fn parse(translations: BTreeMap<String, api::Translation>) -> Result<Translations, Invalid> {
    let mut parsed = BTreeMap::new();
    for (tag, api::Translation { name, description }) in translations {
        let language = Language::parse(&tag)?;
        let translation = Translation {
            name: Name::parse(&name).map_err(|invalid| within(&language, &invalid))?,
            description: Description::parse(&description).map_err(|invalid| within(&language, &invalid))?,
        };
        insert_once(&mut parsed, language, translation)?;
    }
    Translations::parse(parsed)
}

/// Parses changes of translations by language.
pub(super) fn parse_change(
    changes: BTreeMap<String, Patch<api::ChangeTranslation>>,
) -> Result<BTreeMap<Language, Patch<TranslationChange>>, Invalid> {
    let mut parsed = BTreeMap::new();
    for (tag, change) in changes {
        let language = Language::parse(&tag)?;
        let change = match change {
            Patch::Keep => Patch::Keep,
            Patch::Remove => Patch::Remove,
            Patch::Set(change) => Patch::Set(changed(change, &language)?),
        };
        insert_once(&mut parsed, language, change)?;
    }
    Ok(parsed)
}

fn changed(change: api::ChangeTranslation, language: &Language) -> Result<TranslationChange, Invalid> {
    let api::ChangeTranslation { name, description } = change;
    let name = match name {
        Patch::Keep => None,
        Patch::Remove => return Err(Invalid::new("translations", "must each have a name")),
        Patch::Set(name) => Some(Name::parse(&name).map_err(|invalid| within(language, &invalid))?),
    };
    let description = match description {
        Patch::Keep => None,
        Patch::Remove => Some(Description::default()),
        Patch::Set(text) => Some(Description::parse(&text).map_err(|invalid| within(language, &invalid))?),
    };
    Ok(TranslationChange { name, description })
}

/// Names the language of a wrong field.
fn within(language: &Language, Invalid { field, message }: &Invalid) -> Invalid {
    Invalid::new("translations", format!("{}: {field} {message}", language.as_str()))
}

/// Tags that differ by case alone are one language.
fn insert_once<T>(parsed: &mut BTreeMap<Language, T>, language: Language, value: T) -> Result<(), Invalid> {
    match parsed.insert(language, value) {
        None => Ok(()),
        Some(_) => Err(Invalid::new("translations", "must have each language once")),
    }
}
