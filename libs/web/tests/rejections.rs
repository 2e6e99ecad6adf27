//! Every way in which a request can be refused before a handler sees it: status, code and field of each.

use agora_api::{
    Method::{Get, Patch, Post},
    Policy, Route,
};
use agora_testkit::{TestApp, TestResponse};
use agora_vocab::ProductId;
use agora_web::{Command, EntityTags, Json, Path, PortSettings, Problem, Query, Routes, public_stack};
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct NewOrder {
    items: Vec<Item>,
    note: Option<String>,
    kind: Option<Kind>,
    sku: Option<String>,
    address: Option<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Item {
    product_id: ProductId,
    quantity: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Address {
    phone: String,
    city: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Gift,
    Own,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only parsed")]
struct Filter {
    limit: Option<u16>,
    q: Option<String>,
}

fn app() -> TestApp {
    TestApp::new(router())
}

fn router() -> axum::Router {
    let route = |method, path| Route::new(method, path, Policy::Open).with_body_max(4096);
    let routes = Routes::new()
        .on(route(Post, "/orders"), |_: Json<NewOrder>| async { "taken" })
        .on(route(Get, "/products/{id}"), |_: Path<ProductId>| async { "found" })
        .on(route(Get, "/products"), |_: Query<Filter>| async { "listed" })
        .on(
            route(Patch, "/products"),
            |headers: HeaderMap| async move { EntityTags::if_match(&headers).map(|_| "patched") },
        )
        .on(route(Post, "/free"), |_: Command<()>| async { "done" })
        .on(route(Post, "/keyed"), keyed);
    public_stack(routes, PortSettings::default())
}

async fn keyed(command: Command<Option<Value>>) -> Result<String, Problem> {
    let idempotency = command.required()?;
    Ok(format!("{} {} {:02x}", idempotency.key, idempotency.route, idempotency.hash[0]))
}

fn check(answer: &TestResponse, status: u16, code: &str, field: Option<&str>, case: &str) {
    let shown = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status, status, "{case}: {shown}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{case}");
    assert_eq!(answer.body["code"], code, "{case}: {shown}");
    assert_eq!(answer.body["status"], status, "{case}");
    assert_eq!(answer.body["error"], answer.body["title"], "{case}");
    assert_eq!(answer.body["requestId"], answer.header("x-request-id"), "{case}");
    match field {
        Some(field) => assert_eq!(answer.body["details"][0]["field"], field, "{case}: {shown}"),
        None => assert_eq!(answer.body.get("details"), None, "{case}: {shown}"),
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400() {
    for body in ["", "{", "{\"items\": [}", "nonsense", "{\"a\":1} {", "\u{feff}{}", "{'a':1}", "\"\\ud800\""] {
        let answer = app().post("/orders", json!({})).raw(body).await;
        check(&answer, 400, "INVALID_JSON", None, body);
    }
    let not_utf8 = app().post("/orders", json!({})).raw(*b"{\"note\":\"\xff\"}").await;
    check(&not_utf8, 400, "INVALID_JSON", None, "not UTF-8");
    let nested = app().post("/orders", json!({})).raw("[".repeat(2000)).await;
    check(&nested, 400, "INVALID_JSON", None, "nested without end");
}

#[tokio::test]
async fn rs8_a_body_that_parses_but_is_not_acceptable_is_422_and_names_the_field() {
    let id = "0192f0c1-7e5c-7a31-9d51-6f1c2ad4b0aa";
    let cases = [
        (json!({}), "items", "is required"),
        (json!([]), "body", "must be an object"),
        (json!(7), "body", "must be an object"),
        (json!("text"), "body", "must be an object"),
        (json!({"items": {}}), "items", "must be a list"),
        (json!({"items": null}), "items", "must be a list"),
        (json!({"items": [], "role": "admin"}), "role", "is not known here"),
        (json!({"items": [], "address": {"phone": "1"}}), "address.city", "is required"),
        (json!({"items": [], "address": {"phone": "1", "city": "x", "zip": 1}}), "address.zip", "is not known here"),
        (json!({"items": [{"quantity": 1}]}), "items[0].productId", "is required"),
        (
            json!({"items": [{"productId": id, "quantity": -1}]}),
            "items[0].quantity",
            "must be a whole number, not negative",
        ),
        (
            json!({"items": [{"productId": id, "quantity": 1.5}]}),
            "items[0].quantity",
            "must be a whole number, not negative",
        ),
        (
            json!({"items": [{"productId": id, "quantity": "1"}]}),
            "items[0].quantity",
            "must be a whole number, not negative",
        ),
        (
            json!({"items": [{"productId": id, "quantity": 4_294_967_296_u64}]}),
            "items[0].quantity",
            "must be a whole number, not negative",
        ),
        (json!({"items": [], "note": 5}), "note", "must be a string"),
        (json!({"items": [], "kind": "loan"}), "kind", "must be gift or own"),
    ];
    for (body, field, message) in cases {
        let answer = app().post("/orders", body.clone()).await;
        check(&answer, 422, "VALIDATION_FAILED", Some(field), &body.to_string());
        let said = answer.body["details"][0]["message"].as_str().unwrap();
        assert!(said.starts_with(message), "{body}: {said}");
    }
    let twice = app().post("/orders", json!({})).raw("{\"items\":[],\"note\":\"a\",\"note\":\"b\"}").await;
    check(&twice, 422, "VALIDATION_FAILED", Some("note"), "a field given twice");
    let no_id = app().post("/orders", json!({"items": [{"productId": "1 or 1=1", "quantity": 1}]})).await;
    check(&no_id, 422, "VALIDATION_FAILED", Some("items[0].productId"), "no UUID");
}

#[tokio::test]
async fn rs7_no_refusal_repeats_what_was_sent() {
    let bodies = [
        json!({"items": "hunter2secret"}),
        json!({"items": [{"productId": "0192f0c1-7e5c-7a31-9d51-6f1c2ad4b0aa", "quantity": "hunter2secret"}]}),
        json!({"items": [], "kind": "hunter2secret"}),
        json!({"items": [], "note": "4111 1111 1111 1111"}),
        json!({"items": [], "4111111111111111": 1}),
        json!({"items": [], "address": {"phone": "1", "city": "4111-1111-1111-1111"}}),
    ];
    for body in bodies {
        let answer = app().post("/orders", body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
        let shown = String::from_utf8_lossy(&answer.bytes);
        assert!(!shown.contains("hunter2") && !shown.contains("1111"), "{shown}");
    }
}

#[tokio::test]
async fn card_numbers_pass_only_where_a_parser_takes_digits() {
    let taken = json!({"items": [], "sku": "4111111111111111", "address": {"phone": "4111111111111111", "city": "x"}});
    app().post("/orders", taken).await.expect(200);
    let refused = app().post("/orders", json!({"items": [], "note": "5500-0055-5555-5559"})).await;
    check(&refused, 422, "VALIDATION_FAILED", Some("note"), "card number");
    let nul = app().post("/orders", json!({"items": [], "note": "a\u{0}b"})).await;
    check(&nul, 422, "VALIDATION_FAILED", Some("note"), "NUL");
    app().get("/products?q=4111%201111%201111%201111").await.expect(200);
}

#[tokio::test]
async fn a_body_of_another_kind_is_415_and_one_over_the_limit_413() {
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "", "multipart/form-data"] {
        let answer = app().post("/orders", json!({"items": []})).header("content-type", kind).await;
        check(&answer, 415, "UNSUPPORTED_MEDIA_TYPE", None, kind);
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"] {
        app().post("/orders", json!({"items": []})).header("content-type", kind).await.expect(200);
    }
    let large = json!({"items": [], "note": "x".repeat(5000)});
    check(&app().post("/orders", large.clone()).await, 413, "BODY_TOO_LARGE", None, "too large");
    let announced = app().post("/orders", large).header("content-length", "9999999").await;
    check(&announced, 413, "BODY_TOO_LARGE", None, "announced too large");
}

#[tokio::test]
async fn rs8_queries_and_paths_that_do_not_parse_are_400() {
    let cases = [
        ("/products?limit=ten", "INVALID_QUERY", "limit"),
        ("/products?limit=-1", "INVALID_QUERY", "limit"),
        ("/products?colour=red", "INVALID_QUERY", "colour"),
        ("/products?q=a&q=b", "INVALID_QUERY", "q"),
        ("/products/7", "INVALID_PATH", "id"),
        ("/products/%ff", "INVALID_PATH", "id"),
        ("/products/..%2fetc", "INVALID_PATH", "id"),
    ];
    for (path, code, field) in cases {
        check(&app().get(path).await, 400, code, Some(field), path);
    }
    app().get("/products?limit=3&q=lamp").await.expect(200);
}

#[tokio::test]
async fn rs6_unknown_paths_and_methods_are_problems_too() {
    check(&app().get("/nowhere").await, 404, "NOT_FOUND", None, "path");
    let wrong_method = app().delete("/products").await;
    check(&wrong_method, 405, "METHOD_NOT_ALLOWED", None, "method");
    assert!(wrong_method.header("allow").contains("GET"), "{:?}", wrong_method.headers);
}

#[tokio::test]
async fn lists_and_weak_tags_of_if_match_are_read() {
    let patch = |tag: &'static str| app().request(Method::PATCH, "/products").header("if-match", tag);
    for tag in ["3", "", "\"3\" \"4\""] {
        check(&patch(tag).await, 400, "INVALID_IF_MATCH", None, tag);
    }
    for tag in ["\"3\"", "*", "W/\"1.43\"", "\"1.43\", \"x\""] {
        patch(tag).await.expect(200);
    }
}

#[tokio::test]
async fn an_array_is_no_object() {
    for body in [json!([[]]), json!([[], null, null, null, null])] {
        let answer = app().post("/orders", body.clone()).await;
        check(&answer, 422, "VALIDATION_FAILED", Some("body"), &body.to_string());
        assert_eq!(answer.body["details"][0]["message"], "must be an object");
    }
    let line = json!({"items": [["0192f0c1-7e5c-7a31-9d51-6f1c2ad4b0aa", 1]]});
    check(&app().post("/orders", line).await, 422, "VALIDATION_FAILED", Some("items[0]"), "a line");
}

#[tokio::test]
async fn a_request_names_one_host() {
    let request = |hosts: &[&str]| {
        let mut request = http::Request::get("/products").body(axum::body::Body::empty()).unwrap();
        for host in hosts {
            request.headers_mut().append("host", host.parse().unwrap());
        }
        request
    };
    for (hosts, status) in [(&[][..], 400), (&["a"], 200), (&["a", "a"], 400), (&["a", "b"], 400)] {
        let response = router().oneshot(request(hosts)).await.unwrap();
        assert_eq!(response.status(), status, "{hosts:?}");
    }
    let mut http2 = request(&[]);
    *http2.version_mut() = http::Version::HTTP_2;
    assert_eq!(router().oneshot(http2).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_with_a_content_encoding_is_415() {
    for encoding in ["gzip", "br", "identity, gzip"] {
        let answer = app().post("/orders", json!({"items": []})).header("content-encoding", encoding).await;
        check(&answer, 415, "UNSUPPORTED_CONTENT_ENCODING", None, encoding);
        assert_eq!(answer.header("accept-encoding"), "identity");
    }
    app().post("/orders", json!({"items": []})).header("content-encoding", "identity").await.expect(200);
}

#[tokio::test]
async fn card_numbers_in_headers_are_refused_with_the_name_of_the_header() {
    let answer = app().post("/keyed", json!({})).key("4111-1111-1111-1111").await;
    check(&answer, 422, "VALIDATION_FAILED", Some("idempotency-key"), "key");
    let answer = app().get("/products").header("x-request-id", "r-4111111111111111").await;
    check(&answer, 422, "VALIDATION_FAILED", Some("x-request-id"), "request id");
    assert!(!format!("{:?}", answer.headers).contains("4111"), "nor echoed");
}

#[tokio::test]
async fn a_small_body_with_many_values_is_413() {
    let many = format!("{{\"items\":[{}{{}}]}}", "0,".repeat(1_998));
    check(&app().post("/orders", json!({})).raw(many).await, 413, "BODY_TOO_LARGE", None, "many lines");
    let nested = format!("[{}{{}}]", "{\"a\":{}},".repeat(400));
    check(&app().post("/orders", json!({})).raw(nested).await, 422, "VALIDATION_FAILED", Some("body"), "nested");
}

#[tokio::test]
async fn an_idempotency_key_is_of_visible_ascii_or_400() {
    let answer = app().post("/keyed", json!({})).key("k-1").await.expect(200);
    assert_eq!(String::from_utf8_lossy(&answer.bytes), "k-1 POST /keyed 44", "44: SHA-256 of {{}}");
    check(&app().post("/keyed", json!({})).await, 400, "IDEMPOTENCY_KEY_REQUIRED", None, "absent");
    for key in ["", "two words", &"k".repeat(256), "tab\there"] {
        check(&app().post("/keyed", json!({})).key(key).await, 400, "INVALID_IDEMPOTENCY_KEY", None, key);
    }
    app().post("/keyed", json!({})).key(&"k".repeat(255)).await.expect(200);
    check(
        &app().post("/free", json!({})).key("two words").await,
        400,
        "INVALID_IDEMPOTENCY_KEY",
        None,
        "where optional",
    );
}

#[tokio::test]
async fn a_request_with_its_members_in_another_order_is_the_same_request() {
    let hash = async |body: &'static str| app().post("/keyed", json!({})).raw(body).key("k").await.expect(200).bytes;
    let first = hash(r#"{"a":{"x":1,"y":[2]},"b":"c"}"#).await;
    assert_eq!(hash("{ \"b\" : \"c\",\n\"a\":{\"y\":[2],\"x\":1} }").await, first);
    assert_ne!(hash(r#"{"a":{"x":2,"y":[2]},"b":"c"}"#).await, first);
}

#[tokio::test]
async fn a_command_without_a_body_takes_none_or_an_empty_object() {
    app().request(Method::POST, "/free").await.expect(200);
    app().post("/free", json!({})).await.expect(200);
    check(&app().post("/free", json!({"a": 1})).await, 422, "VALIDATION_FAILED", Some("body"), "a field");
    let unnamed = app().request(Method::POST, "/free").raw("{\"a\":1}").await;
    check(&unnamed, 415, "UNSUPPORTED_MEDIA_TYPE", None, "a body that does not say what it is");
    app().request(Method::POST, "/keyed").key("k").await.expect(200);
}
