//! The body that changes a product.

use std::collections::BTreeMap;

use agora_vocab::{AssetBase, Currency, Money, Patch};
use agora_web::Problem;
use serde::{Deserialize, Serialize};

use super::{InvalidFields, nullable};
use crate::{
    domain::{Change, Description, ImageUrl, Label, Name, PriceChange, Prices, Sku},
    http::localized::{self, ChangeTranslation},
};

/// Body of `PATCH /products/{id}`, a JSON merge patch (RFC 7396): absent fields do not change, `null` removes an optional
/// field.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ChangeProduct {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    name: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    description: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    sku: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    price: Patch<ChangePrice>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    category: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    brand: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    supplier: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    image_url: Patch<String>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    translations: Patch<BTreeMap<String, Patch<ChangeTranslation>>>,
    /// Replaces all prices in other currencies.
    #[serde(skip_serializing_if = "Patch::is_keep")]
    prices: Patch<Vec<Money>>,
}

/// A partial price: an absent member keeps its value.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ChangePrice {
    #[serde(skip_serializing_if = "Patch::is_keep")]
    amount: Patch<i64>,
    #[serde(skip_serializing_if = "Patch::is_keep")]
    currency: Patch<Currency>,
}

impl ChangeProduct {
    /// The version that the client has read, if sent.
    pub(crate) fn version(&self) -> Option<i64> {
        self.version
    }

    /// The same change with the picture as it is stored.
    pub(crate) fn with_stored_image(self, assets: &AssetBase) -> Self {
        let image_url = match self.image_url {
            Patch::Set(url) => Patch::Set(assets.stored(url)),
            other => other,
        };
        Self { image_url, ..self }
    }

    /// Parses the change; an error lists every invalid field.
    pub(crate) fn parse(self) -> Result<Change, Problem> {
        let Self {
            version: _,
            name,
            description,
            sku,
            price,
            category,
            brand,
            supplier,
            image_url,
            translations,
            prices,
        } = self;
        let mut invalid_fields = InvalidFields::default();
        // `null` sets the description to the empty string.
        let description = match description {
            Patch::Remove => Patch::Set(String::new()),
            other => other,
        };
        let change = Change {
            name: invalid_fields.required("name", name).and_then(|text| invalid_fields.take(Name::parse(&text))),
            description: invalid_fields
                .required("description", description)
                .and_then(|text| invalid_fields.take(Description::parse(&text))),
            sku: nullable(&mut invalid_fields, sku, |text| Sku::parse(&text)),
            price: invalid_fields.required("price", price).map(|price| change_price(&mut invalid_fields, price)),
            category: nullable(&mut invalid_fields, category, |text| Label::parse("category", &text)),
            brand: nullable(&mut invalid_fields, brand, |text| Label::parse("brand", &text)),
            supplier: nullable(&mut invalid_fields, supplier, |text| Label::parse("supplier", &text)),
            image_url: nullable(&mut invalid_fields, image_url, |text| ImageUrl::parse(&text)),
            translations: nullable(&mut invalid_fields, translations, localized::parse_change),
            prices: nullable(&mut invalid_fields, prices, Prices::parse),
        };
        if invalid_fields.is_empty() { Ok(change) } else { Err(invalid_fields.into_problem()) }
    }
}

fn change_price(invalid_fields: &mut InvalidFields, ChangePrice { amount, currency }: ChangePrice) -> PriceChange {
    PriceChange {
        amount: invalid_fields.required("price.amount", amount),
        currency: invalid_fields.required("price.currency", currency),
    }
}
