//! Compares the requests and answers of a test with the committed document of a service, `docs/api/openapi.<service>.json`.
//! Knows OpenAPI, and no route.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use http::Method;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use crate::TestResponse;

/// An id that nothing has.
const ID: &str = "00000000-0000-7000-8000-00000000dead";

/// The document of a service. Panics where a service does something else than its document says.
#[derive(Clone)]
pub(crate) struct Contract(Arc<Document>);

struct Document {
    json: Value,
    /// By the schema that they check.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contract")
    }
}

impl Contract {
    /// The committed document; none while the documents are being written.
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable selects the mode of a test; it is no setting of a service"
    )]
    pub(crate) fn of(service: &str) -> Option<Self> {
        if std::env::var_os("AGORA_UPDATE").is_some() {
            return None;
        }
        let file = format!("../../docs/api/openapi.{service}.json");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path).expect("the document of the service; run: cargo xtask codegen");
        let json = serde_json::from_str(&text).expect("JSON");
        Some(Self(Arc::new(Document { json, validators: Mutex::default() })))
    }

    /// The operations of the public port: method, a path, and whether they require a token.
    pub(crate) fn public_operations(&self) -> Vec<(Method, String, bool)> {
        let items = self.0.json["paths"].as_object().expect("paths");
        let public = items.iter().filter(|(template, _)| !template.starts_with("/internal/"));
        let operations = public.flat_map(|(template, item)| {
            let members = item.as_object().expect("a path item").iter();
            members.map(move |(method, operation)| (method, template, operation))
        });
        operations
            .map(|(method, template, operation)| {
                let method = method.to_ascii_uppercase().parse().expect("a method");
                let alternatives = operation["security"].as_array().expect("security");
                let any = |alternative: &Value| alternative.as_object().is_some_and(serde_json::Map::is_empty);
                let is_closed = !alternatives.is_empty() && !alternatives.iter().any(any);
                (method, filled(template), is_closed)
            })
            .collect()
    }

    /// Asserts that the document describes the answer, and the body of a request that was not refused.
    pub(crate) fn check(&self, method: &Method, target: &str, body: &[u8], answer: &TestResponse) {
        let path = target.split('?').next().unwrap_or(target);
        let what = format!("{method} {path}: {}", answer.status);
        let is_head = *method == Method::HEAD;
        let name = if is_head { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
        let Some(operation) = self.0.item(path).and_then(|item| item.get(&name)) else {
            assert!(matches!(answer.status, 400..), "{what}: the document has no such operation");
            return;
        };
        let response = self.0.response(operation, answer.status);
        let response = response.unwrap_or_else(|| panic!("{what}: the document has no such status"));
        if !is_head {
            self.0.check_body(&what, response, answer.header("content-type"), &answer.bytes);
        }
        let described = operation.get("requestBody").filter(|_| answer.status < 300);
        let schema = described.and_then(|described| described.pointer("/content/application~1json/schema"));
        if let (Some(described), Some(schema)) = (described, schema) {
            assert!(described["required"] == false || !body.is_empty(), "{what}: the document requires a body");
            if !body.is_empty() {
                self.0.check_json(&format!("{what}: request"), schema, body);
            }
        }
    }
}

impl Document {
    /// The path item of a path; of several, the one with the fewest parameters.
    fn item(&self, path: &str) -> Option<&Value> {
        let items = self.json["paths"].as_object().expect("paths");
        let matching = items.iter().filter(|(template, _)| is_of(template, path));
        matching.min_by_key(|(template, _)| template.matches('{').count()).map(|(_, item)| item)
    }

    /// What the document says of a status of an operation; of a refusal, by default what it says of all others.
    fn response<'d>(&'d self, operation: &'d Value, status: u16) -> Option<&'d Value> {
        let responses = operation.get("responses")?;
        let other = if status >= 400 { responses.get("default") } else { None };
        let response = responses.get(status.to_string()).or(other)?;
        match response["$ref"].as_str() {
            Some(reference) => self.json.pointer(reference.trim_start_matches('#')),
            None => Some(response),
        }
    }

