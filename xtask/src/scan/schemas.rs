//! JSON schemas for kubeconform: of Kubernetes, from the OpenAPI document in its sources, and of the project's own
//! resource, from its definition. A schema takes no unknown field. Downloads nothing.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::command::write;

const OPENAPI: &str = "api/openapi-spec/swagger.json";
const REFERENCE: &str = "#/definitions/";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// Where schemas of the kinds come from.
pub struct Schemas {
    /// Definitions of the OpenAPI document, by name.
    definitions: Map<String, Value>,
    /// The definition of the project's resource.
    crd: Value,
}

impl Schemas {
    /// Reads the OpenAPI document in the sources of Kubernetes, and the definition of the resource.
    pub fn read(kubernetes: &Path, crd: &Path) -> Result<Self> {
        let openapi = kubernetes.join(OPENAPI);
        let text = std::fs::read_to_string(&openapi).with_context(|| format!("reading {}", openapi.display()))?;
        let mut document: Value =
            serde_json::from_str(&text).with_context(|| format!("parsing {}", openapi.display()))?;
        let definitions = document["definitions"].as_object_mut().map(std::mem::take);
        let mut definitions = definitions.with_context(|| format!("{} has no definitions", openapi.display()))?;
        definitions.insert(QUANTITY.to_owned(), json!({"type": ["string", "number"]}));
        let text = std::fs::read_to_string(crd).with_context(|| format!("reading {}", crd.display()))?;
        Ok(Self {
            definitions,
            crd: serde_yaml::from_str(&text).with_context(|| format!("parsing {}", crd.display()))?,
        })
    }

    /// Writes the schemas of these kinds to a folder. A kind that has none is left out, which kubeconform reports.
    pub fn write(&self, kinds: &BTreeSet<(String, String)>, folder: &Path) -> Result<()> {
        for (api_version, kind) in kinds {
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version.as_str()));
            if let Some(schema) = self.of_kubernetes(group, version, kind).or_else(|| self.of_crd(group, version, kind))
            {
                write(&folder.join(file_name(group, version, kind)), &schema.to_string())?;
            }
        }
        Ok(())
    }

    /// The definition of the kind with all that it refers to.
    fn of_kubernetes(&self, group: &str, version: &str, kind: &str) -> Option<Value> {
        let identity = json!({"group": group, "version": version, "kind": kind});
        let is_kind = |definition: &Value| {
            let identities = definition["x-kubernetes-group-version-kind"].as_array();
            identities.is_some_and(|identities| identities.contains(&identity))
        };
        let (root, _) = self.definitions.iter().find(|(_, definition)| is_kind(definition))?;
        let (mut needed, mut open) = (BTreeSet::from([root.clone()]), vec![root.clone()]);
        while let Some(name) = open.pop() {
            let mut found = Vec::new();
            references(self.definitions.get(&name)?, &mut found);
            open.extend(found.into_iter().filter(|name| needed.insert(name.clone())));
        }
        let mut definitions = Map::new();
        for name in needed {
            let mut schema = self.definitions.get(&name)?.clone();
            make_strict(&mut schema);
            definitions.insert(name, schema);
        }
        Some(json!({"$ref": format!("{REFERENCE}{root}"), "definitions": definitions}))
    }

    /// The schema of the project's resource, with the fields that every object has.
    fn of_crd(&self, group: &str, version: &str, kind: &str) -> Option<Value> {
        let spec = &self.crd["spec"];
        if spec["group"] != group || spec["names"]["kind"] != kind {
            return None;
        }
        let mut versions = spec["versions"].as_array()?.iter();
        let mut schema = versions.find(|served| served["name"] == version)?["schema"]["openAPIV3Schema"].clone();
        let properties = schema["properties"].as_object_mut()?;
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert("metadata".to_owned(), json!({"type": "object"}));
        make_strict(&mut schema);
        Some(schema)
    }
}

/// How kubeconform's template `{{ .ResourceKind }}{{ .KindSuffix }}.json` names a schema.
fn file_name(group: &str, version: &str, kind: &str) -> String {
    let group = group.split('.').next().filter(|first| !first.is_empty());
    let group = group.map(|first| format!("-{first}")).unwrap_or_default();
    format!("{kind}{group}-{version}.json").to_lowercase()
}

/// Names of the definitions that a schema refers to.
fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix(REFERENCE));
            found.extend(target.map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Translates OpenAPI's extensions into JSON schema, and forbids fields that an object's schema does not name.
fn make_strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_set = |name: &str| fields.get(name) == Some(&json!(true));
            let is_open = fields.contains_key("additionalProperties") || is_set("x-kubernetes-preserve-unknown-fields");
            let is_number_or_text =
                fields.get("format") == Some(&json!("int-or-string")) || is_set("x-kubernetes-int-or-string");
            let is_nullable = is_set("nullable");
            if fields.get("properties").is_some_and(Value::is_object) && !is_open {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            if is_number_or_text {
                fields.remove("format");
                fields.insert("type".to_owned(), json!(["integer", "string"]));
            }
            if let Some(kind) = fields.get("type").filter(|kind| is_nullable && kind.is_string()).cloned() {
                fields.insert("type".to_owned(), json!([kind, "null"]));
            }
            fields.values_mut().for_each(make_strict);
        }
        Value::Array(values) => values.iter_mut().for_each(make_strict),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Schemas {
        let definitions = json!({
            "io.k8s.api.apps.v1.Deployment": {
                "type": "object",
                "properties": {"spec": {"$ref": "#/definitions/spec"}},
                "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
            },
            "spec": {"type": "object", "properties": {"port": {"type": "string", "format": "int-or-string"}}},
            "unused": {"type": "object"},
        });
        let Value::Object(definitions) = definitions else { unreachable!() };
        let crd = serde_yaml::from_str(include_str!("../../../crds/marketplaces.yaml")).unwrap();
        Schemas { definitions, crd }
    }

    #[test]
    fn a_schema_contains_what_it_refers_to_and_takes_no_other_field() {
        let schema = schemas().of_kubernetes("apps", "v1", "Deployment").unwrap();
        assert_eq!(schema["$ref"], "#/definitions/io.k8s.api.apps.v1.Deployment");
        let spec = &schema["definitions"]["spec"];
        assert_eq!(spec["additionalProperties"], false);
        assert_eq!(spec["properties"]["port"], json!({"type": ["integer", "string"]}));
        assert_eq!(schema["definitions"].as_object().unwrap().len(), 2);
        assert!(schemas().of_kubernetes("apps", "v2", "Deployment").is_none());
    }

    #[test]
    fn the_resource_has_the_fields_of_every_object_besides_its_own() {
        let schema = schemas().of_crd("agoraplatform.dev", "v1alpha1", "Marketplace").unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for field in ["apiVersion", "kind", "metadata", "spec", "status"] {
            assert!(schema["properties"][field].is_object(), "{field}");
        }
        assert_eq!(schema["properties"]["spec"]["properties"]["archive"]["type"], json!(["object", "null"]));
        assert!(schemas().of_crd("agoraplatform.dev", "v1", "Marketplace").is_none());
    }

    #[test]
    fn a_schema_has_the_name_that_kubeconform_asks_for() {
        assert_eq!(file_name("", "v1", "ConfigMap"), "configmap-v1.json");
        assert_eq!(file_name("rbac.authorization.k8s.io", "v1", "Role"), "role-rbac-v1.json");
    }
}
