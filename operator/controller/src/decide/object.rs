//! One child as it should be. Pure.

use kube::Resource;
use serde::Serialize;
use serde_json::{Value, json};

use crate::kinds::{Kind, ObjectKey};
use crate::names;

/// Annotation on every child: hash of the object as it was wanted, so that a field that is wanted no more is noticed.
pub const DESIRED_HASH: &str = "agoraplatform.dev/desired-hash";
/// Annotation on Deployments: `Automatic` or `Fixed`.
pub const SCALING: &str = "agoraplatform.dev/scaling";
const HASH_DIGITS: usize = 16;

/// Which of the status's groups a child belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Secrets.
    Credentials,
    /// Migrations, Deployments and what belongs to them.
    Workloads,
    /// Autoscalers.
    Autoscaling,
    /// The way in.
    Route,
}

/// How a child is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Server-side apply, whenever something differs.
    Apply,
    /// Created where it is absent, then left alone: its template cannot change.
    Once,
    /// Holds values that were drawn just now: created, and never written over one that appeared meanwhile.
    Drawn,
    /// Server-side apply without `replicas`, which belong to the autoscaler; at first this many.
    Scaled(i32),
}

/// One child as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Kind and name.
    pub key: ObjectKey,
    /// Its group in the status.
    pub group: Group,
    /// How it is written.
    pub write: Write,
    /// The whole object.
    pub body: Value,
}

impl Object {
    /// The object of a typed one, with its hash noted.
    pub fn new<T: Resource + Serialize>(kind: Kind, group: Group, write: Write, typed: &T) -> Self {
        let mut body = serde_json::to_value(typed).unwrap_or_default();
        let api = kind.resource();
        body["apiVersion"] = json!(api.api_version);
        body["kind"] = json!(api.kind);
        let hash = names::short_hash(&body.to_string(), HASH_DIGITS);
        body["metadata"]["annotations"][DESIRED_HASH] = json!(hash);
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Self { key: ObjectKey { kind, name }, group, write, body }
    }

    /// The hash of this object.
    pub fn hash(&self) -> &str {
        self.body["metadata"]["annotations"][DESIRED_HASH].as_str().unwrap_or_default()
    }
}
