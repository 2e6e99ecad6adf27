//! HTML pages of services: which styles a browser applies, and that it runs no script.

use std::collections::BTreeMap;

use agora_testkit::TestResponse;
use agora_web::page_policy;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use crate::{
    before,
    upstream::{Call, Upstream},
};

const PAGE: &str = "<!doctype html><style>p { margin: 0; }</style><p>Invoice</p>";
/// printf 'p { margin: 0; }' | openssl dgst -sha256 -binary | base64
const STYLE: &str = "'sha256-ZMIWxFqsI8wXm9tNjoL6Cyi5nRfO7zhfynHh3P3TR9s='";

/// What the policies of a response permit for a directive, as browsers decide it: what each of them permits.
pub fn permitted(answer: &TestResponse, directive: &str) -> Vec<String> {
    let policies = answer.headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    let sources = policies.map(|policy| sources(policy.to_str().unwrap(), directive));
    sources.reduce(|all, of_one| all.into_iter().filter(|source| of_one.contains(source)).collect()).unwrap()
}

/// The sources of the directive in one policy; without it, those of `default-src`.
fn sources(policy: &str, directive: &str) -> Vec<String> {
    let directives: BTreeMap<&str, &str> =
        policy.split(';').map(|directive| directive.trim().split_once(' ').unwrap_or((directive.trim(), ""))).collect();
    let sources = directives.get(directive).or(directives.get("default-src")).unwrap();
    sources.split(' ').filter(|source| *source != "'none'").map(str::to_owned).collect()
}

fn page(policy: HeaderValue, kind: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, PAGE).into_response()
}

/// A page as services make it, one that permits much, and JSON with the policy of a page.
fn answer(call: &Call) -> Option<Response> {
    let wide = "default-src * 'unsafe-inline'; style-src 'unsafe-inline'";
    match call.target.as_str() {
        "/api/v1/orders/7/invoice" => Some(page(page_policy(PAGE), "text/html; charset=utf-8")),
        "/api/v1/orders/8/invoice" => Some(page(HeaderValue::from_static(wide), "text/html; charset=utf-8")),
        "/api/v1/orders/9/invoice" => Some(page(page_policy(PAGE), "application/json")),
        _ => None,
    }
}

#[tokio::test]
async fn gw12_a_browser_applies_the_style_of_a_page_and_runs_no_script() {
    let upstream = Upstream::answering(answer).await;
    let gateway = before(&upstream);
    let invoice = async |id: u8| {
        gateway.app.get(&format!("/api/v1/orders/{id}/invoice")).with(&gateway.token()).await.expect(200)
    };
    let nothing: [&str; 0] = [];
    let answer = invoice(7).await;
    assert_eq!(answer.bytes, PAGE.as_bytes());
    assert_eq!(permitted(&answer, "style-src"), [STYLE], "exactly this style");
    for other in [invoice(8).await, invoice(9).await] {
        assert_eq!(permitted(&other, "style-src"), nothing, "{:?}", other.headers);
    }
    for id in 7..=9 {
        let answer = invoice(id).await;
        for directive in ["script-src", "img-src", "connect-src", "frame-src", "object-src"] {
            assert_eq!(permitted(&answer, directive), nothing, "{directive}");
        }
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
}
