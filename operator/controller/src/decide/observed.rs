//! What a reconcile has read, as plain data. Nothing here reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use agora_crd::Reason;
use agora_vocab::Secret;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::decide::credentials::Credentials;
use crate::kinds::{Kind, ObjectKey};

/// What a reconcile has read.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The children that exist.
    pub children: Children,
    /// Passwords and keys: those of the Secrets, and drawn ones where there is no Secret yet.
    pub credentials: Credentials,
    /// The Secrets that the spec names.
    pub named: BTreeMap<String, Named>,
    /// The last look at the database server.
    pub databases: Option<DatabasesOutcome>,
    /// The last look at the broker.
    pub topics: Option<TopicsOutcome>,
    /// The last look at Redis.
    pub redis: Option<RedisOutcome>,
    /// When this was read.
    pub now: OffsetDateTime,
}

/// Children by kind and name.
#[derive(Clone, Debug, Default)]
pub struct Children(pub BTreeMap<ObjectKey, Arc<DynamicObject>>);

impl Children {
    /// The child, where it exists.
    pub fn get(&self, key: &ObjectKey) -> Option<&DynamicObject> {
        self.0.get(key).map(AsRef::as_ref)
    }

    /// Every child of that kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &DynamicObject> {
        self.0.iter().filter(move |(key, _)| key.kind == kind).map(|(_, object)| object.as_ref())
    }

    /// A child as its own type.
    pub fn typed<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        let object = self.get(&ObjectKey::new(kind, name))?;
        serde_json::to_value(object).ok().and_then(|value| serde_json::from_value(value).ok())
    }

    /// A Deployment.
    pub fn deployment(&self, name: &str) -> Option<Deployment> {
        self.typed(Kind::Deployment, name)
    }

    /// A Job.
    pub fn job(&self, name: &str) -> Option<Job> {
        self.typed(Kind::Job, name)
    }

    /// The values of a Secret, decoded.
    pub fn secret(&self, name: &str) -> Option<BTreeMap<String, Secret>> {
        self.get(&ObjectKey::new(Kind::Secret, name)).map(secret_values)
    }

    /// An annotation of a child.
    pub fn annotation(&self, key: &ObjectKey, name: &str) -> Option<&str> {
        self.get(key)?.annotations().get(name).map(String::as_str)
    }
}

/// The values of a Secret, decoded; those that are no text are left out.
pub fn secret_values(object: &DynamicObject) -> BTreeMap<String, Secret> {
    let data = object.data.get("data").and_then(serde_json::Value::as_object).into_iter().flatten();
    data.filter_map(|(name, value)| {
        let bytes = BASE64_STANDARD.decode(value.as_str()?).ok()?;
        Some((name.clone(), Secret::new(String::from_utf8(bytes).ok()?)))
    })
    .collect()
}

/// A Secret that the spec names.
#[derive(Clone, Debug)]
pub enum Named {
    /// It may be used; its values.
    Usable(BTreeMap<String, Secret>),
    /// It exists without the label.
    NotUsable,
    /// It does not exist.
    Missing,
}

/// Why something is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The reason of the condition.
    pub reason: Reason,
    /// The object and the remedy.
    pub message: String,
}

impl Trouble {
    /// A trouble of that reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl Observed {
    /// The values of a named Secret, or why they may not be used.
    pub fn named(&self, name: &str) -> Result<&BTreeMap<String, Secret>, Trouble> {
        match self.named.get(name) {
            Some(Named::Usable(values)) => Ok(values),
            Some(Named::NotUsable) => Err(Trouble::new(
                Reason::SecretNotUsable,
                format!("Secret {name} lacks the label {}=\"true\": whoever may label it decides", agora_crd::USABLE),
            )),
            Some(Named::Missing) | None => Err(Trouble::new(
                Reason::SecretMissing,
                format!(
                    "Secret {name} does not exist in this namespace: create it with the label {}=\"true\"",
                    agora_crd::USABLE
                ),
            )),
        }
    }

    /// One value of a named Secret.
    pub fn value(&self, name: &str, key: &str) -> Result<&Secret, Trouble> {
        self.named(name)?
            .get(key)
            .ok_or_else(|| Trouble::new(Reason::SecretMissing, format!("Secret {name} has no key {key}: add it")))
    }
}

/// A look at the database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasesOutcome {
    /// Fingerprint of what was wanted then.
    pub wanted: String,
    /// What the server takes, or why it could not be asked.
    pub connections: Result<i32, Trouble>,
    /// By database.
    pub databases: BTreeMap<String, Result<(), Trouble>>,
}

/// A look at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicsOutcome {
    /// Fingerprint of what was wanted then.
    pub wanted: String,
    /// By topic, or why the broker could not be asked.
    pub topics: Result<BTreeMap<String, Result<(), Trouble>>, Trouble>,
}

/// A look at Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOutcome {
    /// Fingerprint of what was wanted then.
    pub wanted: String,
    /// Whether it answered.
    pub answer: Result<(), Trouble>,
}

/// The last looks at what belongs to one Marketplace.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// At the database server.
    pub databases: Option<DatabasesOutcome>,
    /// At the broker.
    pub topics: Option<TopicsOutcome>,
    /// At Redis.
    pub redis: Option<RedisOutcome>,
}
