//! The observed state of a reconciliation, as plain data. Reads nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use agora_crd::{Reason, USABLE_FOR};
use agora_vocab::Secret;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

pub use crate::decide::condition_error::ConditionError;
use crate::decide::credentials::Credentials;
use crate::decide::data_guard::DataRecord;
use crate::decide::purpose::{Purpose, Purposes};
use crate::kinds::{Kind, ObjectKey};

#[derive(Clone, Debug)]
pub struct Observed {
    pub children: Children,
    /// Values of the existing Secrets, and generated ones where no Secret exists.
    pub credentials: Credentials,
    /// The Secrets that the spec refers to, by name.
    pub referenced_secrets: BTreeMap<String, ReferencedSecret>,
    /// `None` before the first inspection.
    pub databases: Option<DatabasesObservation>,
    /// `None` before the first inspection.
    pub topics: Option<TopicsObservation>,
    /// `None` before the first inspection.
    pub redis: Option<RedisObservation>,
    /// `None` before the first inspection.
    pub services: Option<ServicesObservation>,
    /// Why the API server refuses the pods of Jobs that have none, by the name of the Job.
    pub refusals: BTreeMap<String, String>,
    pub now: OffsetDateTime,
}

/// The existing children, by kind and name.
#[derive(Clone, Debug, Default)]
pub struct Children(pub BTreeMap<ObjectKey, Arc<DynamicObject>>);

impl Children {
    pub fn get(&self, key: &ObjectKey) -> Option<&DynamicObject> {
        self.0.get(key).map(AsRef::as_ref)
    }

    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &DynamicObject> {
        self.0.iter().filter(move |(key, _)| key.kind == kind).map(|(_, object)| object.as_ref())
    }

    /// `None` also if the object does not have the shape of `T`.
    pub fn typed<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let object = self.get(&ObjectKey::new(kind, name))?;
        serde_json::to_value(object).ok().and_then(|value| serde_json::from_value(value).ok())
    }

    pub fn deployment(&self, name: &str) -> Option<Deployment> {
        self.typed(Kind::Deployment, name)
    }

    pub fn job(&self, name: &str) -> Option<Job> {
        self.typed(Kind::Job, name)
    }

    /// The values of a ConfigMap.
    pub fn config_map(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.typed::<ConfigMap>(Kind::ConfigMap, name)?.data
    }

    /// The decoded values of a Secret.
    pub fn secret(&self, name: &str) -> Option<BTreeMap<String, Secret>> {
        self.get(&ObjectKey::new(Kind::Secret, name)).map(secret_values)
    }
}

/// The decoded values of a Secret, without those that are not UTF-8.
pub fn secret_values(object: &DynamicObject) -> BTreeMap<String, Secret> {
    let data = object.data.get("data").and_then(serde_json::Value::as_object).into_iter().flatten();
    data.filter_map(|(name, value)| {
        let bytes = BASE64_STANDARD.decode(value.as_str()?).ok()?;
        Some((name.clone(), Secret::new(String::from_utf8(bytes).ok()?)))
    })
    .collect()
}

/// Keys of a Secret of type `kubernetes.io/tls`, and how their values begin a part.
pub const CERTIFICATE: &str = "tls.crt";
pub const CERTIFICATE_KEY: &str = "tls.key";
const PARTS: [(&str, &str); 2] = [(CERTIFICATE, "-----BEGIN CERTIFICATE-----"), (CERTIFICATE_KEY, " PRIVATE KEY-----")];

/// A Secret that the spec refers to.
#[derive(Clone, Debug)]
pub enum ReferencedSecret {
    Usable {
        values: BTreeMap<String, Secret>,
        purposes: Purposes,
    },
    /// It exists without the label that allows a Marketplace to use it.
    NotUsable,
    /// The operator may not read it.
    Forbidden,
    /// Whether it exists is not known: the API server failed to answer, with this error.
    Unread(String),
    Missing,
}

