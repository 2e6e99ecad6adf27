//! The payment provider of the spec.

use std::collections::BTreeMap;

use agora_crd::{Payments, Reason};
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::ReferencedSecret;
use agora_operator::decide::plan::plan;
use agora_operator::decide::purpose::{Purpose, Purposes};
use agora_operator::kinds::{Kind, ObjectKey};
use agora_vocab::Secret;
use serde_json::{Value, json};

use crate::fixture::{Fixture, MINIMAL};

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
