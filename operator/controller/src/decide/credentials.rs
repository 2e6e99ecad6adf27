//! Passwords and keys of a Marketplace, and the names of their Secrets. Plain data.

use std::collections::BTreeMap;

use agora_vocab::Secret;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

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

/// The public keys that a Marketplace has published. After the Secret of the signing keys was lost, the user service goes on signing
/// with the lost key until the new one has reached every service; tokens of the lost key stay valid until they have expired.
#[derive(Clone, Debug, Default)]
pub struct PublishedKeys(BTreeMap<String, PublishedKey>);

#[derive(Clone, Debug)]
struct PublishedKey {
    jwk: Value,
    /// Since when it is no signing key any more.
    retired: Option<OffsetDateTime>,
}

impl PublishedKeys {
    /// The key set with the live keys of `jwks` and those that were retired less than `keep` ago. The live ones are remembered if
    /// `stored`: those of a Secret that is still to be written may be drawn again.
    pub fn publish(&mut self, jwks: &str, stored: bool, now: OffsetDateTime, keep: Duration) -> String {
        let set: Value = serde_json::from_str(jwks).unwrap_or_default();
        let live: Vec<Value> = set["keys"].as_array().cloned().unwrap_or_default();
        let id = |jwk: &Value| jwk["kid"].as_str().unwrap_or_default().to_owned();
        for (kid, key) in &mut self.0 {
            let is_live = live.iter().any(|jwk| id(jwk) == *kid);
            key.retired = if is_live { None } else { key.retired.or(Some(now)) };
        }
        self.0.retain(|_, key| key.retired.is_none_or(|retired| now - retired < keep));
        let retired = self.0.values().filter(|key| key.retired.is_some()).map(|key| key.jwk.clone());
        let keys: Vec<Value> = live.iter().cloned().chain(retired).collect();
        if stored {
            self.0.extend(live.into_iter().map(|jwk| (id(&jwk), PublishedKey { jwk, retired: None })));
        }
        json!({ "keys": keys }).to_string()
    }
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

/// Keys of the Secret with the keys of access tokens.
pub const SIGNING_KEYS: [&str; 2] = ["current.pem", "next.pem"];

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

/// Name of the copy of a Secret that exists while the Secret itself is deleted and created again.
pub fn spare_secret(name: &str) -> String {
    format!("{name}.spare")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn set(kids: &[&str]) -> String {
        json!({"keys": kids.iter().map(|kid| json!({"kid": kid})).collect::<Vec<_>>()}).to_string()
    }

    #[test]
    fn a_lost_key_stays_published_until_its_tokens_have_expired() {
        let (mut keys, start, keep) =
            (PublishedKeys::default(), datetime!(2026-01-01 00:00 UTC), Duration::minutes(20));
        assert_eq!(keys.publish(&set(&["a", "b"]), true, start, keep), set(&["a", "b"]));
        // The Secret is lost; what is drawn before it is stored is drawn again.
        assert_eq!(keys.publish(&set(&["x", "y"]), false, start, keep), set(&["x", "y", "a", "b"]));
        assert_eq!(keys.publish(&set(&["c", "d"]), false, start, keep), set(&["c", "d", "a", "b"]));
        assert_eq!(keys.publish(&set(&["c", "d"]), true, start, keep), set(&["c", "d", "a", "b"]));
        let later = start + keep - Duration::SECOND;
        assert_eq!(keys.publish(&set(&["c", "d"]), true, later, keep), set(&["c", "d", "a", "b"]));
        assert_eq!(keys.publish(&set(&["c", "d"]), true, start + keep, keep), set(&["c", "d"]));
    }

    #[test]
    fn a_key_that_comes_back_is_live_again() {
        let (mut keys, start, keep) =
            (PublishedKeys::default(), datetime!(2026-01-01 00:00 UTC), Duration::minutes(20));
        keys.publish(&set(&["a"]), true, start, keep);
        keys.publish(&set(&["b"]), false, start, keep);
        assert_eq!(keys.publish(&set(&["a"]), true, start + keep * 2, keep), set(&["a"]));
    }
}
