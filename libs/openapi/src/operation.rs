//! One operation of a document, from the declaration of its route. Knows no other operation.

use agora_api::{
    BODY_BYTES_MAX, Method, Policy, Route, RouteClass,
    operation::{Answer, Body, Operation},
};
use agora_vocab::Role;
use serde_json::{Map, Value, json};

use crate::{
    responses::{counted, headers, refuse},
    schemas::{prose, value},
};

/// Parameters of paths that are no UUIDs.
const TEXTS: [&str; 7] = ["category", "code", "country", "provider", "reference", "service", "template"];

/// The operation as the document has it. `edge`: whether its answers have the headers of the gateway.
pub(crate) fn operation(service: &str, operation: &Operation, edge: bool) -> Result<Value, String> {
    let Operation { name, documentation, route, parameters, body, answers } = operation;
    let mut all = path_parameters(route);
    for parameter in parameters {
        all.push(serde_json::to_value(parameter).map_err(|error| error.to_string())?);
    }
    let documentation = prose(documentation);
    let summary = if documentation.is_empty() { in_words(name) } else { first_sentence(&documentation) };
    let mut members = json!({
        "operationId": format!("{service}.{}", in_camel_case(name)),
        "tags": [service],
        "summary": summary,
        "security": security(route.policy),
        "responses": responses(route, &all, body.as_ref(), answers, edge)?,
        "x-agora-class": route.class.name(),
    });
    if documentation.len() > summary.len() + 1 {
        members["description"] = json!(documentation);
    }
    if !all.is_empty() {
        members["parameters"] = json!(all);
    }
    if let Some(body) = body {
        members["requestBody"] = json!({ "required": body.required, "content": content(body)? });
        members["x-agora-body-bytes-max"] = json!(route.body_bytes_max);
    }
    Ok(members)
}

fn path_parameters(route: &Route) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let schema = if TEXTS.contains(&name) {
                json!({ "type": "string" })
            } else {
                json!({ "type": "string", "format": "uuid" })
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect()
}

/// One of the members is enough.
fn security(policy: Policy) -> Value {
    let bearer = |role: Role| json!({ "bearer": [role.as_str()] });
    match policy {
        Policy::Open => json!([]),
        Policy::Optional => json!([{}, { "bearer": [] }]),
        Policy::User => json!([{ "bearer": [] }]),
        Policy::Role(roles) => {
            let others = roles.iter().copied().filter(|role| *role != Role::Admin);
            others.chain([Role::Admin]).map(bearer).collect()
        }
        Policy::Service(callers) => callers.iter().map(|caller| json!({ "internalToken": [caller] })).collect(),
    }
}

fn responses(
    route: &Route,
    parameters: &[Value],
    body: Option<&Body>,
    answers: &[Answer],
    edge: bool,
) -> Result<Value, String> {
    let is_counted = edge && route.class != RouteClass::Exempt;
    let has = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
    let mut responses = Map::new();
    for Answer { status, body } in answers {
        let mut named = if is_counted { counted() } else { Vec::new() };
        named.extend((*status == 201).then_some("Location"));
        named.extend((has("If-Match") || has("If-None-Match")).then_some("ETag"));
        let mut response = json!({ "description": description(*status), "headers": headers(&named) });
        if let Some(body) = body {
            response["content"] = content(body)?;
        }
        responses.insert(status.to_string(), response);
    }
    let writes = route.method != Method::Get;
    let refused = [
        (400, true),
        (401, route.policy != Policy::Open),
        (403, matches!(route.policy, Policy::Role(_) | Policy::Service(_))),
        (404, route.path.contains('{')),
        (409, writes),
        (412, has("If-Match")),
        (413, body.is_some()),
        (415, body.is_some()),
        (422, body.is_some() || parameters.iter().any(|parameter| parameter["in"] == "query")),
        (428, has("If-Match")),
        (429, is_counted),
        (500, true),
        (503, true),
    ];
    let refused: Vec<u16> = refused.into_iter().filter_map(|(status, applies)| applies.then_some(status)).collect();
    refuse(&mut responses, &refused);
    Ok(Value::Object(responses))
}

fn content(body: &Body) -> Result<Value, String> {
    let schema = value(&body.schema)?;
    Ok(body.media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({ "schema": schema }))).collect())
}

const fn description(status: u16) -> &'static str {
    match status {
        101 => "The connection is a WebSocket from now on.",
        201 => "Created.",
        202 => "Accepted: it happens soon.",
        204 => "Done; the answer has no body.",
        304 => "The client has the present version.",
        _ => "Success.",
    }
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").or_else(|| text.find("; "));
    text.get(..end.unwrap_or(text.len())).unwrap_or(text).trim_end_matches('.').to_owned()
}

/// `READ_COUPON` → `Read coupon`.
fn in_words(name: &str) -> String {
    let mut words = name.to_ascii_lowercase().replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

/// `READ_COUPON` → `readCoupon`.
fn in_camel_case(name: &str) -> String {
    let mut words = name.split('_').map(str::to_ascii_lowercase);
    let mut text = words.next().unwrap_or_default();
    for mut word in words {
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text.push_str(&word);
    }
    text
}

/// What is said of all operations.
pub(crate) fn about() -> String {
    format!(
        "The HTTP API of a marketplace. Bodies are JSON in camelCase, times RFC 3339 in UTC, ids UUIDs, money minor units \
         of a currency. Requests refuse unknown fields; answers may grow. Every refusal is a problem (RFC 9457) with a \
         `code` for programs. A body has at most {BODY_BYTES_MAX} bytes unless its operation says another limit. Of the \
         members of `security`, one is enough; the names beside `bearer` are roles, of which an access token must have \
         one. The limits of requests are counted by `x-agora-class`."
    )
}

#[cfg(test)]
mod tests {
    use super::{first_sentence, in_camel_case, in_words};

    #[test]
    fn names_become_words_and_comments_are_cut_after_their_first_sentence() {
        assert_eq!(in_words("READ_COUPON"), "Read coupon");
        assert_eq!(in_camel_case("CHANGE_TAX_RULE_OF"), "changeTaxRuleOf");
        assert_eq!(first_sentence("Adds units. More of it."), "Adds units");
        assert_eq!(first_sentence("Changes it; needs its version."), "Changes it");
        assert_eq!(first_sentence("Adds units."), "Adds units");
    }
}
