//! Makes the documents of `docs/api/` from the declarations: OpenAPI of all public routes and of each service, AsyncAPI of
//! the topics, and a page that shows the operations.
//!
//! Pure: returns texts. Knows no route and no event by name.

mod events;
mod operation;
mod page;
mod responses;
mod rest;
mod schemas;

use std::collections::BTreeMap;

use agora_api::operation::operations;
use serde_json::Value;

/// The page that shows the operations.
pub const EXPLORER: &str = "explorer.html";
/// The document of the topics.
pub const EVENTS: &str = "events.yaml";

/// The file of the document of a service, or without one, of all public routes.
pub fn file_of(service: Option<&str>) -> String {
    service.map_or_else(|| "openapi.json".to_owned(), |service| format!("openapi.{service}.json"))
}

/// Every document by the name of its file.
///
/// # Errors
/// Two types have one name, or a document cannot be written.
pub fn documents() -> Result<BTreeMap<String, String>, String> {
    let all = operations();
    let merged = rest::merged(&all)?;
    let mut documents = BTreeMap::from([
        (EXPLORER.to_owned(), page::html(&merged)),
        (EVENTS.to_owned(), serde_yaml::to_string(&events::document()?).map_err(|error| error.to_string())?),
        (file_of(None), json(&merged)?),
    ]);
    for of_service in &all {
        documents.insert(file_of(Some(of_service.service)), json(&rest::of_service(of_service)?)?);
    }
    Ok(documents)
}

fn json(document: &Value) -> Result<String, String> {
    let text = serde_json::to_string_pretty(document).map_err(|error| error.to_string())?;
    Ok(format!("{text}\n"))
}
