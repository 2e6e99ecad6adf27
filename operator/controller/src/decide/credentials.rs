//! Passwords and keys of a Marketplace, and the names of their Secrets. Plain data.

use std::collections::BTreeMap;

use agora_vocab::Secret;

/// Passwords and keys of one Marketplace.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Password of each service's login, by service.
    pub databases: BTreeMap<&'static str, Credential<Secret>>,
    /// What internal tokens are signed with.
    pub internal: Credential<Secret>,
    /// What access tokens are signed with.
    pub signing: Credential<SigningKeys>,
    /// The first admin.
    pub admin: Credential<AdminLogin>,
}

/// A value and where it is from.
#[derive(Clone, Debug)]
pub struct Credential<T> {
    /// The value.
    pub value: T,
    /// Whether it was drawn just now: its Secret must be created, and not overwritten.
    pub drawn: bool,
}

/// The key that signs and the one that will.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// PKCS #8 PEM of the key that signs.
    pub current: Secret,
    /// PKCS #8 PEM of the key that will.
    pub next: Secret,
    /// The public halves, as `jwks.json`.
    pub jwks: String,
}

/// The first admin.
#[derive(Clone, Debug)]
pub struct AdminLogin {
    /// E-mail address.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// Name of the Secret with a service's database login.
pub fn database_secret(marketplace: &str, service: &str) -> String {
    format!("{marketplace}-{service}-database")
}

/// Name of the Secret of internal tokens.
pub fn internal_secret(marketplace: &str) -> String {
    format!("{marketplace}-internal")
}

/// Name of the Secret of access tokens' keys.
pub fn signing_secret(marketplace: &str) -> String {
    format!("{marketplace}-signing")
}

/// Name of the Secret of the first admin.
pub fn admin_secret(marketplace: &str) -> String {
    format!("{marketplace}-admin")
}
