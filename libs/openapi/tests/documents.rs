//! The committed documents are those of the declarations, describe every route, and accept every sample of an event.
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use agora_api::{CODES, Route, operation::operations};
use agora_openapi::{EVENTS, EXPLORER, documents, file_of};
use jsonschema::Draft;
use regex::Regex;
use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(service: Option<&str>) -> Value {
    serde_json::from_str(&documents().unwrap()[&file_of(service)]).unwrap()
}

/// Method and path of each operation.
fn operations_of(document: &Value) -> BTreeSet<(String, String)> {
    let items = document["paths"].as_object().unwrap().iter();
    let operations = items.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)));
    operations.map(|(method, path)| (method.to_uppercase(), path.clone())).collect()
}

fn of_routes(routes: impl IntoIterator<Item = Route>) -> BTreeSet<(String, String)> {
    routes.into_iter().map(|route| (route.method.as_str().to_owned(), route.path.to_owned())).collect()
}

#[test]
fn de17_the_committed_documents_are_those_of_the_declarations() {
    let folder = repository().join("docs/api");
    let documents = documents().unwrap();
    for prefix in ["openapi.", EVENTS, EXPLORER] {
        let of_prefix: BTreeMap<_, _> =
            documents.clone().into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        assert!(!of_prefix.is_empty(), "{prefix}");
        agora_testkit::assert_generated(&folder, prefix, &of_prefix);
    }
}

#[test]
fn de17_no_route_is_undocumented_and_no_operation_is_without_a_route() {
    let gateway = agora_api::gateway::routes::PUBLIC.iter().copied();
    let merged = operations_of(&document(None));
    assert_eq!(merged, of_routes(agora_api::public_routes().chain(gateway)));
    assert!(merged.iter().all(|(_, path)| !path.starts_with("/internal/")));

    let described = operations();
    let names: Vec<&str> = described.iter().map(|operations| operations.service).collect();
    assert_eq!(names, agora_topology::ALL.iter().map(|service| service.name).collect::<Vec<_>>());
    for operations in described {
        let routes = operations.public.iter().chain(&operations.internal).map(|operation| operation.route);
        assert_eq!(operations_of(&document(Some(operations.service))), of_routes(routes), "{}", operations.service);
        let service = agora_topology::ALL.iter().find(|service| service.name == operations.service).unwrap();
        assert_eq!(!operations.internal.is_empty(), service.internal_port.is_some(), "{}", service.name);
    }
}

/// References of a document that lead nowhere.
fn broken(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str)
                && document.pointer(reference.trim_start_matches('#')).is_none()
            {
                found.insert(reference.to_owned());
            }
            members.values().for_each(|member| broken(document, member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| broken(document, item, found)),
        _ => {}
    }
}

#[test]
fn de17_every_reference_of_a_document_leads_to_something_and_every_schema_is_valid() {
    let mut all: Vec<Value> =
        agora_topology::ALL.iter().map(|service| document(Some(service.name))).chain([document(None)]).collect();
    all.push(serde_yaml::from_str(&documents().unwrap()[EVENTS]).unwrap());
    for document in all {
        let mut found = BTreeSet::new();
        broken(&document, &document, &mut found);
        assert!(found.is_empty(), "{}: {found:?}", document["info"]["title"]);
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(jsonschema::meta::is_valid(schema), "{name}: {schema}");
        }
    }
}

