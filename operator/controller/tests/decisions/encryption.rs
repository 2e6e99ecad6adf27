//! The keys that services encrypt stored secrets under: one Secret for each of them.

use agora_operator::cluster::credentials::credentials;
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::Children;
use agora_operator::kinds::{Kind, ObjectKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::fixture::{Fixture, MINIMAL};
use crate::status::{check, of};

/// A service that stores secrets, its Secret, and a word of what is lost with its key.
const SERVICES: [(&str, &str, &str); 2] =
    [("payment", "shop-payment-encryption", "payments"), ("notification", "shop-notification-encryption", "webhooks")];

/// The children with this Secret of encryption keys.
fn with_keys(secret: &str, data: &[(&str, &str)]) -> Children {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(BASE64_STANDARD.encode(value)))).collect();
    let mut fixture = Fixture::new(MINIMAL);
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": data});
    fixture.add(&ObjectKey::new(Kind::Secret, secret), body, Value::Null);
    fixture.observed.children
}

#[test]
fn pa7_an_encryption_key_is_generated_once_and_rotates_when_it_is_moved_to_previous() {
    for (service, secret, _) in SERVICES {
        let keys =
            |children: &Children| credentials("shop", children).unwrap().encryption.remove(service).unwrap().unwrap();
        let first = keys(&Children::default());
        assert_eq!(first.current, first.previous);
        assert_eq!(BASE64_STANDARD.decode(first.current.expose()).unwrap().len(), 32);
        let current = first.current.expose();
        let same = keys(&with_keys(secret, &[("current", current), ("previous", current)]));
        assert_eq!((&same.current, &same.previous), (&first.current, &first.current));
        let rotated = keys(&with_keys(secret, &[("previous", current)]));
        assert_ne!(rotated.current, first.current);
        assert_eq!(rotated.previous, first.current);
    }
}

#[test]
fn pa7_each_service_that_stores_secrets_has_keys_of_its_own_and_reads_no_others() {
    let generated = credentials("shop", &Children::default()).unwrap().encryption;
    assert_eq!(generated.keys().copied().collect::<Vec<_>>(), ["notification", "payment"]);
    assert_ne!(generated["payment"].as_ref().unwrap().current, generated["notification"].as_ref().unwrap().current);
    let objects = Fixture::new(MINIMAL).migrated().objects();
    for (service, secret, _) in SERVICES {
        let key = ObjectKey::new(Kind::Secret, secret);
        let written = objects.iter().find(|object| object.key == key).unwrap();
        for name in ["current", "previous"] {
            let value = BASE64_STANDARD.decode(written.body["data"][name].as_str().unwrap()).unwrap();
            assert_eq!(String::from_utf8(value).unwrap(), format!("{service}-encryption-hunter2"), "{secret}: {name}");
        }
        let readers: Vec<&str> = objects
            .iter()
            .filter(|object| object.key.kind == Kind::Deployment && object.refers_to(&key))
            .map(|object| object.key.name.as_str())
            .collect();
        assert_eq!(readers, [format!("shop-{service}")], "{secret}");
    }
}

#[test]
fn pa7_the_keys_of_a_disabled_service_stay_with_its_database() {
    for (service, secret, _) in SERVICES {
        let mut fixture = Fixture::new(MINIMAL).migrated();
        fixture.service(service, "state: Disabled");
        let children = fixture.desired().children;
        assert!(matches!(children[&ObjectKey::new(Kind::Secret, secret)], Maybe::Want(_)), "{secret}");
        assert_eq!(children[&ObjectKey::new(Kind::Deployment, format!("shop-{service}"))], Maybe::Gone);
    }
}

#[test]
fn a_corrupt_encryption_key_is_reported_and_stays_and_the_rest_is_reconciled() {
    for (service, secret, lost) in SERVICES {
        let mut found = credentials("shop", &with_keys(secret, &[("current", "short")])).unwrap().encryption;
        let error = found.remove(service).unwrap().unwrap_err();
        assert!(error.message.contains(&format!("current of Secret {secret}")), "{}", error.message);
        assert!(error.message.contains(lost), "{}", error.message);
        assert!(found.values().all(Result::is_ok), "the keys of other services are usable");
        let mut fixture = Fixture::new(MINIMAL).migrated().running();
        fixture.observed.credentials.encryption.insert(service, Err(error));
        check(&of(&fixture), "CredentialsReady", "False", "SecretCorrupt");
        let children = fixture.desired().children;
        assert_eq!(children[&ObjectKey::new(Kind::Secret, secret)], Maybe::Hold);
        assert!(matches!(children[&ObjectKey::new(Kind::Deployment, "shop-order")], Maybe::Want(_)));
    }
}
