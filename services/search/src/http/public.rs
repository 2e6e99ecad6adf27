//! Public routes: searches, completions and rebuilds. Depends on wire types and use cases, not on SQL.

use agora_api::{List, catalog, search as api};
use agora_web::{Json, PageQuery, Problem, Query, Routes, encode_cursor, tagged_json};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode};

use super::wire;
use crate::service::SearchService;

pub(super) fn routes() -> Routes<SearchService> {
    use api::routes::{COMPLETE, PRODUCTS, PROGRESS, REBUILD, SEARCH};
    Routes::new()
        .on(SEARCH, search)
        .on(PRODUCTS, products)
        .on(COMPLETE, complete)
        .on(REBUILD, rebuild)
        .on(PROGRESS, progress)
}

async fn search(
    State(service): State<SearchService>,
    Query(query): Query<api::SearchQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = wire::search(query)?;
    let counted = wanted.facets;
    let found = service.search(&wanted).await?;
    Ok(tagged_json(&headers, &wire::result(found, counted, service.assets())))
}

/// The list of products of the catalog, found by the index.
async fn products(
    State(service): State<SearchService>,
    Query(query): Query<api::SearchedProductsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let api::SearchedProductsQuery { category, q, sort, limit, cursor, offset } = query;
    let counted = offset.is_some();
    let facets = Some("false".to_owned());
    let wanted = api::SearchQuery { q, category, sort, facets, limit, cursor, offset, ..api::SearchQuery::default() };
    let found = service.search(&wire::search(wanted)?).await?;
    let product = |product| wire::product(product, service.assets());
    let list: List<catalog::Product> = List {
        items: found.products.into_iter().map(product).collect(),
        total: found.total.filter(|_| counted),
        next_cursor: found.next.as_ref().map(encode_cursor),
    };
    Ok(tagged_json(&headers, &list))
}

async fn complete(
    State(service): State<SearchService>,
    Query(api::CompleteQuery { q, limit }): Query<api::CompleteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let text = wire::text(&q)?;
    let size = PageQuery { limit, ..PageQuery::default() }.parse()?.size;
    let found = service.complete(&text, size.get()).await?;
    let list = List { items: wire::suggestions(found, size), total: None, next_cursor: None };
    Ok(tagged_json(&headers, &list))
}

async fn rebuild(State(service): State<SearchService>) -> Result<Response, Problem> {
    let progress = service.request_rebuild().await?;
    Ok((StatusCode::ACCEPTED, Json(wire::progress(progress))).into_response())
}

async fn progress(State(service): State<SearchService>) -> Result<Json<api::Progress>, Problem> {
    Ok(Json(wire::progress(service.progress().await?)))
}
