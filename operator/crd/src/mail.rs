//! `spec.mail`: the mail server, and the sender of mails. Must not depend on the controller.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{SecretRef, Tls, rules};

/// The mail server, and the sender of mails.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    /// The server that mails are handed to.
    pub smtp: Smtp,
    /// Sender of every mail, for example `Shop <shop@example.com>`.
    #[schemars(length(min = 3, max = 320), regex(pattern = r"^([^<>\r\n]* )?<?[^<>@\s]+@[^<>@\s]+>?$"))]
    pub from: String,
    /// Whether a mail loads a picture by which opening it is noticed.
    #[serde(default)]
    pub open_tracking: OpenTracking,
}

/// The server that mails are handed to.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Smtp {
    /// Host name or address of the server.
    #[schemars(length(min = 1, max = 253), regex(pattern = rules::HOST))]
    pub host: String,
    /// Port of the server. At port 465, TLS begins with the connection; at others, by `STARTTLS`.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// TLS of the connection. Default: disabled in profile Development, verified with the system's roots in others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Secret of type `kubernetes.io/basic-auth` with the login. Its annotation lists `smtp=<host>:<port>`, or `smtp` for any
    /// server. Default: no login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

fn port() -> i32 {
    587
}

/// Whether opening a mail is noticed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum OpenTracking {
    /// The first opening of a mail is stored with its notification.
    Enabled,
    /// Mails load nothing.
    #[default]
    Disabled,
}
