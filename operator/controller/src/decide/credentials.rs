//! Passwords and keys of a Marketplace, and the names of their Secrets. Plain data.

use std::collections::BTreeMap;

use agora_keyring::KeySet;
use agora_vocab::Secret;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::decide::condition_error::ConditionError;

#[derive(Clone, Debug)]
pub struct Credentials {
    /// Password of each service's database login, by service.
    pub databases: BTreeMap<&'static str, Secret>,
    /// Masters of the keys of calls between services.
    pub internal: InternalMasters,
    /// Keys that sign access tokens of users, or why the existing ones cannot be read.
    pub signing: Result<SigningKeys, ConditionError>,
    /// Keys that each service that stores secrets encrypts them under, by service, or why the existing ones cannot be used.
    pub encryption: BTreeMap<&'static str, Result<EncryptionKeys, ConditionError>>,
    /// Login of the first admin of the shop.
    pub admin: AdminLogin,
}

impl Credentials {
    /// When keys are replaced or withdrawn next.
    pub fn change_at(&self, period: Duration) -> Option<OffsetDateTime> {
        let signing = self.signing.as_ref().ok();
        let withdrawn = signing.and_then(|keys| keys.published.changes_at);
        let replaced = signing.and_then(|keys| keys.rotated.due_at(period));
        [withdrawn, replaced, self.internal.rotated.due_at(period)].into_iter().flatten().min()
    }
}

/// The masters that the keys of each caller and callee are derived from. Services have only derived keys: those of the current
/// one sign, those of all three are accepted, so that pods may take over a rotation in any order.
#[derive(Clone, Debug)]
pub struct InternalMasters {
    pub current: Secret,
    pub next: Secret,
    /// `None` before the first rotation.
    pub previous: Option<Secret>,
    pub rotated: LastRotation,
}

impl InternalMasters {
    /// The keys of all pairs.
    pub fn keys(&self) -> KeySet {
        let masters = [Some(&self.current), Some(&self.next), self.previous.as_ref()];
        let texts: Vec<&str> = masters.into_iter().flatten().map(Secret::expose).collect();
        KeySet::parse(&Secret::new(texts.join(",")))
    }
}

/// When keys were rotated last; `None`: no Secret records it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastRotation(pub Option<OffsetDateTime>);

impl LastRotation {
    /// Reads the record of a Secret.
    pub fn parse(record: Option<&str>) -> Self {
        Self(record.and_then(|text| OffsetDateTime::parse(text.trim(), &Rfc3339).ok()))
    }

    /// Whether keys of this age are to be replaced. Records `now` if so, and in place of no record or one of the future.
    pub fn advance(&mut self, now: OffsetDateTime, period: Duration) -> bool {
        let due = self.0.is_some_and(|last| now - last >= period);
        if due || self.0.is_none_or(|last| last > now) {
            self.0 = Some(now.replace_nanosecond(0).unwrap_or(now));
        }
        due
    }

    /// The record, in whole seconds.
    pub fn text(self) -> String {
        self.0.and_then(|last| last.format(&Rfc3339).ok()).unwrap_or_default()
    }

    /// When the keys are replaced.
    pub fn due_at(self, period: Duration) -> Option<OffsetDateTime> {
        self.0.map(|last| last + period)
    }
}

/// The current key signs; the next key is published already, so that a rotation needs no pause.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// PKCS #8 PEM.
    pub current: Secret,
    /// PKCS #8 PEM.
    pub next: Secret,
    /// The public keys, those of earlier signing keys among them.
    pub published: PublicKeySet,
    pub rotated: LastRotation,
}

/// What the ConfigMap of the public keys contains. It is also the record of the keys that were published before, so that a
/// restart of the operator withdraws none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeySet {
    /// The public keys as a JSON Web Key Set, the one part that services read.
    pub jwks: String,
    /// Since when each of them is no signing key any more, by its id, as a JSON object.
    pub retired: String,
    /// When the next retired key is withdrawn.
    pub changes_at: Option<OffsetDateTime>,
}

impl PublicKeySet {
    /// Of live keys alone.
    pub fn live(jwks: String) -> Self {
        Self { jwks, retired: "{}".to_owned(), changes_at: None }
    }
}

/// The current key encrypts; what was encrypted under the previous key is still read. Equal before the first rotation. Each is
/// 32 bytes in Base64.
#[derive(Clone, Debug)]
pub struct EncryptionKeys {
    pub current: Secret,
    pub previous: Secret,
}