impl Observed {
    /// The values of a referenced Secret, or why it cannot be used for this purpose.
    pub fn referenced_secret(
        &self,
        name: &str,
        purpose: &Purpose,
    ) -> Result<&BTreeMap<String, Secret>, ConditionError> {
        let label = agora_crd::USABLE;
        match self.referenced_secrets.get(name) {
            Some(ReferencedSecret::Usable { values, purposes }) if purposes.allow(purpose) => Ok(values),
            Some(ReferencedSecret::Usable { .. }) => Err(ConditionError::new(
                Reason::SecretNotUsable,
                format!(
                    "Secret {name} may not be used for {purpose}: add that to the Secret's annotation {USABLE_FOR} (a login of \
                     a data server can never be used for env)"
                ),
            )),
            Some(ReferencedSecret::NotUsable) => Err(ConditionError::new(
                Reason::SecretNotUsable,
                format!(
                    "Secret {name} lacks the label {label}=\"true\", without which a Marketplace may not use it: add the \
                     label, and the annotation {USABLE_FOR}=\"{purpose}\", to the Secret"
                ),
            )),
            Some(ReferencedSecret::Forbidden) => Err(ConditionError::new(
                Reason::Forbidden,
                format!("the operator may not read Secret {name}: compare the operator's Role with the chart's"),
            )),
            Some(ReferencedSecret::Unread(error)) => Err(ConditionError::new(
                Reason::WaitingForDependency,
                format!("cannot read Secret {name} ({error}): it is read again; check the API server"),
            )),
            Some(ReferencedSecret::Missing) | None => Err(ConditionError::new(
                Reason::SecretMissing,
                format!(
                    "Secret {name} does not exist in this namespace: create it with the label {label}=\"true\" and the \
                     annotation {USABLE_FOR}=\"{purpose}\""
                ),
            )),
        }
    }

    /// A login name or password of a referenced Secret, without the line break that `echo` and editors append.
    pub fn secret_text(&self, name: &str, key: &str, purpose: &Purpose) -> Result<Secret, ConditionError> {
        let value = self.secret_value(name, key, purpose)?.expose().trim_end_matches(['\r', '\n']);
        if value.is_empty() || value.chars().any(char::is_control) {
            let what = if value.is_empty() { "is empty" } else { "contains a line break or another control character" };
            let message = format!("key {key} of Secret {name} {what}: correct the value");
            return Err(ConditionError::new(Reason::SecretCorrupt, message));
        }
        Ok(Secret::new(value))
    }

    /// Whether a referenced Secret has a certificate and a key. Whether they belong together is for the one that uses them.
    pub fn certificate(&self, name: &str) -> Result<(), ConditionError> {
        for (key, part) in PARTS {
            if !self.secret_value(name, key, &Purpose::Tls)?.expose().contains(part) {
                let message = format!("key {key} of Secret {name} is not in PEM form: correct the value");
                return Err(ConditionError::new(Reason::SecretCorrupt, message));
            }
        }
        Ok(())
    }

    /// One value of a referenced Secret.
    pub fn secret_value(&self, name: &str, key: &str, purpose: &Purpose) -> Result<&Secret, ConditionError> {
        self.referenced_secret(name, purpose)?.get(key).ok_or_else(|| {
            ConditionError::new(Reason::SecretMissing, format!("Secret {name} has no key {key}: add the key"))
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasesObservation {
    /// Fingerprint of the desired databases that this inspection compared with.
    pub desired: String,
    /// The server's connection limit, or why the server could not be inspected.
    pub connections: Result<i32, ConditionError>,
    /// By database name; empty if the server could not be inspected.
    pub databases: BTreeMap<String, Result<(), ConditionError>>,
    /// What exists on the server; `None` if it could not be inspected.
    pub record: Option<DataRecord>,
}

impl Default for DatabasesObservation {
    fn default() -> Self {
        Self { desired: String::new(), connections: Ok(0), databases: BTreeMap::new(), record: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicsObservation {
    /// Fingerprint of the desired topics that this inspection compared with.
    pub desired: String,
    /// By topic name, or why the broker could not be inspected.
    pub topics: Result<BTreeMap<String, Result<(), ConditionError>>, ConditionError>,
    /// What exists at the broker; `None` if it could not be inspected.
    pub record: Option<DataRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisObservation {
    /// Fingerprint of the desired Redis that this inspection compared with.
    pub desired: String,
    pub answer: Result<(), ConditionError>,
}

/// What the services report of themselves at their admin ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicesObservation {
    /// By the name of the service.
    pub services: BTreeMap<String, Evidence>,
}

/// What one service reports of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It has not answered this operator yet. The operator may not reach it at all, so this is no evidence of a failure.
    NeverAnswered,
    /// It answered before and does not answer any more, with the error of the last attempt.
    Silent(String),
    /// Its dependencies that are not available, with the reasons.
    Reported(BTreeMap<String, String>),
}

/// The results of the last inspections of one Marketplace's data servers; `None` before the first one.
#[derive(Clone, Debug, Default)]
pub struct LastInspection {
    pub databases: Option<DatabasesObservation>,
    pub topics: Option<TopicsObservation>,
    pub redis: Option<RedisObservation>,
    pub services: Option<ServicesObservation>,
}
