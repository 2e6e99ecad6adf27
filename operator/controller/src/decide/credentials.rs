//! Passwords and keys of a Marketplace, and the names of their Secrets. Plain data.

use std::collections::BTreeMap;

use agora_vocab::Secret;

use crate::decide::condition_error::ConditionError;

#[derive(Clone, Debug)]
pub struct Credentials {
    /// Password of each service's database login, by service.
    pub databases: BTreeMap<&'static str, Secret>,
    /// Key that signs the tokens of calls between services.
    pub internal: Secret,
    /// Keys that sign access tokens of users, or why the existing ones cannot be read.
    pub signing: Result<SigningKeys, ConditionError>,
    /// Keys that the tokens of cards are encrypted under, or why the existing ones cannot be used.
    pub encryption: Result<EncryptionKeys, ConditionError>,
    /// Login of the first admin of the shop.
    pub admin: AdminLogin,
}

/// The current key signs; the next key is published already, so that a rotation needs no pause.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// PKCS #8 PEM.
    pub current: Secret,
    /// PKCS #8 PEM.
    pub next: Secret,
    /// The public keys, as `jwks.json`.
    pub jwks: String,
}

/// The current key encrypts; what was encrypted under the previous key is still read. Equal before the first rotation. Each is
/// 32 bytes in Base64.
#[derive(Clone, Debug)]
pub struct EncryptionKeys {
    pub current: Secret,
    pub previous: Secret,
}

#[derive(Clone, Debug)]
pub struct AdminLogin {
    pub username: String,
    pub password: Secret,
}

/// Name of the Secret with a service's database login.
pub fn database_secret(marketplace: &str, service: &str) -> String {
    format!("{marketplace}-{service}-database")
}

/// Name of the Secret with the key of internal tokens.
pub fn internal_secret(marketplace: &str) -> String {
    format!("{marketplace}-internal")
}

/// Name of the Secret with the keys of access tokens.
pub fn signing_secret(marketplace: &str) -> String {
    format!("{marketplace}-signing")
}

/// Name of the Secret with the keys that tokens of cards are encrypted under.
pub fn encryption_secret(marketplace: &str) -> String {
    format!("{marketplace}-encryption")
}

/// Name of the Secret with the login of the first admin.
pub fn admin_secret(marketplace: &str) -> String {
    format!("{marketplace}-admin")
}
