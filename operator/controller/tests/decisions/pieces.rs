//! One broken piece is a condition, and everything else is reconciled.

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use crate::status::{check, of};
use agora_crd::{Effective, MarketplaceStatus, Reason};
use agora_operator::cluster::credentials::credentials;
use agora_operator::decide::desired::desired;
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::object::Object;
use agora_operator::decide::observed::{Children, ReferencedSecret};
use agora_operator::decide::plan::plan;
use agora_operator::decide::purpose::Purposes;
use agora_operator::decide::servers::BrokerAuthentication;
use agora_operator::kinds::{Kind, ObjectKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

const SIGNING: &str = "shop-signing";

/// The children with this Secret of the signing keys.
fn signing_secret(data: &[(&str, &str)]) -> Children {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(BASE64_STANDARD.encode(value)))).collect();
    let mut fixture = Fixture::new(MINIMAL);
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SIGNING}, "data": data});
    fixture.add(&ObjectKey::new(Kind::Secret, SIGNING), body, Value::Null);
    fixture.observed.children
}

/// The fixture with this value for a key of the Secret of the database server's admin.
fn with_admin(key: &str, value: &str) -> Fixture {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    for secret in fixture.observed.referenced_secrets.values_mut() {
        if let ReferencedSecret::Usable { values, .. } = secret {
            values.insert(key.to_owned(), agora_vocab::Secret::new(value));
        }
    }
    fixture
}

#[test]
fn the_line_break_at_the_end_of_a_login_is_ignored_and_one_within_is_named() {
    let desired = with_admin("password", "p@ss:w/rd#1%\n").desired();
    assert_eq!(desired.databases.unwrap().admin.password.expose(), "p@ss:w/rd#1%");
    let BrokerAuthentication::ScramSha512 { password, .. } = desired.topics.unwrap().broker.authentication else {
        panic!("the sample logs in with SCRAM-SHA-512")
    };
    assert_eq!(password.expose(), "p@ss:w/rd#1%");
    for value in ["first\nsecond", "\r\n"] {
        let error = with_admin("username", value).desired().databases.unwrap_err();
        assert_eq!(error.reason, Reason::SecretCorrupt);
        assert!(error.message.contains("key username of Secret "), "{}", error.message);
    }
}

#[test]
fn a_password_with_special_characters_stays_within_its_part_of_the_url() {
    let mut fixture = Fixture::new(MINIMAL);
    fixture.observed.credentials.databases.insert("order", agora_vocab::Secret::new("p@ss:w/rd#1%"));
    let key = ObjectKey::new(Kind::Secret, "shop-order-database");
    let secret = fixture.objects().into_iter().find(|object| object.key == key).unwrap();
    let url = BASE64_STANDARD.decode(secret.body["data"]["url"].as_str().unwrap()).unwrap();
    let url = String::from_utf8(url).unwrap();
    assert!(url.contains(":p%40ss%3Aw%2Frd%231%25@postgres.data.svc:5432/"), "{url}");
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    assert_eq!((options.get_host(), options.get_database()), ("postgres.data.svc", Some("shop_shop_order")));
    assert_eq!(secret.body["data"]["password"], BASE64_STANDARD.encode("p@ss:w/rd#1%"));
}

#[test]
fn a_lost_key_of_the_signing_secret_is_replaced_and_the_other_one_stays() {
    let both = credentials("shop", &Children::default()).unwrap().signing.unwrap();
    let (current, next) = (both.current.expose(), both.next.expose());
    let without_next = credentials("shop", &signing_secret(&[("current.pem", current)])).unwrap().signing.unwrap();
    assert_eq!(without_next.current, both.current);
    assert_ne!(without_next.next, both.next);
    // The next key is published already, so tokens that it signs are accepted at once.
    let without_current = credentials("shop", &signing_secret(&[("next.pem", next)])).unwrap().signing.unwrap();
    assert_eq!(without_current.current, both.next);
    assert_ne!(without_current.next, both.next);
}

#[test]
fn a_corrupt_signing_key_is_reported_and_stays_and_the_rest_is_reconciled() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let corrupt = [("current.pem", "-----BEGIN nothing"), ("next.pem", "x")];
    let error = credentials("shop", &signing_secret(&corrupt)).unwrap().signing.unwrap_err();
    assert!(error.message.contains("current.pem of Secret shop-signing"), "{}", error.message);
    fixture.observed.credentials.signing = Err(error);
    let status = of(&fixture);
    check(&status, "CredentialsReady", "False", "SecretCorrupt");
    check(&status, "Available", "True", "ShoppersCanBuy");
    let children = fixture.desired().children;
    assert_eq!(children[&ObjectKey::new(Kind::Secret, SIGNING)], Maybe::Hold);
    assert_eq!(children[&ObjectKey::new(Kind::ConfigMap, "shop-jwks")], Maybe::Hold);
    assert!(matches!(children[&ObjectKey::new(Kind::Deployment, "shop-user")], Maybe::Want(_)));
}

