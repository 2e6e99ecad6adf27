//! The mail server of the spec: what the notification service is given, and who waits for its Secret.

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use agora_crd::Reason;
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::ReferencedSecret;
use agora_operator::decide::purpose::Purposes;
use agora_operator::kinds::{Kind, ObjectKey};
use serde_json::{Value, json};

fn settings(fixture: &Fixture, name: &str) -> Value {
    let key = ObjectKey::new(Kind::ConfigMap, name);
    let map = fixture.objects().into_iter().find(|object| object.key == key).unwrap();
    map.body["data"].clone()
}

#[test]
fn no1_the_notification_service_is_given_the_mail_server_and_its_password_as_a_file() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    let settings = settings(&fixture, "main-notification");
    for (name, value) in [
        ("SMTP_HOST", "mail.data.svc"),
        ("SMTP_PORT", "587"),
        ("SMTP_TLS", "StartTls"),
        ("SMTP_FROM", "Shop <shop@example.com>"),
        ("SMTP_USERNAME", "admin"),
        ("SMTP_PASSWORD_FILE", "/etc/agora/smtp-password"),
        ("SMTP_CA_FILE", "/etc/agora/smtp-ca.crt"),
        ("MAIL_OPEN_TRACKING", "Disabled"),
        ("PUBLIC_URL", "https://shop.example.com"),
    ] {
        assert_eq!(settings[name], value, "{name}");
    }
    assert!(!settings.to_string().contains("hunter2"));
    let policy = ObjectKey::new(Kind::NetworkPolicy, "main-notification");
    let policy = fixture.objects().into_iter().find(|object| object.key == policy).unwrap();
    let egress = policy.body["spec"]["egress"].to_string();
    assert!(egress.contains("587"), "{egress}");
}

#[test]
fn a_shop_without_a_mail_server_has_a_notification_service_that_sends_nothing() {
    let fixture = Fixture::new(MINIMAL).migrated();
    let settings = settings(&fixture, "shop-notification");
    let names: Vec<&String> = settings.as_object().unwrap().keys().filter(|name| name.contains("SMTP")).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_password_goes_to_the_mail_server_that_its_owner_names_and_only_notification_waits_for_it() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    let values = ["username", "password"].map(|key| (key.to_owned(), agora_vocab::Secret::new("hunter2")));
    let mut allow = |purposes: &str| {
        let secret = ReferencedSecret::Usable { values: values.clone().into(), purposes: Purposes::parse(purposes) };
        fixture.observed.referenced_secrets.insert("mail".to_owned(), secret);
        fixture.desired()
    };
    let desired = allow("smtp=evil.example.com:587");
    assert_eq!(desired.waiting["notification"].reason, Reason::SecretNotUsable);
    assert!(desired.waiting["notification"].message.contains("smtp=mail.data.svc:587"), "{:?}", desired.waiting);
    assert_eq!(desired.waiting.len(), 1);
    let deployment = |name: &str| ObjectKey::new(Kind::Deployment, name);
    assert_eq!(desired.children[&deployment("main-notification")], Maybe::Hold);
    assert!(matches!(desired.children[&deployment("main-order")], Maybe::Want(_)));
    for purposes in ["smtp=mail.data.svc:587", "smtp"] {
        assert!(allow(purposes).waiting.is_empty(), "{purposes}");
    }
}

#[test]
fn tls_begins_with_the_connection_at_port_465_and_is_off_by_default_in_development_alone() {
    let encryption = |sample: &str, mail: Value| {
        let mut fixture = Fixture::new(sample).migrated();
        fixture.market.spec.mail = Some(serde_json::from_value(mail).unwrap());
        settings(&fixture, if sample == MINIMAL { "shop-notification" } else { "main-notification" })["SMTP_TLS"]
            .clone()
    };
    let mail = |smtp: Value| json!({ "smtp": smtp, "from": "shop@example.com" });
    assert_eq!(encryption(MINIMAL, mail(json!({"host": "mail"}))), "Disable");
    assert_eq!(
        encryption(MINIMAL, mail(json!({"host": "mail", "port": 465, "tls": {"mode": "VerifyFull"}}))),
        "Implicit"
    );
    assert_eq!(encryption(PRODUCTION, mail(json!({"host": "mail"}))), "StartTls");
}