/// Most keys that are taken over from a ConfigMap. Each loss of a Secret retires two.
const RESTORED_KEYS_MAX: usize = 16;

/// The public keys that a Marketplace has published. After the Secret of the signing keys was lost, the user service goes on signing
/// with the lost key until the new one has reached every service; tokens of the lost key stay valid until they have expired.
#[derive(Clone, Debug, Default)]
pub struct PublishedKeys {
    keys: BTreeMap<String, PublishedKey>,
    /// Whether the keys that an earlier process published were taken over.
    restored: bool,
}

#[derive(Clone, Debug)]
struct PublishedKey {
    jwk: Value,
    /// Since when it is no signing key any more.
    retired: Option<OffsetDateTime>,
}

impl PublishedKeys {
    /// Takes over what an earlier process published, at the first call. A key without a time counts as a live one until now,
    /// and a time in the future as now.
    pub fn restore(&mut self, stored: Option<(&str, &str)>, now: OffsetDateTime) {
        if std::mem::replace(&mut self.restored, true) {
            return;
        }
        let Some((jwks, retired)) = stored else { return };
        let retired: BTreeMap<String, String> = serde_json::from_str(retired).unwrap_or_default();
        let since = |kid: &str| Some(OffsetDateTime::parse(retired.get(kid)?, &Rfc3339).ok()?.min(now));
        let keys = keys_of(jwks).into_iter().filter(|jwk| !id(jwk).is_empty()).take(RESTORED_KEYS_MAX);
        self.keys.extend(keys.map(|jwk| (id(&jwk), PublishedKey { retired: since(&id(&jwk)), jwk })));
    }

    /// The key set with the live keys of `jwks` and those that were retired less than `keep` ago. The live ones are stored if
    /// `stored`: those of a Secret that is still to be written may be drawn again.
    pub fn publish(&mut self, jwks: &str, stored: bool, now: OffsetDateTime, keep: Duration) -> PublicKeySet {
        let live = keys_of(jwks);
        for (kid, key) in &mut self.keys {
            let is_live = live.iter().any(|jwk| id(jwk) == *kid);
            key.retired = if is_live { None } else { key.retired.or(Some(now)) };
        }
        self.keys.retain(|_, key| key.retired.is_none_or(|retired| now - retired < keep));
        let retired = || self.keys.iter().filter_map(|(kid, key)| Some((kid, &key.jwk, key.retired?)));
        let text = |since: OffsetDateTime| since.replace_nanosecond(0).unwrap_or(since).format(&Rfc3339).ok();
        let since: BTreeMap<&String, String> = retired().filter_map(|(kid, _, at)| Some((kid, text(at)?))).collect();
        let keys: Vec<Value> = live.iter().cloned().chain(retired().map(|(_, jwk, _)| jwk.clone())).collect();
        let set = PublicKeySet {
            jwks: json!({ "keys": keys }).to_string(),
            retired: json!(since).to_string(),
            changes_at: retired().map(|(_, _, since)| since + keep).min(),
        };
        if stored {
            self.keys.extend(live.into_iter().map(|jwk| (id(&jwk), PublishedKey { jwk, retired: None })));
        }
        set
    }
}

fn keys_of(jwks: &str) -> Vec<Value> {
    let set: Value = serde_json::from_str(jwks).unwrap_or_default();
    set["keys"].as_array().cloned().unwrap_or_default()
}