#[test]
fn de17_an_operation_says_who_may_use_it_what_it_takes_and_what_it_refuses() {
    let document = document(None);
    let place = &document["paths"]["/api/v1/orders"]["post"];
    assert_eq!(place["operationId"], "order.place");
    assert_eq!(place["security"], json!([{ "bearer": [] }]));
    let parameters = place["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|p| p["name"] == "Idempotency-Key" && p["in"] == "header" && p["required"] == true));
    assert_eq!(place["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/NewOrder");
    assert_eq!(
        place["responses"]["201"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Order"
    );
    assert!(place["responses"]["201"]["headers"].get("RateLimit-Remaining").is_some(), "{place}");
    for status in ["400", "401", "409", "413", "415", "422", "429", "503", "default"] {
        let reference = place["responses"][status]["$ref"].as_str().unwrap();
        let refusal = document.pointer(reference.trim_start_matches('#')).unwrap();
        let schema = &refusal["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(schema, "#/components/schemas/Problem", "{status}");
    }
    let codes = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    assert_eq!(codes, &json!(CODES));

    let read = &document["paths"]["/api/v1/payments/{id}/log"]["get"];
    assert_eq!(
        read["security"],
        json!([{ "bearer": ["support"] }, { "bearer": ["finance"] }, { "bearer": ["admin"] }])
    );
    assert_eq!(document["paths"]["/api/v1/auth/login"]["post"]["security"], json!([]));
    assert_eq!(document["paths"]["/api/v1/products"]["get"]["security"], json!([{}, { "bearer": [] }]));
    let address = &document["components"]["schemas"]["Address"];
    assert!(address.get("additionalProperties").is_none() && address["properties"].get("id").is_some(), "{address}");
}

/// Files with the sources of services and of `libs/web`.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned());
        }
    }
}

#[test]
fn de17_the_codes_of_problems_in_the_document_are_those_of_the_sources() {
    let mut texts = Vec::new();
    for service in agora_topology::ALL {
        sources(&repository().join("services").join(service.name).join("src"), &mut texts);
    }
    sources(&repository().join("libs/web/src"), &mut texts);
    let code = Regex::new(r#"StatusCode::[A-Z_]+,\s*"([A-Z][A-Z_]+)""#).unwrap();
    let mut unknown = BTreeSet::new();
    for text in &texts {
        unknown
            .extend(code.captures_iter(text).map(|found| found[1].to_owned()).filter(|code| !CODES.contains(&&**code)));
    }
    assert!(unknown.is_empty(), "add to CODES: {unknown:?}");
    // The name of a status is the code of a refusal of the router itself.
    let unused: Vec<_> = CODES
        .iter()
        .filter(|code| {
            **code != "METHOD_NOT_ALLOWED" && !texts.iter().any(|text| text.contains(&format!("\"{code}\"")))
        })
        .collect();
    assert!(unused.is_empty(), "remove from CODES: {unused:?}");
    assert!(CODES.is_sorted(), "{CODES:?}");
}

/// Samples of every event, which the tests of `libs/events` keep.
fn samples() -> Vec<Value> {
    let folder = repository().join("libs/events/src/snapshots");
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let (_, json) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
        samples.extend(serde_json::from_str::<Vec<Value>>(json).unwrap());
    }
    samples
}

#[test]
fn de17_the_document_of_the_topics_accepts_a_sample_of_every_event_and_no_other() {
    let document: Value = serde_yaml::from_str(&documents().unwrap()[EVENTS]).unwrap();
    let messages = document["components"]["messages"].as_object().unwrap();
    let mut seen = BTreeSet::new();
    for sample in samples() {
        let kind = sample["type"].as_str().unwrap().to_owned();
        let mut schema = messages[&kind]["payload"].clone();
        schema["components"] = json!({ "schemas": document["components"]["schemas"] });
        let validator = jsonschema::options().with_draft(Draft::Draft202012).build(&schema).unwrap();
        let faults: Vec<_> = validator.iter_errors(&sample).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{kind}: {faults:?}\n{sample:#}");
        for (member, wrong) in [("data", json!({})), ("type", json!("order.teleported")), ("seq", json!("1"))] {
            let mut other = sample.clone();
            other[member] = wrong;
            assert!(!validator.is_valid(&other), "{kind}: another {member}");
        }
        seen.insert(kind);
    }
    assert_eq!(seen, messages.keys().cloned().collect());
    let channels = document["channels"].as_object().unwrap();
    let topics: BTreeSet<&str> = agora_events::topics::ALL.iter().map(|topic| topic.name()).collect();
    assert_eq!(channels.keys().map(String::as_str).collect::<BTreeSet<_>>(), topics);
    let of_channels = channels.values().flat_map(|channel| channel["messages"].as_object().unwrap().keys());
    assert_eq!(of_channels.cloned().collect::<BTreeSet<_>>(), seen);
}
