//! The documents of the API that the gateway serves, and that each of their operations is a route.

use agora_testkit::TestResponse;
use serde_json::Value;

use crate::{before, pages::permitted, upstream::Upstream};

const OPENAPI: &str = include_str!("../../../../docs/api/openapi.json");
const PATHS: [&str; 3] = ["/api/v1/openapi.json", "/api/v1/asyncapi.yaml", "/api/v1/explorer"];

#[tokio::test]
async fn gw5_the_committed_documents_are_served_to_visitors_and_the_page_runs_no_script() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let served: Vec<TestResponse> = {
        let mut served = Vec::new();
        for path in PATHS {
            served.push(gateway.app.get(path).await.expect(200));
        }
        served
    };
    let kinds: Vec<&str> = served.iter().map(|answer| answer.header("content-type")).collect();
    assert_eq!(kinds, ["application/json", "application/yaml", "text/html; charset=utf-8"]);
    assert_eq!(served[0].bytes, OPENAPI.as_bytes());
    assert!(served[1].bytes.starts_with(b"asyncapi: "), "{}", String::from_utf8_lossy(&served[1].bytes));
    let page = String::from_utf8_lossy(&served[2].bytes).into_owned();
    for operation in ["order.place", "user.login", "catalog.list"] {
        assert!(page.contains(&format!("<details id=\"{operation}\">")), "{operation}");
    }
    let nothing: [&str; 0] = [];
    assert_eq!(permitted(&served[2], "style-src").len(), 1, "{:?}", served[2].headers);
    for directive in ["script-src", "connect-src", "img-src", "frame-src"] {
        assert_eq!(permitted(&served[2], directive), nothing, "{directive}");
    }
    assert!(upstream.calls().is_empty(), "no service is asked");
}

#[tokio::test]
async fn de17_every_operation_of_the_served_document_is_a_route_that_requires_what_it_says() {
    let upstream = Upstream::start().await;
    let gateway = before(&upstream);
    let document = gateway.app.get(PATHS[0]).await.expect(200).body;
    let (mut open, mut closed) = (0, 0);
    for (template, item) in document["paths"].as_object().unwrap() {
        let segment = |segment: &str| if segment.starts_with('{') { "7".to_owned() } else { segment.to_owned() };
        let path = template.split('/').map(segment).collect::<Vec<_>>().join("/");
        for (method, operation) in item.as_object().unwrap() {
            let alternatives = operation["security"].as_array().unwrap();
            let is_empty = |alternative: &Value| alternative.as_object().is_some_and(serde_json::Map::is_empty);
            let is_closed = !alternatives.is_empty() && !alternatives.iter().any(is_empty);
            let answer = gateway.app.request(method.to_uppercase().parse().unwrap(), &path).await;
            if is_closed {
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
                closed += 1;
            } else {
                assert!(![401, 403, 404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
                open += 1;
            }
        }
    }
    assert!(open > 20 && closed > 100, "{open} open and {closed} closed operations");
}