fn id(jwk: &Value) -> String {
    jwk["kid"].as_str().unwrap_or_default().to_owned()
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

/// Key of a Secret with the time of the last rotation of its keys.
pub const ROTATED: &str = "rotated-at";

/// Name of the Secret with the masters of the keys of internal tokens, which no pod mounts.
pub fn internal_secret(marketplace: &str) -> String {
    format!("{marketplace}-internal")
}

/// Name of the Secret with the keys of a service's own callers and callees.
pub fn call_keys_secret(marketplace: &str, service: &str) -> String {
    format!("{marketplace}-{service}-call-keys")
}

/// Key of that Secret with the text that the service reads.
pub const CALL_KEYS: &str = "keys";

/// Keys of the Secret with the keys of access tokens.
pub const SIGNING_KEYS: [&str; 2] = ["current.pem", "next.pem"];

/// Name of the Secret with the keys of access tokens.
pub fn signing_secret(marketplace: &str) -> String {
    format!("{marketplace}-signing")
}

/// Name of the ConfigMap with the public keys of access tokens.
pub fn jwks_name(marketplace: &str) -> String {
    format!("{marketplace}-jwks")
}

/// Key of that ConfigMap with the key set.
pub const JWKS: &str = "jwks.json";
/// Key of that ConfigMap with the times since when keys are retired.
pub const RETIRED_KEYS: &str = "retired.json";

/// Name of the Secret with the keys that a service encrypts stored secrets under.
pub fn encryption_secret(marketplace: &str, service: &str) -> String {
    format!("{marketplace}-{service}-encryption")
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
    fn gw8_a_lost_key_stays_published_until_its_tokens_have_expired() {
        let (mut keys, start, keep) =
            (PublishedKeys::default(), datetime!(2026-01-01 00:00 UTC), Duration::minutes(20));
        let mut publish = |set: &str, stored, now| keys.publish(set, stored, now, keep);
        assert_eq!(publish(&set(&["a", "b"]), true, start), PublicKeySet::live(set(&["a", "b"])));
        // The Secret is lost; what is drawn before it is stored is drawn again.
        assert_eq!(publish(&set(&["x", "y"]), false, start).jwks, set(&["x", "y", "a", "b"]));
        assert_eq!(publish(&set(&["c", "d"]), false, start).jwks, set(&["c", "d", "a", "b"]));
        assert_eq!(publish(&set(&["c", "d"]), true, start).jwks, set(&["c", "d", "a", "b"]));
        let last = publish(&set(&["c", "d"]), true, start + keep - Duration::SECOND);
        assert_eq!((last.jwks, last.changes_at), (set(&["c", "d", "a", "b"]), Some(start + keep)));
        assert_eq!(publish(&set(&["c", "d"]), true, start + keep), PublicKeySet::live(set(&["c", "d"])));
    }

    #[test]
    fn a_restart_withdraws_no_key_and_keeps_none_for_longer() {
        let (start, keep) = (datetime!(2026-01-01 00:00 UTC), Duration::minutes(20));
        let mut before = PublishedKeys::default();
        before.publish(&set(&["a", "b"]), true, start, keep);
        let written = before.publish(&set(&["c", "d"]), true, start, keep);
        let restarted = |now| {
            let mut after = PublishedKeys::default();
            after.restore(Some((&written.jwks, &written.retired)), now);
            after.publish(&set(&["c", "d"]), true, now, keep)
        };
        assert_eq!(restarted(start + Duration::MINUTE), written);
        assert_eq!(restarted(start + keep), PublicKeySet::live(set(&["c", "d"])));

        // The Secret was lost while no operator ran: since then at the latest.
        let mut after = PublishedKeys::default();
        after.restore(Some((&set(&["a", "b"]), "{}")), start);
        let found = after.publish(&set(&["c", "d"]), true, start, keep);
        assert_eq!((found.jwks.clone(), found.changes_at), (set(&["c", "d", "a", "b"]), Some(start + keep)));
        // Only once: what is found later may have been written by another client.
        after.restore(Some((&set(&["z"]), "{}")), start);
        assert_eq!(after.publish(&set(&["c", "d"]), true, start, keep), found);
    }

    #[test]
    fn what_is_no_record_of_keys_restores_none_and_a_future_time_counts_as_now() {
        let (now, keep) = (datetime!(2026-01-01 00:00 UTC), Duration::minutes(20));
        for stored in [None, Some(("", "")), Some(("[]", "[]")), Some((r#"{"keys":[1,{"x":"y"}]}"#, "{}"))] {
            let mut keys = PublishedKeys::default();
            keys.restore(stored, now);
            assert_eq!(keys.publish(&set(&["a"]), true, now, keep), PublicKeySet::live(set(&["a"])), "{stored:?}");
        }
        let mut keys = PublishedKeys::default();
        keys.restore(Some((&set(&["z"]), r#"{"z":"2099-01-01T00:00:00Z"}"#)), now);
        let set = keys.publish(&set(&["a"]), true, now, keep);
        assert_eq!(set.changes_at, Some(now + keep));
        assert_eq!(set.retired, r#"{"z":"2026-01-01T00:00:00Z"}"#);
    }

    #[test]
    fn a_key_that_comes_back_is_live_again() {
        let (mut keys, start, keep) =
            (PublishedKeys::default(), datetime!(2026-01-01 00:00 UTC), Duration::minutes(20));
        keys.publish(&set(&["a"]), true, start, keep);
        keys.publish(&set(&["b"]), false, start, keep);
        assert_eq!(keys.publish(&set(&["a"]), true, start + keep * 2, keep), PublicKeySet::live(set(&["a"])));
    }
}