/// The children to apply although the spec has violations.
fn objects(fixture: &Fixture, connections: i32) -> Vec<Object> {
    let (plan, violations) = plan(&fixture.market, Some(connections));
    assert!(!violations.is_empty());
    desired(&plan, &fixture.observed).objects().cloned().collect()
}

#[test]
fn too_few_connections_change_no_pool_and_stop_no_repair() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let before = fixture.objects();
    let effective = Effective { pool_size: Some(5), ..Effective::default() };
    fixture.market.status = Some(MarketplaceStatus { effective: Some(effective), ..MarketplaceStatus::default() });
    fixture.market.spec.database.max_connections = Some(10);
    assert_eq!(objects(&fixture, 300), before);
    // A new shop gets no pool that its server cannot serve.
    fixture.market.status = None;
    let order = ObjectKey::new(Kind::Deployment, "shop-order");
    let objects = objects(&fixture, 300);
    assert!(objects.iter().all(|object| object.key != order));
    assert!(objects.iter().any(|object| object.key == ObjectKey::new(Kind::Service, "shop-order")));
}

#[test]
fn an_explicit_number_of_connections_is_reduced_by_what_older_marketplaces_reserve() {
    let mut fixture = Fixture::new(PRODUCTION);
    fixture.market.spec.database.max_connections = Some(300);
    assert_eq!(plan(&fixture.market, Some(1_000)).0.budget.limit, Some(300));
    assert_eq!(plan(&fixture.market, Some(200)).0.budget.limit, Some(200));
    assert_eq!(plan(&fixture.market, None).0.budget.pool, None, "before the inspection nothing is promised");
    let (few, violations) = plan(&fixture.market, Some(40));
    assert_eq!(few.budget.pool, None);
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].reason, Reason::ConnectionBudgetExceeded);
    assert!(violations[0].message.starts_with("40 connections"), "{}", violations[0].message);
}

#[test]
fn a_part_of_the_spec_that_cannot_be_realised_holds_only_what_it_describes() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.set_service("order", "scaling: {minReplicas: 3, maxReplicas: 2}");
    let (plan, violations) = plan(&fixture.market, Some(300));
    assert_eq!(violations[0].reason, Reason::InvalidSpec);
    let desired = desired(&plan, &fixture.observed);
    let deployment = |name: &str| &desired.children[&ObjectKey::new(Kind::Deployment, name)];
    assert_eq!(*deployment("shop-order"), Maybe::Hold);
    assert!(matches!(deployment("shop-cart"), Maybe::Want(_)));
    assert!(desired.topics.is_ok());
    assert_eq!(desired.waiting["order"].reason, Reason::InvalidSpec);
}

#[test]
fn a_password_of_the_broker_is_sent_in_clear_text_in_profile_development_only() {
    let messages = |sample: &str, tls: &Value| {
        let mut fixture = Fixture::new(sample);
        let external = &mut fixture.market.spec.kafka.external;
        let login = json!({"type": "Plain", "plain": {"secretRef": {"name": "kafka-admin"}}});
        external.authentication = serde_json::from_value(login).unwrap();
        external.tls = serde_json::from_value(tls.clone()).unwrap();
        let (_, violations) = plan(&fixture.market, Some(300));
        violations.into_iter().map(|violation| violation.message).collect::<Vec<_>>()
    };
    let (with, without) = (json!({"mode": "VerifyFull"}), json!({"mode": "Disable"}));
    let refused = messages(PRODUCTION, &without);
    assert!(refused.len() == 1 && refused[0].contains("authentication.type Plain"), "{refused:?}");
    assert_eq!(messages(PRODUCTION, &with), [""; 0]);
    assert_eq!(messages(PRODUCTION, &Value::Null), [""; 0], "TLS is the default");
    assert_eq!(messages(MINIMAL, &without), [""; 0]);
}

#[test]
fn a_missing_secret_of_a_variable_is_reported_and_its_service_is_still_repaired() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.service("cart", "env: [{name: KEY, valueFrom: {secretKeyRef: {name: keys, key: key}}}]");
    let values = [("key".to_owned(), agora_vocab::Secret::new("hunter2"))].into();
    let usable = ReferencedSecret::Usable { values, purposes: Purposes::parse("env") };
    fixture.observed.referenced_secrets.insert("keys".to_owned(), usable);
    let mut fixture = fixture.running();
    let before = fixture.objects();
    fixture.observed.referenced_secrets.insert("keys".to_owned(), ReferencedSecret::Missing);
    assert_eq!(fixture.objects(), before, "the pods keep the template that they run with");
    check(&of(&fixture), "WorkloadsReady", "False", "SecretMissing");
    let cart = ObjectKey::new(Kind::Deployment, "shop-cart");
    fixture.observed.children.0.remove(&cart);
    assert_eq!(fixture.desired().children[&cart], Maybe::Hold, "without pods there is no template to keep");
}

