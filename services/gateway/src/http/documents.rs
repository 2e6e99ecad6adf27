//! The committed documents of the API: OpenAPI of all public routes, AsyncAPI of the topics, and the page that shows the
//! routes. Nothing is computed: `cargo xtask codegen` writes them.

use std::sync::LazyLock;

use agora_api::gateway::routes::{ASYNCAPI, EXPLORER, OPENAPI};
use agora_web::{Routes, page_policy};
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

const API: &str = include_str!("../../../../docs/api/openapi.json");
const TOPICS: &str = include_str!("../../../../docs/api/events.yaml");
const PAGE: &str = include_str!("../../../../docs/api/explorer.html");

/// A document changes with a release.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// The page loads nothing and runs nothing; of styles, it has its own alone.
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| page_policy(PAGE));

pub fn routes() -> Routes {
    Routes::new().on(OPENAPI, openapi).on(ASYNCAPI, asyncapi).on(EXPLORER, explorer)
}

async fn openapi() -> Response {
    document("application/json", API)
}

async fn asyncapi() -> Response {
    document("application/yaml", TOPICS)
}

async fn explorer() -> Response {
    let mut page = document("text/html; charset=utf-8", PAGE);
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY.clone());
    page
}

fn document(kind: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, CACHE)];
    (headers, text).into_response()
}
