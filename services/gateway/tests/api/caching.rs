//! What caches and browsers may keep of answers, and the coding of those that hold no secret.

use std::io::Read as _;

use agora_testkit::TestResponse;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    before,
    upstream::{Call, Upstream},
};

const LIST: &str = "/api/v1/products";
/// As services answer with a list that anybody may read.
const SHARED: HeaderValue = HeaderValue::from_static("public, no-cache");

fn long_list() -> String {
    format!("[{}]", vec![r#"{"name":"Chair"}"#; 200].join(","))
}

fn answered(text: String, kind: &'static str, control: HeaderValue) -> Response {
    let length = text.len().to_string();
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, control)];
    let tag = [(header::ETAG, "\"1.43\"".to_owned()), (header::CONTENT_LENGTH, length)];
    (headers, tag, text).into_response()
}

fn answer(call: &Call) -> Option<Response> {
    let (path, control) = (call.target.as_str(), HeaderValue::from_static("no-store"));
    Some(match path {
        _ if !call.header("authorization").is_empty() => answered(long_list(), "application/json", control),
        LIST | "/api/v1/search" => answered(long_list(), "application/json", SHARED),
        "/api/v1/products/1" => answered("{}".to_owned(), "application/json", SHARED),
        "/api/v1/products/1/image.svg" => answered("<svg/>".repeat(300), "image/svg+xml", SHARED),
        "/api/v1/products/2" => answered("text".repeat(400), "text/html", SHARED),
        "/api/v1/categories" => answered(long_list(), "application/json", control),
        _ => return None,
    })
}

fn decoded(answer: &TestResponse) -> Vec<u8> {
    match answer.header("content-encoding") {
        "gzip" => {
            let mut whole = Vec::new();
            flate2::read::GzDecoder::new(&answer.bytes[..]).read_to_end(&mut whole).unwrap();
            whole
        }
        "zstd" => zstd::bulk::decompress(&answer.bytes, 1 << 20).unwrap(),
        _ => answer.bytes.to_vec(),
    }
}

fn varies_by_coding(answer: &TestResponse) -> bool {
    answer.headers.get_all(header::VARY).iter().any(|value| value == "accept-encoding")
}

#[tokio::test]
async fn gw16_a_long_list_is_encoded_as_the_client_prefers_and_its_tag_becomes_weak() {
    let gateway = before(&Upstream::answering(answer).await);
    for (accepted, coding) in [("gzip, br", "gzip"), ("gzip, zstd", "zstd"), ("br", ""), ("gzip;q=0", "")] {
        for path in [LIST, "/api/v1/products/1/image.svg"] {
            let answer = gateway.app.get(path).header("accept-encoding", accepted).await.expect(200);
            assert_eq!(answer.header("content-encoding"), coding, "{path} {accepted}");
            assert!(varies_by_coding(&answer), "{path} {accepted}");
            assert_eq!(answer.header("etag"), if coding.is_empty() { "\"1.43\"" } else { "W/\"1.43\"" });
            assert_eq!(answer.header("content-length"), answer.bytes.len().to_string());
            let whole = decoded(&answer);
            assert!(if path == LIST { whole == long_list().as_bytes() } else { whole.starts_with(b"<svg/>") });
            assert_eq!(answer.bytes.len() < whole.len(), !coding.is_empty());
        }
    }
}

/// A text that somebody else chooses, beside a secret, must not be compressed with it.
#[tokio::test]
async fn gw16_what_is_small_personal_or_not_for_every_cache_is_sent_as_it_is() {
    let gateway = before(&Upstream::answering(answer).await);
    let get = |path: &str| gateway.app.get(path).header("accept-encoding", "gzip, zstd");
    for request in [
        get("/api/v1/products/1"),
        get("/api/v1/products/2"),
        get("/api/v1/categories"),
        get(LIST).with(&gateway.token()),
        get("/api/v1/orders").with(&gateway.token()),
        gateway.app.request("HEAD".parse().unwrap(), LIST).header("accept-encoding", "gzip"),
    ] {
        let answer = request.await.expect(200);
        assert_eq!((answer.header("content-encoding"), answer.header("etag")), ("", "\"1.43\""));
    }
}

#[tokio::test]
async fn gw16_what_the_gateway_itself_and_errors_say_is_stored_by_no_cache_but_the_greeting() {
    let gateway = before(&Upstream::start().await);
    assert_eq!(gateway.app.get("/").await.expect(200).header("cache-control"), "public, no-cache");
    let personal = gateway.app.get("/").with(&gateway.token()).await.expect(200);
    assert_eq!(personal.header("cache-control"), "no-store");
    for (path, status) in [("/health", 200), ("/nothing", 404), ("/api/v1/cart", 401), ("/api/v1/products/%2e%2e", 404)]
    {
        assert_eq!(gateway.app.get(path).await.expect(status).header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn gw16_the_answer_that_a_client_has_already_is_not_sent_again() {
    let unchanged = |call: &Call| {
        let known = call.header("if-none-match") == "W/\"1.43\"";
        let tag = [(header::ETAG, "\"1.43\""), (header::CACHE_CONTROL, "public, no-cache")];
        known.then(|| (axum::http::StatusCode::NOT_MODIFIED, tag).into_response())
    };
    let gateway = before(&Upstream::answering(unchanged).await);
    let request = gateway.app.get(LIST).header("if-none-match", "W/\"1.43\"").header("accept-encoding", "gzip");
    let answer = request.await.expect(304);
    assert_eq!((answer.bytes.len(), answer.header("etag")), (0, "\"1.43\""));
    assert!(varies_by_coding(&answer), "as of the answer that it stands for");
}