#[test]
fn a_secret_of_the_broker_that_cannot_be_used_is_reported_and_its_services_are_still_repaired() {
    let unusable = || {
        [
            (ReferencedSecret::Missing, "SecretMissing"),
            (ReferencedSecret::NotUsable, "SecretNotUsable"),
            (ReferencedSecret::Forbidden, "Forbidden"),
            (ReferencedSecret::Unread("no answer".to_owned()), "WaitingForDependency"),
        ]
    };
    for name in ["kafka-admin", "data-ca"] {
        for (secret, reason) in unusable() {
            let mut fixture = Fixture::new(PRODUCTION).migrated().running();
            let before = fixture.objects();
            fixture.observed.referenced_secrets.insert(name.to_owned(), secret);
            assert_eq!(fixture.objects(), before, "{name}: {reason}");
            check(&of(&fixture), "KafkaReady", "False", reason);
            check(&of(&fixture), "WorkloadsReady", "False", reason);
            // Pods without the Secret would not start, so a change of the spec waits; autoscalers do not.
            fixture.market.spec.pod.annotations.insert("changed".to_owned(), "yes".to_owned());
            fixture.set_service("order", "scaling: {minReplicas: 3, maxReplicas: 9}");
            let children = fixture.desired().children;
            assert_eq!(children[&ObjectKey::new(Kind::Deployment, "main-order")], Maybe::Hold);
            let Maybe::Want(autoscaler) = &children[&ObjectKey::new(Kind::HorizontalPodAutoscaler, "main-order")]
            else {
                panic!("the autoscaler waits for the Secret")
            };
            assert_eq!(autoscaler.body["spec"]["maxReplicas"], 9);
        }
    }
}

#[test]
fn a_secret_of_any_server_that_cannot_be_used_stops_no_repair_of_its_services() {
    let with_redis = MINIMAL.replace("redis.data.svc:6379\"}}", "redis.data.svc:6379\"}, secretRef: {name: redis}}");
    let with_archive =
        MINIMAL.replace("  redis:", "  archive: {s3: {bucket: events, secretRef: {name: s3}}}\n  redis:");
    for (sample, secret, service) in [
        (PRODUCTION, "mail", "notification"),
        (with_redis.as_str(), "redis", "catalog"),
        (with_archive.as_str(), "s3", "search"),
    ] {
        let mut fixture = Fixture::new(sample).migrated().running();
        let before = fixture.objects();
        fixture.observed.referenced_secrets.insert(secret.to_owned(), ReferencedSecret::Missing);
        assert_eq!(fixture.objects(), before, "{secret}: what runs stays as it is");
        check(&of(&fixture), "WorkloadsReady", "False", "SecretMissing");
        let pods =
            ObjectKey::new(Kind::Deployment, format!("{}-{service}", fixture.market.metadata.name.clone().unwrap()));
        fixture.observed.children.0.remove(&pods);
        assert_eq!(fixture.desired().children[&pods], Maybe::Hold, "{secret}: no pod starts without it");
    }
}

#[test]
fn an_ingress_whose_certificate_is_missing_is_repaired_and_not_changed() {
    let mut fixture = Fixture::new(PRODUCTION).migrated().running();
    let key = ObjectKey::new(Kind::Ingress, "main-gateway");
    let before = fixture.desired().children[&key].clone();
    let tls = fixture.market.spec.exposure.tls.clone().unwrap().secret.unwrap().name;
    fixture.observed.referenced_secrets.insert(tls, ReferencedSecret::Missing);
    assert_eq!(fixture.desired().children[&key], before);
    fixture.market.spec.exposure.hostnames.push("more.example.com".to_owned());
    assert_eq!(fixture.desired().children[&key], Maybe::Hold);
}

#[test]
fn the_remedy_for_a_secret_names_its_label_and_its_annotation() {
    for (secret, reason) in
        [(ReferencedSecret::Missing, Reason::SecretMissing), (ReferencedSecret::NotUsable, Reason::SecretNotUsable)]
    {
        let mut fixture = Fixture::new(MINIMAL);
        fixture.observed.referenced_secrets.insert("postgres-admin".to_owned(), secret);
        let error = fixture.desired().databases.unwrap_err();
        assert_eq!(error.reason, reason);
        for part in
            ["agoraplatform.dev/usable=\"true\"", "agoraplatform.dev/usable-for=\"database=postgres.data.svc:5432\""]
        {
            assert!(error.message.contains(part), "{}", error.message);
        }
        let remedy = reason.documentation().remedy;
        assert!(
            remedy.contains("agoraplatform.dev/usable ") && remedy.contains("agoraplatform.dev/usable-for"),
            "{remedy}"
        );
    }
}
