//! Bodies, queries and headers into the domain and back. Collects every fault of a body before it refuses.

use agora_api::catalog as api;
use agora_vocab::{Currency, Invalid, ProductId, WarehouseId};
use agora_web::{PageRequest, Problem, Start as Asked, decode_cursor};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::domain::{
    Adjustment, Change, Cursor, Description, Details, Expected, Filter, IfMatch, ImageUrl, Label, Listed, Listing,
    Name, Patch, Price, PriceChange, Product, Search, Sku, Sort, Start, StockLocation, Variant,
};

/// A product as everybody sees it.
pub(super) fn product(listed: Listed) -> api::Product {
    let Listed { product, stock } = listed;
    let Product { id, seller, version, details, created_at, updated_at } = product;
    let Details { name, description, sku, price, category, brand, supplier, image_url } = details;
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
        seller_id: seller,
        version,
        created_at,
        updated_at,
    }
}

/// `"<version>.<stock>"`: the stock is shown with the product and changes without a new version.
pub(super) fn etag(listed: &Listed) -> HeaderValue {
    // Digits, signs, a full stop and quotes are always a header value.
    HeaderValue::try_from(format!("\"{}.{}\"", listed.product.version, listed.stock))
        .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` names that tag (RFC 9110, weak comparison).
pub(super) fn matches_any(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|sent| sent == "*" || sent.strip_prefix("W/").unwrap_or(sent).as_bytes() == tag.as_bytes())
}

/// What `If-Match` and the body say about the version seen. A tag may be `"<version>"` or what [`etag`] gave: stock that
/// moved meanwhile does not make a writer's view of the product stale.
pub(super) fn expected(headers: &HeaderMap, version: Option<i64>) -> Result<Expected, Problem> {
    let mut seen = None;
    for list in headers.get_all(header::IF_MATCH) {
        for tag in list.to_str().map_err(|_| unreadable_tag())?.split(',').map(str::trim) {
            seen = Some(match (tag, seen) {
                ("*", _) | (_, Some(IfMatch::Any)) => IfMatch::Any,
                (tag, None) => IfMatch::OneOf(vec![version_of(tag)?]),
                (tag, Some(IfMatch::OneOf(mut versions))) => {
                    versions.push(version_of(tag)?);
                    IfMatch::OneOf(versions)
                }
            });
        }
    }
    Ok(Expected { if_match: seen, version })
}

/// The version in `"<version>"` or `"<version>.<stock>"`.
fn version_of(tag: &str) -> Result<i64, Problem> {
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(unreadable_tag)?;
    let (version, _stock) = inner.split_once('.').unwrap_or((inner, ""));
    version.parse().map_err(|_| unreadable_tag())
}

fn unreadable_tag() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_IF_MATCH").detail("send the product's ETag, or *")
}

/// What to list; the query's own faults are 400, values out of bounds 422.
pub(super) fn listing(
    category: Option<&str>,
    q: Option<&str>,
    sort: Option<&str>,
    page: PageRequest,
) -> Result<Listing, Problem> {
    let bad = |Invalid { field, message }| Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field(field, message);
    let sort = sort.map_or(Ok(Sort::default()), Sort::parse).map_err(bad)?;
    let category = category.map(|name| Label::parse("category", name)).transpose().map_err(bad)?;
    let search = q.map(Search::parse).transpose().map_err(bad)?;
    let start = match page.start {
        Asked::First => Start::First,
        Asked::Offset(offset) => Start::Offset(offset),
        Asked::Cursor(text) => Start::After(decode_cursor::<Cursor>(&text)?.checked(sort).map_err(bad)?),
    };
    Ok(Listing { filter: Filter { category, search }, sort, start, limit: page.size })
}

/// The faults of a body, gathered so that the client sees all of them at once.
#[derive(Debug, Default)]
struct Faults(Vec<Invalid>);

impl Faults {
    /// The value, or `None` and one more fault.
    fn take<T>(&mut self, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.0.push(invalid)).ok()
    }

    /// The value of an optional field.
    fn optional<T>(&mut self, text: Option<&str>, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Option<T> {
        text.and_then(|text| self.take(parse(text)))
    }

    fn refusal(self) -> Problem {
        self.0
            .into_iter()
            .fold(Problem::unacceptable(), |problem, Invalid { field, message }| problem.field(field, message))
    }
}

/// The details of a new product, and its units in the main warehouse.
pub(super) fn new_product(body: api::NewProduct) -> Result<(Details, i64), Problem> {
    let api::NewProduct { name, description, sku, price, stock, category, brand, supplier, image_url } = body;
    let mut faults = Faults::default();
    let name = faults.take(Name::parse(&name));
    let description = faults.take(Description::parse(description.as_deref().unwrap_or_default()));
    let sku = faults.optional(sku.as_deref(), Sku::parse);
    let price = faults.take(Price::parse(price));
    let units = faults.take(opening_stock(stock));
    let category = faults.optional(category.as_deref(), |text| Label::parse("category", text));
    let brand = faults.optional(brand.as_deref(), |text| Label::parse("brand", text));
    let supplier = faults.optional(supplier.as_deref(), |text| Label::parse("supplier", text));
    let image_url = faults.optional(image_url.as_deref(), ImageUrl::parse);
    match (name, description, price, units) {
        (Some(name), Some(description), Some(price), Some(units)) if faults.0.is_empty() => {
            Ok((Details { name, description, sku, price, category, brand, supplier, image_url }, units))
        }
        _ => Err(faults.refusal()),
    }
}

fn opening_stock(units: Option<i64>) -> Result<i64, Invalid> {
    match Adjustment::parse(Some(units.unwrap_or(0)), None) {
        Ok(_) => Ok(units.unwrap_or(0)),
        Err(Invalid { field: _, message }) => Err(Invalid { field: "stock", message }),
    }
}

/// Where and how to adjust stock.
pub(super) fn inventory(product: ProductId, body: api::SetInventory) -> Result<(StockLocation, Adjustment), Problem> {
    let api::SetInventory { quantity, delta, warehouse_id, variant } = body;
    let mut faults = Faults::default();
    let by = faults.take(Adjustment::parse(quantity, delta));
    let variant = faults.take(Variant::parse(variant.as_deref().unwrap_or_default()));
    match (by, variant) {
        (Some(by), Some(variant)) => {
            Ok((StockLocation { product, variant, warehouse: warehouse_id.unwrap_or(WarehouseId::MAIN) }, by))
        }
        _ => Err(faults.refusal()),
    }
}

/// `PATCH /products/{id}`, a merge-patch (RFC 7396): what is absent stays, `null` removes what is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ChangeProduct {
    version: Option<i64>,
    name: Patch<String>,
    description: Patch<String>,
    sku: Patch<String>,
    price: Patch<ChangePrice>,
    category: Patch<String>,
    brand: Patch<String>,
    supplier: Patch<String>,
    image_url: Patch<String>,
}

/// Half of a price keeps the other half.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ChangePrice {
    amount: Patch<i64>,
    currency: Patch<Currency>,
}

impl ChangeProduct {
    /// The version that the writer has seen.
    pub(super) fn version(&self) -> Option<i64> {
        self.version
    }

    /// The change, or every fault.
    pub(super) fn parse(self) -> Result<Change, Problem> {
        let Self { version: _, name, description, sku, price, category, brand, supplier, image_url } = self;
        let mut faults = Faults::default();
        // An empty description is none.
        let description = match description {
            Patch::Remove => Patch::Set(String::new()),
            other => other,
        };
        let change = Change {
            name: needed(&mut faults, "name", name).and_then(|text| faults.take(Name::parse(&text))),
            description: needed(&mut faults, "description", description)
                .and_then(|text| faults.take(Description::parse(&text))),
            sku: removable(&mut faults, sku, Sku::parse),
            price: needed(&mut faults, "price", price).map(|price| change_price(&mut faults, price)),
            category: removable(&mut faults, category, |text| Label::parse("category", text)),
            brand: removable(&mut faults, brand, |text| Label::parse("brand", text)),
            supplier: removable(&mut faults, supplier, |text| Label::parse("supplier", text)),
            image_url: removable(&mut faults, image_url, ImageUrl::parse),
        };
        if faults.0.is_empty() { Ok(change) } else { Err(faults.refusal()) }
    }
}

fn change_price(faults: &mut Faults, ChangePrice { amount, currency }: ChangePrice) -> PriceChange {
    PriceChange { amount: needed(faults, "price.amount", amount), currency: needed(faults, "price.currency", currency) }
}

/// A field that cannot be removed.
fn needed<T>(faults: &mut Faults, field: &'static str, patch: Patch<T>) -> Option<T> {
    match patch {
        Patch::Keep => None,
        Patch::Remove => faults.take(Err(Invalid::new(field, "cannot be removed"))),
        Patch::Set(value) => Some(value),
    }
}

/// A field that can be removed.
fn removable<T>(faults: &mut Faults, patch: Patch<String>, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Patch<T> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Remove => Patch::Remove,
        Patch::Set(text) => faults.take(parse(&text)).map_or(Patch::Keep, Patch::Set),
    }
}
