//! Conversion between wire types and the domain. Reports all invalid fields of a body at once. Independent of SQL.

mod change;
mod invalid_fields;
mod tags;

use std::collections::BTreeSet;

use agora_api::{List, catalog as api};
use agora_vocab::{AssetBase, Invalid, ProductId, Variant, WarehouseId};
use agora_web::{PageRequest, Problem, Start as PageStart, decode_cursor, encode_cursor};
use http::StatusCode;

pub(super) use self::{
    change::{change, with_stored_image},
    invalid_fields::{InvalidFields, nullable},
    tags::{etag, expected, quoted, tag_text},
};
use super::localized::{self, Client};
use crate::{
    domain::{
        Adjustment, Cursor, Description, Details, Exported, ExportedLevel, Filter, ImageUrl, Label, Listed, Listing,
        Name, Price, Prices, Product, ProductPage, QuotedVariant, Search, Sku, Sort, Start, StockLocation, Taxonomy,
        Term, Translations,
    },
    service::QuoteResult,
};

/// Length of a page of the export, in bytes, after which it ends.
const EXPORT_BYTES_MAX: usize = 1 << 20;

/// Maximum ids in one request for stock or quotes.
const IDS_MAX: usize = 100;

/// The public representation of a product.
pub(super) fn product(listed: Listed) -> api::Product {
    let Listed { product, stock } = listed;
    let Product { id, seller, version, details, created_at, updated_at } = product;
    let Details { name, description, sku, price, category, brand, supplier, image_url, translations, prices } = details;
    api::Product {
        id,
        name: name.into(),
        description: description.into(),
        sku: sku.map(Into::into),
        price: price.money(),
        stock,
        category: category.map(Into::into),
        brand: brand.map(Into::into),
        supplier: supplier.map(Into::into),
        image_url: image_url.map(Into::into),
        translations: localized::translations(&translations),
        prices: prices.iter().collect(),
        seller_id: seller,
        version,
        created_at,
        updated_at,
    }
}

/// The public representation of a product with the whole address of its picture.
pub(super) fn shown(listed: Listed, assets: &AssetBase) -> api::Product {
    let product = product(listed);
    api::Product { image_url: product.image_url.map(|url| assets.resolve(url)), ..product }
}

/// The public representation of a category, brand, supplier or location.
pub(super) fn term(term: Term) -> api::Term {
    let Term { id, taxonomy: _, version, name, created_at, updated_at } = term;
    api::Term { id, name: name.into(), version, created_at, updated_at }
}

/// A page of products for a client, each with its terms if they were requested.
pub(super) fn page(page: ProductPage, client: &Client, assets: &AssetBase) -> List<api::ListedProduct> {
    let ProductPage { items, total, next, mut terms } = page;
    let listed = |mut item: Listed| {
        client.localize(&mut item);
        item.product.details.translations = Translations::default();
        item.product.details.prices = Prices::default();
        let expanded = terms.remove(&item.product.id).map(|terms| {
            let mut expanded = api::Expanded::default();
            for named in terms {
                let member = match named.taxonomy {
                    Taxonomy::Category => &mut expanded.category,
                    Taxonomy::Brand => &mut expanded.brand,
                    Taxonomy::Supplier => &mut expanded.supplier,
                    Taxonomy::Location => continue,
                };
                *member = Some(term(named));
            }
            expanded
        });
        api::ListedProduct { product: shown(item, assets), expanded }
    };
    List { items: items.into_iter().map(listed).collect(), total, next_cursor: next.as_ref().map(encode_cursor) }
}

/// The answer to a quote.
pub(super) fn quote(quote: QuoteResult) -> api::Quote {
    let QuoteResult { known, unknown } = quote;
    let variants = known.iter().flat_map(|quoted| {
        let product_id = quoted.listed.product.id;
        quoted.variants.iter().map(move |(variant, QuotedVariant { units, price })| api::VariantStock {
            product_id,
            variant: variant.as_str().to_owned(),
            stock: *units,
            price: price.map(Price::money),
        })
    });
    let variants = variants.collect();
    api::Quote { items: known.into_iter().map(|quoted| product(quoted.listed)).collect(), unknown, variants }
}

/// Lines of the export, up to the first one that makes them longer than [`EXPORT_BYTES_MAX`]: the caller continues after the
/// last one.
pub(super) fn export(products: Vec<Exported>) -> Result<Vec<u8>, Problem> {
    let mut lines = Vec::new();
    for Exported { listed, levels } in products {
        let level = |level: ExportedLevel| api::ExportedStock {
            variant: level.variant.as_str().to_owned(),
            warehouse_id: level.warehouse,
            units: level.units,
            version: level.version,
        };
        let line =
            api::ExportedProduct { product: product(listed), stock_levels: levels.into_iter().map(level).collect() };
        serde_json::to_writer(&mut lines, &line).map_err(Problem::internal)?;
        lines.push(b'\n');
        if lines.len() > EXPORT_BYTES_MAX {
            break;
        }
    }
    Ok(lines)
}

