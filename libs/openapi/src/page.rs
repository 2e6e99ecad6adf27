//! The page that shows the operations of a document: HTML without scripts, whose only style is its own. Knows OpenAPI, and
//! no operation.

use serde_json::{Map, Value};

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem; }
nav a { margin-right: 1rem; }
details { border-top: 1px solid #ccc; padding: .4rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; font-family: monospace; min-width: 4.5rem; }
code, pre { font-family: monospace; font-size: .9em; }
pre { background: #f4f4f4; overflow: auto; padding: .6rem; }
table { border-collapse: collapse; margin: .6rem 0; width: 100%; }
td, th { border-bottom: 1px solid #ddd; padding: .2rem .6rem .2rem 0; text-align: left; vertical-align: top; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee; } a { color: #8cf; } pre { background: #222; } }
";

/// The page of a document.
pub(crate) fn html(document: &Value) -> String {
    let mut page = String::new();
    let tags: Vec<&str> = items(&document["tags"]).filter_map(|tag| tag["name"].as_str()).collect();
    let links: String = tags.iter().map(|tag| format!("<a href=\"#{tag}\">{tag}</a>")).collect::<Vec<_>>().join(" ");
    let about = escaped(text(&document["info"]["description"]));
    put(&mut page, &["<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"]);
    put(&mut page, &["<meta name=\"viewport\" content=\"width=device-width\">\n<title>Agora: API</title>\n"]);
    put(&mut page, &["<style>", STYLE, "</style>\n</head>\n<body>\n<h1>API</h1>\n<p>", &about, "</p>\n"]);
    put(&mut page, &["<p>For programs: <a href=\"/api/v1/openapi.json\">OpenAPI</a>, "]);
    put(&mut page, &["<a href=\"/api/v1/asyncapi.yaml\">AsyncAPI of the topics</a>.</p>\n"]);
    put(&mut page, &["<nav>", &links, "<a href=\"#schemas\">schemas</a></nav>\n"]);
    for tag in tags {
        put(&mut page, &["<h2 id=\"", tag, "\">", tag, "</h2>\n"]);
        for (path, method, operation) in operations(document).filter(|(.., operation)| operation["tags"][0] == tag) {
            put(&mut page, &[&of_operation(path, method, operation)]);
        }
    }
    put(&mut page, &["<h2 id=\"schemas\">schemas</h2>\n"]);
    for (name, schema) in members(&document["components"]["schemas"]) {
        put(
            &mut page,
            &["<details id=\"", name, "\"><summary>", name, "</summary>\n", &of_schema(schema), "</details>\n"],
        );
    }
    put(&mut page, &["</body>\n</html>\n"]);
    page
}

/// Path, method and operation.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (path, method, operation)))
}

fn of_operation(path: &str, method: &str, operation: &Value) -> String {
    let mut part = String::new();
    let id = text(&operation["operationId"]);
    let (method, path) = (method.to_uppercase(), escaped(path));
    put(&mut part, &["<details id=\"", id, "\"><summary><b>", &method, "</b> <code>", &path, "</code> "]);
    put(&mut part, &[&escaped(text(&operation["summary"])), "</summary>\n"]);
    if let Some(description) = operation["description"].as_str() {
        put(&mut part, &["<p>", &escaped(description), "</p>\n"]);
    }
    put(&mut part, &["<p>Requires: ", &requirement(operation), ".</p>\n"]);
    let parameters: Vec<&Value> = items(&operation["parameters"]).collect();
    if !parameters.is_empty() {
        put(&mut part, &["<table>\n<tr><th>Parameter</th><th>In</th><th>Required</th><th></th></tr>\n"]);
        for parameter in parameters {
            let required = if parameter["required"] == true { "yes" } else { "no" };
            put(&mut part, &["<tr><td><code>", text(&parameter["name"]), "</code></td><td>", text(&parameter["in"])]);
            let description = escaped(text(&parameter["description"]));
            put(&mut part, &["</td><td>", required, "</td><td>", &description, "</td></tr>\n"]);
        }
        put(&mut part, &["</table>\n"]);
    }
    if let Some(body) = operation.get("requestBody") {
        put(&mut part, &["<p>Body: ", &content(body), "</p>\n"]);
    }
    put(&mut part, &["<table>\n<tr><th>Status</th><th>Answer</th></tr>\n"]);
    for (status, response) in members(&operation["responses"]) {
        let shown = response["$ref"].as_str().map_or_else(
            || format!("{} {}", escaped(text(&response["description"])), content(response)),
            |reference| format!("{}: <a href=\"#Problem\">Problem</a>", escaped(last(reference))),
        );
        put(&mut part, &["<tr><td>", status, "</td><td>", &shown, "</td></tr>\n"]);
    }
    put(&mut part, &["</table>\n</details>\n"]);
    part
}

/// Who may use the operation, in words.
fn requirement(operation: &Value) -> String {
    let alternatives = items(&operation["security"]).map(|alternative| match alternative["bearer"].as_array() {
        None => "nothing".to_owned(),
        Some(roles) if roles.is_empty() => "an access token".to_owned(),
        Some(roles) => format!("an access token with the role {}", roles.iter().map(text).collect::<String>()),
    });
    let words: Vec<String> = alternatives.collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", or ") }
}

