//! The identity provider of the staff.

use std::collections::BTreeMap;

use agora_crd::{Reason, Staff};
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::ReferencedSecret;
use agora_operator::decide::purpose::Purposes;
use agora_operator::kinds::{Kind, ObjectKey};
use agora_vocab::Secret;
use serde_json::{Value, json};

use crate::fixture::{Fixture, MINIMAL};

/// A shop whose staff logs in at `issuer_url`, with a Secret that may be used for `purposes`.
fn shop(issuer_url: &str, purposes: &str) -> Fixture {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let staff = json!({
        "type": "OIDC",
        "oidc": {
            "issuerUrl": issuer_url, "clientId": "shop", "clientSecretRef": {"name": "sso"},
            "redirectUrl": "https://shop.example/staff/login",
            "roles": [{"role": "support", "groups": ["desk", "phone"]}, {"role": "admin", "groups": ["owners"]}],
        },
    });
    fixture.market.spec.identity.staff = Some(serde_json::from_value::<Staff>(staff).unwrap());
    let values = BTreeMap::from([("client-secret".to_owned(), Secret::new("hunter2"))]);
    let secret = ReferencedSecret::Usable { values, purposes: Purposes::parse(purposes) };
    fixture.observed.referenced_secrets.insert("sso".to_owned(), secret);
    fixture
}

fn body(fixture: &Fixture, kind: Kind, name: &str) -> Value {
    let key = ObjectKey::new(kind, name);
    fixture.objects().into_iter().find(|object| object.key == key).unwrap().body
}

#[test]
fn gw11_the_user_service_gets_the_identity_provider_and_no_other_service_does() {
    let fixture = shop("https://sso.example.com:8443/realms/shop", "oidc=sso.example.com:8443");
    let settings = &body(&fixture, Kind::ConfigMap, "shop-user")["data"];
    assert_eq!(settings["OIDC_ISSUER_URL"], "https://sso.example.com:8443/realms/shop");
    assert_eq!(settings["OIDC_CLIENT_ID"], "shop");
    assert_eq!(settings["OIDC_CLIENT_SECRET_FILE"], "/etc/agora/oidc-client-secret");
    assert_eq!(settings["OIDC_REDIRECT_URL"], "https://shop.example/staff/login");
    assert_eq!(settings["OIDC_GROUPS_CLAIM"], "groups");
    assert_eq!(settings["OIDC_ROLES"], "support=desk,support=phone,admin=owners");
    assert_eq!(settings["OIDC_PLAIN_HTTP"], "Enabled", "profile Development");
    for object in fixture.objects().into_iter().filter(|object| object.key.name != "shop-user") {
        let text = object.body.to_string();
        assert!(!text.contains("\"name\":\"sso\"") && !text.contains("OIDC_"), "{:?}", object.key);
    }
    let egress = |name| body(&fixture, Kind::NetworkPolicy, name)["spec"]["egress"].to_string();
    assert!(egress("shop-user").contains("\"port\":8443"), "{}", egress("shop-user"));
    assert!(!egress("shop-order").contains("8443"));
    let without = Fixture::new(MINIMAL).migrated();
    assert!(!body(&without, Kind::ConfigMap, "shop-user")["data"].to_string().contains("OIDC_"));
}

#[test]
fn gw11_a_client_secret_that_may_not_be_sent_to_the_provider_holds_the_user_service_alone() {
    for purposes in ["oidc=other.example:443", "env", ""] {
        let desired = shop("https://sso.example.com", purposes).desired();
        assert_eq!(desired.waiting["user"].reason, Reason::SecretNotUsable, "{purposes}");
        assert_eq!(desired.children[&ObjectKey::new(Kind::Deployment, "shop-user")], Maybe::Hold);
        assert!(matches!(desired.children[&ObjectKey::new(Kind::Deployment, "shop-order")], Maybe::Want(_)));
    }
}
