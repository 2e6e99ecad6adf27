//! Public routes for the variants of products. Depends on wire types and use cases, not on SQL.

use agora_api::{CursorQuery, List, catalog as api};
use agora_vocab::{Invalid, Money, ProductId, Variant, VariantId};
use agora_web::{
    Command, Identity, Json, Path, Problem, Query, Routes, created, encode_cursor, etag, no_content, page_after, tagged_json,
};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};

use super::{
    request,
    wire::{self, InvalidFields, nullable},
};
use crate::{
    domain::{Options, Price, ProductVariant, Sku, VariantChange, VariantDetails},
    service::CatalogService,
};

pub(super) fn routes() -> Routes<CatalogService> {
    use api::routes::{CHANGE_VARIANT, CREATE_VARIANT, DELETE_VARIANT, LIST_VARIANTS, READ_VARIANT};
    Routes::new()
        .on(LIST_VARIANTS, list)
        .on(CREATE_VARIANT, create)
        .on(READ_VARIANT, one)
        .on(CHANGE_VARIANT, change)
        .on(DELETE_VARIANT, remove)
}

async fn list(
    State(catalog): State<CatalogService>,
    Path(product): Path<ProductId>,
    Query(query): Query<CursorQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (after, size) = page_after(query)?;
    let page = catalog.variants(product, &Variant::stored(after), size).await?.map(to_wire);
    let list = List { items: page.items, total: None, next_cursor: page.next.as_ref().map(encode_cursor) };
    Ok(tagged_json(&headers, &list))
}

async fn one(
    State(catalog): State<CatalogService>,
    Path((product, id)): Path<(ProductId, VariantId)>,
) -> Result<Response, Problem> {
    Ok(tagged(catalog.variant(product, id).await?))
}

async fn create(
    State(catalog): State<CatalogService>,
    Path(product): Path<ProductId>,
    who: Identity,
    Command { body, idempotency }: Command<api::NewVariant>,
) -> Result<Response, Problem> {
    let (name, details) = parse(body)?;
    let dedup_key = request(who.user, idempotency);
    let variant = catalog.create_variant(product, &name, &details, &dedup_key).await?.into_inner();
    let tag = etag(variant.version);
    let mut answer = created(format!("/api/v1/products/{product}/variants/{}", variant.id), to_wire(variant));
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

async fn change(
    State(catalog): State<CatalogService>,
    Path((product, id)): Path<(ProductId, VariantId)>,
    who: Identity,
    headers: HeaderMap,
    Command { body, idempotency }: Command<api::ChangeVariant>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, body.version)?;
    let change = parse_change(body)?;
    let changed = catalog.change_variant(product, id, &expected, &change, &request(who.user, idempotency)).await?;
    Ok(tagged(changed.into_inner()))
}

async fn remove(
    State(catalog): State<CatalogService>,
    Path((product, id)): Path<(ProductId, VariantId)>,
    who: Identity,
    headers: HeaderMap,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, None)?;
    catalog.delete_variant(product, id, &expected, &request(who.user, idempotency)).await?;
    Ok(no_content())
}

fn tagged(variant: ProductVariant) -> Response {
    ([(header::ETAG, etag(variant.version))], Json(to_wire(variant))).into_response()
}

fn to_wire(variant: ProductVariant) -> api::Variant {
    let price = variant.price();
    let ProductVariant { id, product, version, name, details, product_price: _, stock, created_at, updated_at } =
        variant;
    let VariantDetails { sku, price: own_price, options } = details;
    api::Variant {
        id,
        product_id: product,
        name: name.as_str().to_owned(),
        sku: sku.map(Into::into),
        price,
        own_price: own_price.map(Price::money),
        options: options.into_map(),
        stock,
        version,
        created_at,
        updated_at,
    }
}

fn parse(body: api::NewVariant) -> Result<(Variant, VariantDetails), Problem> {
    let api::NewVariant { name, sku, own_price, options } = body;
    let mut fields = InvalidFields::default();
    let name = fields.take(parse_name(&name));
    let sku = fields.optional(sku.as_deref(), Sku::parse);
    let price = own_price.and_then(|price| fields.take(parse_price(price)));
    let options = fields.take(Options::parse(&options.unwrap_or_default()));
    match (name, options) {
        (Some(name), Some(options)) if fields.is_empty() => Ok((name, VariantDetails { sku, price, options })),
        _ => Err(fields.into_problem()),
    }
}

fn parse_name(name: &str) -> Result<Variant, Invalid> {
    match Variant::parse(name) {
        Ok(name) if name.is_default() => Err(Invalid::new("name", "must not be empty")),
        other => other.map_err(|Invalid { field: _, message }| Invalid { field: "name", message }),
    }
}

fn parse_price(price: Money) -> Result<Price, Invalid> {
    Price::parse(price).map_err(|Invalid { field: _, message }| Invalid { field: "ownPrice.amount", message })
}

/// Parses the change; an error lists every invalid field.
fn parse_change(body: api::ChangeVariant) -> Result<VariantChange, Problem> {
    let api::ChangeVariant { version: _, sku, own_price, options } = body;
    let mut fields = InvalidFields::default();
    let change = VariantChange {
        sku: nullable(&mut fields, sku, |text| Sku::parse(&text)),
        price: nullable(&mut fields, own_price, parse_price),
        options: nullable(&mut fields, options, |options| Options::parse(&options)),
    };
    if fields.is_empty() { Ok(change) } else { Err(fields.into_problem()) }
}
