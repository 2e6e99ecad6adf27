//! Parses the body that changes a product.

use agora_api::catalog::{ChangePrice, ChangeProduct};
use agora_vocab::{AssetBase, Patch};
use agora_web::Problem;

use super::{InvalidFields, nullable};
use crate::{
    domain::{Change, Description, ImageUrl, Label, Name, PriceChange, Prices, Sku},
    http::localized,
};

/// The same change with the picture as it is stored.
pub(crate) fn with_stored_image(body: ChangeProduct, assets: &AssetBase) -> ChangeProduct {
    let image_url = match body.image_url {
        Patch::Set(url) => Patch::Set(assets.stored(url)),
        other => other,
    };
    ChangeProduct { image_url, ..body }
}

/// Parses the change; an error lists every invalid field.
pub(crate) fn change(body: ChangeProduct) -> Result<Change, Problem> {
    let ChangeProduct {
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
    } = body;
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

fn change_price(invalid_fields: &mut InvalidFields, ChangePrice { amount, currency }: ChangePrice) -> PriceChange {
    PriceChange {
        amount: invalid_fields.required("price.amount", amount),
        currency: invalid_fields.required("price.currency", currency),
    }
}
