//! Public routes for products and stock. Depends on wire types and use cases, not on SQL.

use agora_api::{List, catalog as api};
use agora_vocab::ProductId;
use agora_web::{
    Command, EntityTags, Identity, Json, PageQuery, Path, Problem, Query, Routes, created, no_content, parse_ids,
    tagged_json,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};

use super::{localized::Client, request, wire};
use crate::service::CatalogService;

pub(super) fn routes() -> Routes<CatalogService> {
    use api::routes::{ADJUST_STOCK, CHANGE, CREATE, DELETE, LIST, READ, STOCK};
    Routes::new()
        .on(LIST, list)
        .on(CREATE, create)
        .on(STOCK, stock)
        .on(READ, one)
        .on(CHANGE, change)
        .on(DELETE, remove)
        .on(ADJUST_STOCK, inventory)
}

async fn list(
    State(catalog): State<CatalogService>,
    Query(query): Query<api::ProductsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let api::ProductsQuery { ids, category, q, sort, expand, limit, cursor, offset, currency } = query;
    let client = Client::of(&headers, currency.as_deref(), &catalog)?;
    let page = if let Some(ids) = ids {
        let others = [&category, &q, &sort, &expand, &limit, &cursor, &offset];
        let ids: Vec<ProductId> = parse_ids(&ids, others.iter().all(|other| other.is_none()))?;
        catalog.list_by_ids(&ids, &client.languages, client.currency).await?
    } else {
        let page = PageQuery { limit, cursor, offset }.parse()?;
        let listing = wire::listing(category.as_deref(), q.as_deref(), sort.as_deref(), expand.as_deref(), page)?;
        catalog.list(&listing, &client.languages, client.currency).await?
    };
    let chosen = client.headers(&page.items);
    Ok((chosen, tagged_json(&headers, &wire::page(page, &client, catalog.assets()))).into_response())
}

async fn one(
    State(catalog): State<CatalogService>,
    Path(id): Path<ProductId>,
    Query(api::CurrencyQuery { currency }): Query<api::CurrencyQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = Client::of(&headers, currency.as_deref(), &catalog)?;
    let mut listed = catalog.get(id).await?;
    let tag = wire::tag_text(&listed, &client.choice(&listed));
    let known = EntityTags::none_match_lists(&headers, &tag);
    let (etag, chosen) = ([(header::ETAG, wire::quoted(&tag))], client.headers(std::slice::from_ref(&listed)));
    if known {
        return Ok((StatusCode::NOT_MODIFIED, etag, chosen).into_response());
    }
    client.localize(&mut listed);
    Ok((etag, chosen, Json(wire::shown(listed, catalog.assets()))).into_response())
}

async fn create(
    State(catalog): State<CatalogService>,
    who: Identity,
    Command { body, idempotency }: Command<api::NewProduct>,
) -> Result<Response, Problem> {
    let image_url = body.image_url.map(|url| catalog.assets().stored(url));
    let (details, units) = wire::new_product(api::NewProduct { image_url, ..body })?;
    let listed = catalog.create(details, units, &request(who.user, idempotency)).await?.into_inner();
    let tag = wire::etag(&listed);
    let mut answer = created(format!("/api/v1/products/{}", listed.product.id), wire::shown(listed, catalog.assets()));
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

async fn change(
    State(catalog): State<CatalogService>,
    Path(id): Path<ProductId>,
    who: Identity,
    headers: HeaderMap,
    Command { body, idempotency }: Command<api::ChangeProduct>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, body.version)?;
    let change = wire::change(wire::with_stored_image(body, catalog.assets()))?;
    let listed = catalog.change(id, &expected, &change, &request(who.user, idempotency)).await?.into_inner();
    Ok(([(header::ETAG, wire::etag(&listed))], Json(wire::shown(listed, catalog.assets()))).into_response())
}

async fn remove(
    State(catalog): State<CatalogService>,
    Path(id): Path<ProductId>,
    who: Identity,
    headers: HeaderMap,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let expected = wire::expected(&headers, None)?;
    catalog.delete(id, &expected, &request(who.user, idempotency)).await?;
    Ok(no_content())
}

async fn inventory(
    State(catalog): State<CatalogService>,
    Path(id): Path<ProductId>,
    who: Identity,
    Command { body, idempotency }: Command<api::SetInventory>,
) -> Result<Response, Problem> {
    let (location, by) = wire::inventory(id, body)?;
    let actor = who.user.to_string();
    let listed = catalog.adjust(&location, by, &actor, &request(who.user, idempotency)).await?.into_inner();
    Ok(([(header::ETAG, wire::etag(&listed))], Json(wire::shown(listed, catalog.assets()))).into_response())
}

async fn stock(
    State(catalog): State<CatalogService>,
    Json(body): Json<api::StockRequest>,
) -> Result<Json<List<api::StockLevel>>, Problem> {
    let found = catalog.many(&wire::product_ids("ids", body.ids)?).await?;
    let level = |listed: crate::domain::Listed| api::StockLevel { product_id: listed.product.id, stock: listed.stock };
    Ok(Json(List { items: found.into_iter().map(level).collect(), total: None, next_cursor: None }))
}
