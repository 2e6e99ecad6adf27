//! The payment provider of the spec, and the keys of encrypted tokens.

use std::collections::BTreeMap;

use agora_crd::{Payments, Reason};
use agora_operator::cluster::credentials::credentials;
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::{Children, ReferencedSecret};
use agora_operator::decide::plan::plan;
use agora_operator::decide::purpose::{Purpose, Purposes};
use agora_operator::kinds::{Kind, ObjectKey};
use agora_vocab::Secret;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::fixture::{Fixture, MINIMAL};
use crate::status::{check, of};

const ENCRYPTION: &str = "shop-encryption";

/// A shop with a provider at `base_url`, whose Secret has these keys and may be used for `purposes`.
fn shop(base_url: &str, keys: &[&str], purposes: &str) -> Fixture {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let payments = json!({
        "type": "StripeCompatible",
        "stripeCompatible": {"baseUrl": base_url, "secretRef": {"name": "stripe"}, "returnUrl": "https://shop.example/paid"},
    });
    fixture.market.spec.payments = Some(serde_json::from_value::<Payments>(payments).unwrap());
    let values: BTreeMap<_, _> = keys.iter().map(|key| ((*key).to_owned(), Secret::new("hunter2"))).collect();
    let secret = ReferencedSecret::Usable { values, purposes: Purposes::parse(purposes) };
    fixture.observed.referenced_secrets.insert("stripe".to_owned(), secret);
    fixture
}

fn body(fixture: &Fixture, kind: Kind, name: &str) -> Value {
    let key = ObjectKey::new(kind, name);
    fixture.objects().into_iter().find(|object| object.key == key).unwrap().body
}

#[test]
fn pa5_the_payment_service_gets_the_providers_address_and_keys_and_no_other_service_does() {
    let fixture = shop("https://api.stripe.com", &["api-key", "webhook-secret"], "payments=api.stripe.com:443");
    let settings = &body(&fixture, Kind::ConfigMap, "shop-payment")["data"];
    assert_eq!(settings["PAYMENT_PROVIDER"], "StripeCompatible");
    assert_eq!(settings["STRIPE_BASE_URL"], "https://api.stripe.com");
    assert_eq!(settings["STRIPE_RETURN_URL"], "https://shop.example/paid");
    assert_eq!(settings["STRIPE_API_KEY_FILE"], "/etc/agora/stripe-api-key");
    assert_eq!(settings["STRIPE_WEBHOOK_SECRET_FILE"], "/etc/agora/stripe-webhook-secret");
    for object in fixture.objects() {
        let text = object.body.to_string();
        let names_it = text.contains("\"name\":\"stripe\"") || text.contains("STRIPE_");
        assert_eq!(names_it, object.key.name == "shop-payment" && text.contains("stripe"), "{:?}", object.key);
        assert!(!text.contains("hunter2") || object.key.kind == Kind::Secret, "{:?}", object.key);
    }
    let policy = body(&fixture, Kind::NetworkPolicy, "shop-payment")["spec"]["egress"].to_string();
    assert!(policy.contains("\"port\":443"), "{policy}");
    assert!(!body(&fixture, Kind::NetworkPolicy, "shop-order")["spec"]["egress"].to_string().contains("443"));
    let without = shop("https://api.stripe.com", &["api-key"], "payments");
    let settings = &body(&without, Kind::ConfigMap, "shop-payment")["data"];
    assert!(settings["STRIPE_WEBHOOK_SECRET_FILE"].is_null() && !settings["STRIPE_API_KEY_FILE"].is_null());
}

#[test]
fn an_api_key_that_may_not_be_sent_to_the_provider_holds_payment_alone() {
    for (keys, purposes, reason) in [
        (&["api-key"][..], "payments=other.example:443", Reason::SecretNotUsable),
        (&["api-key"], "env", Reason::SecretNotUsable),
        (&["key"], "payments", Reason::SecretMissing),
    ] {
        let fixture = shop("https://api.stripe.com", keys, purposes);
        let desired = fixture.desired();
        assert_eq!(desired.waiting["payment"].reason, reason);
        assert_eq!(desired.children[&ObjectKey::new(Kind::Deployment, "shop-payment")], Maybe::Hold);
        assert!(matches!(desired.children[&ObjectKey::new(Kind::Deployment, "shop-order")], Maybe::Want(_)));
    }
}

#[test]
fn the_address_of_the_provider_has_the_port_of_its_scheme() {
    for (url, address) in [
        ("https://api.stripe.com", "api.stripe.com:443"),
        ("https://API.stripe.com/v2/", "api.stripe.com:443"),
        ("http://stripe.test", "stripe.test:80"),
        ("http://stripe.test:12111/base", "stripe.test:12111"),
        ("https://[fd00::5]", "[fd00::5]:443"),
        ("https://[fd00::5]:8443", "[fd00::5]:8443"),
    ] {
        let fixture = shop(url, &["api-key"], "payments");
        let login = plan(&fixture.market, Some(300)).0.stripe.unwrap().login();
        assert_eq!(login, Purpose::Payments(address.to_owned()), "{url}");
    }
}

/// The children with this Secret of the encryption keys.
fn with_keys(data: &[(&str, &str)]) -> Children {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(BASE64_STANDARD.encode(value)))).collect();
    let mut fixture = Fixture::new(MINIMAL);
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": ENCRYPTION}, "data": data});
    fixture.add(&ObjectKey::new(Kind::Secret, ENCRYPTION), body, Value::Null);
    fixture.observed.children
}

#[test]
fn pa7_the_encryption_key_is_generated_once_and_rotates_when_it_is_moved_to_previous() {
    let first = credentials("shop", &Children::default()).unwrap().encryption.unwrap();
    assert_eq!(first.current, first.previous);
    assert_eq!(BASE64_STANDARD.decode(first.current.expose()).unwrap().len(), 32);
    let current = first.current.expose();
    let same = credentials("shop", &with_keys(&[("current", current), ("previous", current)])).unwrap();
    assert_eq!(same.encryption.unwrap().current, first.current);
    let rotated = credentials("shop", &with_keys(&[("previous", current)])).unwrap().encryption.unwrap();
    assert_ne!(rotated.current, first.current);
    assert_eq!(rotated.previous, first.current);
}

#[test]
fn a_corrupt_encryption_key_is_reported_and_stays_and_the_rest_is_reconciled() {
    let error = credentials("shop", &with_keys(&[("current", "short")])).unwrap().encryption.unwrap_err();
    assert!(error.message.contains("current of Secret shop-encryption"), "{}", error.message);
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.observed.credentials.encryption = Err(error);
    check(&of(&fixture), "CredentialsReady", "False", "SecretCorrupt");
    let children = fixture.desired().children;
    assert_eq!(children[&ObjectKey::new(Kind::Secret, ENCRYPTION)], Maybe::Hold);
    assert!(matches!(children[&ObjectKey::new(Kind::Deployment, "shop-order")], Maybe::Want(_)));
}