/// Media types with their schemas.
fn content(body: &Value) -> String {
    let kinds = members(&body["content"]).map(|(media_type, content)| {
        let schema = match content["schema"]["$ref"].as_str() {
            Some(reference) => format!("<a href=\"#{0}\">{0}</a>", last(reference)),
            None => String::new(),
        };
        format!("<code>{media_type}</code> {schema}")
    });
    kinds.collect::<Vec<_>>().join(", ")
}

/// The schema, and links to those to which it refers.
fn of_schema(schema: &Value) -> String {
    let mut names = Vec::new();
    references(schema, &mut names);
    names.sort_unstable();
    names.dedup();
    let pretty = serde_json::to_string_pretty(schema).unwrap_or_default();
    let mut part = format!("<pre>{}</pre>\n", escaped(&pretty));
    for name in names {
        put(&mut part, &["<a href=\"#", name, "\">", name, "</a>\n"]);
    }
    part
}

fn references<'v>(value: &'v Value, names: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            names.extend(members.get("$ref").and_then(Value::as_str).map(last));
            members.values().for_each(|member| references(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

/// The name at the end of a reference.
fn last(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, member)| (name.as_str(), member))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Text as HTML; what is between backticks as code.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let mut in_code = false;
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '`' => {
                html.push_str(if in_code { "</code>" } else { "<code>" });
                in_code = !in_code;
            }
            other => html.push(other),
        }
    }
    if in_code {
        html.push_str("</code>");
    }
    html
}

fn put(page: &mut String, parts: &[&str]) {
    for part in parts {
        page.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{escaped, html};

    #[test]
    fn gw12_a_text_of_a_declaration_cannot_become_markup() {
        assert_eq!(escaped("a < \"b\" & `c` `d"), "a &lt; &quot;b&quot; &amp; <code>c</code> <code>d</code>");
    }

    #[test]
    fn gw5_a_page_shows_each_operation_with_what_it_requires_and_answers() {
        let page = html(&json!({
            "info": { "description": "An API." },
            "tags": [{ "name": "order" }],
            "paths": { "/orders/{id}": { "get": {
                "operationId": "order.read", "tags": ["order"], "summary": "Read",
                "security": [{ "bearer": ["support"] }, { "bearer": ["admin"] }],
                "parameters": [{ "name": "id", "in": "path", "required": true }],
                "responses": {
                    "200": { "description": "Success.", "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Order" } } } },
                    "default": { "$ref": "#/components/responses/Refused" },
                },
            } } },
            "components": { "schemas": { "Order": { "properties": { "id": { "$ref": "#/components/schemas/OrderId" } } } } },
        }));
        for part in [
            "<details id=\"order.read\"><summary><b>GET</b> <code>/orders/{id}</code> Read</summary>",
            "with the role support, or an access token with the role admin.",
            "<tr><td><code>id</code></td><td>path</td><td>yes</td>",
            "<a href=\"#Order\">Order</a>",
            "Refused: <a href=\"#Problem\">Problem</a>",
            "<a href=\"#OrderId\">OrderId</a>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("<script") && page.matches("<style>").count() == 1, "{page}");
    }
}