/// Parses a listing request. Malformed query parameters are 400, a page size out of range is 422.
pub(super) fn listing(
    category: Option<&str>,
    q: Option<&str>,
    sort: Option<&str>,
    expand: Option<&str>,
    page: PageRequest,
) -> Result<Listing, Problem> {
    let bad = |Invalid { field, message }| Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field(field, message);
    let sort = sort.map_or(Ok(Sort::default()), Sort::parse).map_err(bad)?;
    let category = category.map(|name| Label::parse("category", name)).transpose().map_err(bad)?;
    let search = q.map(Search::parse).transpose().map_err(bad)?;
    let start = match page.start {
        PageStart::First => Start::First,
        PageStart::Offset(offset) => Start::Offset(offset),
        PageStart::Cursor(text) => Start::After(decode_cursor::<Cursor>(&text)?.checked(sort).map_err(bad)?),
    };
    let expand = expand.map(expanded).transpose().map_err(bad)?.unwrap_or_default();
    Ok(Listing { filter: Filter { category, search }, sort, start, limit: page.size, expand })
}

/// Parses a list of taxonomies of products, separated by commas.
fn expanded(names: &str) -> Result<BTreeSet<Taxonomy>, Invalid> {
    let taxonomy = |name: &str| Taxonomy::parse(name.trim()).filter(|taxonomy| taxonomy.is_of_products());
    let parsed: Option<_> = names.split(',').map(taxonomy).collect();
    parsed.ok_or(Invalid::new("expand", "must be one or more of category, brand, supplier, separated by commas"))
}

/// Removes duplicates. Rejects fewer than 1 or more than 100 ids.
pub(super) fn product_ids(field: &'static str, mut ids: Vec<ProductId>) -> Result<Vec<ProductId>, Problem> {
    if !(1..=IDS_MAX).contains(&ids.len()) {
        return Err(Problem::unprocessable().field(field, format!("must be from 1 to {IDS_MAX} ids")));
    }
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

/// Parses a new product: its details and its units in the main warehouse.
pub(super) fn new_product(body: api::NewProduct) -> Result<(Details, i64), Problem> {
    let api::NewProduct {
        name,
        description,
        sku,
        price,
        stock,
        category,
        brand,
        supplier,
        image_url,
        translations,
        prices,
    } = body;
    let mut invalid_fields = InvalidFields::default();
    let name = invalid_fields.take(Name::parse(&name));
    let description = invalid_fields.take(Description::parse(description.as_deref().unwrap_or_default()));
    let sku = invalid_fields.optional(sku.as_deref(), Sku::parse);
    let price = invalid_fields.take(Price::parse(price));
    let units = invalid_fields.take(opening_stock(stock));
    let category = invalid_fields.optional(category.as_deref(), |text| Label::parse("category", text));
    let brand = invalid_fields.optional(brand.as_deref(), |text| Label::parse("brand", text));
    let supplier = invalid_fields.optional(supplier.as_deref(), |text| Label::parse("supplier", text));
    let image_url = invalid_fields.optional(image_url.as_deref(), ImageUrl::parse);
    let translations = invalid_fields.take(localized::parse(translations.unwrap_or_default())).unwrap_or_default();
    let prices = invalid_fields.take(Prices::parse(prices.unwrap_or_default())).unwrap_or_default();
    if let Some(price) = price {
        invalid_fields.take(prices.check_beside(price));
    }
    match (name, description, price, units) {
        (Some(name), Some(description), Some(price), Some(units)) if invalid_fields.is_empty() => {
            let details =
                Details { name, description, sku, price, category, brand, supplier, image_url, translations, prices };
            Ok((details, units))
        }
        _ => Err(invalid_fields.into_problem()),
    }
}

fn opening_stock(units: Option<i64>) -> Result<i64, Invalid> {
    match Adjustment::parse(Some(units.unwrap_or(0)), None) {
        Ok(_) => Ok(units.unwrap_or(0)),
        Err(Invalid { field: _, message }) => Err(Invalid { field: "stock", message }),
    }
}

/// Parses a stock adjustment and its location; the default location is the main warehouse.
pub(super) fn inventory(product: ProductId, body: api::SetInventory) -> Result<(StockLocation, Adjustment), Problem> {
    let api::SetInventory { quantity, delta, warehouse_id, variant } = body;
    let mut invalid_fields = InvalidFields::default();
    let by = invalid_fields.take(Adjustment::parse(quantity, delta));
    let variant = invalid_fields.take(Variant::parse(variant.as_deref().unwrap_or_default()));
    match (by, variant) {
        (Some(by), Some(variant)) => {
            Ok((StockLocation { product, variant, warehouse: warehouse_id.unwrap_or(WarehouseId::MAIN) }, by))
        }
        _ => Err(invalid_fields.into_problem()),
    }
}