    fn check_body(&self, what: &str, response: &Value, content_type: &str, body: &[u8]) {
        let Some(content) = response.get("content").and_then(Value::as_object) else {
            assert!(body.is_empty(), "{what}: the document describes no body: {}", String::from_utf8_lossy(body));
            return;
        };
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let described = content.get(media_type).unwrap_or_else(|| panic!("{what}: the document has no {media_type}"));
        match media_type {
            "application/json" | "application/problem+json" => self.check_json(what, &described["schema"], body),
            "application/x-ndjson" => {
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                lines.for_each(|line| self.check_json(what, &described["schema"], line));
            }
            _ => {}
        }
    }

    fn check_json(&self, what: &str, schema: &Value, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut faults = String::new();
        for error in self.validator(schema).iter_errors(&body) {
            let _ = writeln!(faults, "- {}: {error}", error.instance_path());
        }
        assert!(faults.is_empty(), "{what} differs from {schema} of the document:\n{faults}\n{body:#}");
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let made = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut whole = schema.clone();
            whole["components"] = json!({ "schemas": self.json["components"]["schemas"] });
            let made = jsonschema::options().with_draft(Draft::Draft202012).build(&whole);
            Arc::new(made.unwrap_or_else(|error| panic!("a schema of the document is not valid: {error}: {schema}")))
        });
        made.clone()
    }
}

/// A path of the template, with an id in place of each parameter.
fn filled(template: &str) -> String {
    let fill = |segment: &str| if segment.starts_with('{') { ID.to_owned() } else { segment.to_owned() };
    template.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Whether the path is one of the template's.
fn is_of(template: &str, path: &str) -> bool {
    let (mut expected, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return true,
            (Some(expected), Some(found)) if expected == found || expected.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    use super::{Contract, Document, is_of};
    use crate::TestResponse;

    fn contract() -> Contract {
        let thing = json!({ "$ref": "#/components/schemas/Thing" });
        let json = json!({
            "paths": { "/things/{id}": { "put": {
                "operationId": "thing.put",
                "requestBody": { "required": true, "content": { "application/json": { "schema": thing } } },
                "responses": {
                    "200": { "content": { "application/json": { "schema": thing } } },
                    "204": { "description": "Done." },
                    "default": { "$ref": "#/components/responses/Refused" },
                },
            } } },
            "components": {
                "schemas": { "Thing": {
                    "type": "object", "properties": { "count": { "type": "integer" } }, "required": ["count"],
                    "additionalProperties": false,
                } },
                "responses": { "Refused": { "content": { "application/problem+json": { "schema": {
                    "properties": { "code": { "enum": ["NOT_FOUND"] } }, "required": ["code"] } } } } },
            },
        });
        Contract(Arc::new(Document { json, validators: Mutex::default() }))
    }

    fn answer(status: u16, kind: &str, body: &Value) -> TestResponse {
        let headers: HeaderMap = [(http::header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        TestResponse { status, body: body.clone(), headers, bytes }
    }

    fn is_described(request: &str, answer: &TestResponse) -> bool {
        let contract = contract();
        let check = || contract.check(&Method::PUT, "/things/7?a=b", request.as_bytes(), answer);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
    }

    #[test]
    fn de17_an_answer_or_a_request_that_the_document_does_not_describe_fails_the_test() {
        let good = answer(200, "application/json", &json!({ "count": 1 }));
        assert!(is_described(r#"{"count": 1}"#, &good));
        assert!(is_described(r#"{"count": 1}"#, &answer(204, "text/plain", &Value::Null)));
        assert!(is_described("not JSON", &answer(404, "application/problem+json", &json!({ "code": "NOT_FOUND" }))));

        assert!(!is_described(r#"{"count": "1"}"#, &good), "the body of the request");
        assert!(!is_described("", &good), "no body");
        for undescribed in [
            answer(200, "application/json", &json!({ "count": 1, "price": 2 })),
            answer(200, "application/json", &json!({})),
            answer(200, "text/html", &json!({ "count": 1 })),
            answer(201, "application/json", &json!({ "count": 1 })),
            answer(204, "application/json", &json!({ "count": 1 })),
            answer(404, "application/problem+json", &json!({ "code": "GONE" })),
        ] {
            assert!(!is_described(r#"{"count": 1}"#, &undescribed), "{undescribed:?}");
        }
    }

    #[test]
    fn a_path_is_of_a_template_segment_by_segment() {
        assert!(is_of("/a/{id}/b", "/a/7/b") && is_of("/a", "/a"));
        assert!(!is_of("/a/{id}", "/a") && !is_of("/a/{id}", "/a/7/b") && !is_of("/a/{id}", "/b/7"));
    }
}
