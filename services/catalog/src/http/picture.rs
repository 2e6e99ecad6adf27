//! Public route of the pictures of products. Depends on the use cases, not on SQL.

use agora_api::catalog::routes::PICTURE;
use agora_vocab::ProductId;
use agora_web::{EntityTags, Path, Problem, Routes};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::wire;
use crate::{domain::draw, service::CatalogService};

/// Pictures change with a product's name and category, which is seldom.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

pub(super) fn routes() -> Routes<CatalogService> {
    Routes::new().on(PICTURE, picture)
}

async fn picture(
    State(catalog): State<CatalogService>,
    Path(id): Path<ProductId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let product = catalog.get(id).await?.product;
    let tag = product.version.to_string();
    let caching = [(header::ETAG, wire::quoted(&tag)), (header::CACHE_CONTROL, CACHE)];
    if EntityTags::none_match_lists(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"))];
    Ok((caching, kind, draw(&product.details)).into_response())
}
