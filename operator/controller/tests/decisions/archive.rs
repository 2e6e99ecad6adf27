//! The archive of events of the spec: who gets its settings, and what is reported about it.

use std::collections::BTreeMap;

use agora_crd::Reason;
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::{Evidence, ReferencedSecret, ServicesObservation};
use agora_operator::decide::purpose::Purposes;
use agora_operator::kinds::{Kind, ObjectKey};
use agora_vocab::Secret;
use serde_json::Value;

use crate::fixture::{Fixture, MINIMAL};
use crate::status::{check, of};

/// The services that get the archive's settings: the one that writes it, and the one whose projection is rebuilt from it.
const SERVICES: [&str; 2] = ["shop-search", "shop-recommendation"];

/// A shop with an archive in a store of the cluster.
fn shop() -> Fixture {
    let archive = "  archive: {retentionDays: 400, s3: {bucket: events, endpoint: 'http://minio.data.svc:9000', \
                   secretRef: {name: s3}}}\n  redis:";
    Fixture::new(&MINIMAL.replace("  redis:", archive)).migrated()
}

fn body(fixture: &Fixture, kind: Kind, name: &str) -> Value {
    let key = ObjectKey::new(kind, name);
    fixture.objects().into_iter().find(|object| object.key == key).unwrap().body
}

#[test]
fn se3_the_archives_settings_reach_those_who_need_it_alone_and_its_key_is_no_setting() {
    let fixture = shop();
    for object in fixture.objects() {
        let text = object.body.to_string();
        let is_for_archive = SERVICES.contains(&object.key.name.as_str());
        assert!(is_for_archive || !text.contains("ARCHIVE_"), "{}", object.key);
        assert!(!text.contains("s3-password") && !text.contains("s3-username"), "{}", object.key);
    }
    for name in SERVICES {
        let data = &body(&fixture, Kind::ConfigMap, name)["data"];
        let isolation_key = data["ISOLATION_KEY"].as_str().unwrap();
        assert_eq!(data["ARCHIVE_URL"], format!("s3://events/{isolation_key}"));
        assert_eq!(data["ARCHIVE_ENDPOINT"], "http://minio.data.svc:9000");
        assert_eq!(data["ARCHIVE_RETENTION_DAYS"], "400");
        assert_eq!(data["ARCHIVE_ACCESS_KEY_ID"], "admin");
        assert_eq!(data["ARCHIVE_SECRET_ACCESS_KEY_FILE"], "/etc/agora/archive-secret-access-key");
        let pods = body(&fixture, Kind::Deployment, name)["spec"]["template"]["spec"]["volumes"].to_string();
        assert!(pods.contains("archive-secret-access-key"), "{pods}");
        assert!(body(&fixture, Kind::NetworkPolicy, name)["spec"]["egress"].to_string().contains("9000"));
    }
    assert!(!body(&fixture, Kind::NetworkPolicy, "shop-catalog")["spec"]["egress"].to_string().contains("9000"));
    let without = Fixture::new(MINIMAL).migrated();
    assert!(without.objects().iter().all(|object| !object.body.to_string().contains("ARCHIVE_")));
}

#[test]
fn se3_an_access_key_that_may_not_be_sent_to_the_store_holds_what_needs_it() {
    for (purposes, reason) in [
        ("archive=other.example:443", Reason::SecretNotUsable),
        ("archive=events", Reason::SecretNotUsable),
        ("env, tls", Reason::SecretNotUsable),
    ] {
        let mut fixture = shop();
        let values = BTreeMap::from(["username", "password"].map(|key| (key.to_owned(), Secret::new("hunter2"))));
        let secret = ReferencedSecret::Usable { values, purposes: Purposes::parse(purposes) };
        fixture.observed.referenced_secrets.insert("s3".to_owned(), secret);
        let desired = fixture.desired();
        assert_eq!(desired.waiting["search"].reason, reason, "{purposes}");
        assert!(desired.waiting["search"].message.contains("archive=minio.data.svc:9000"));
        for name in SERVICES {
            assert_eq!(desired.children[&ObjectKey::new(Kind::Deployment, name)], Maybe::Hold);
        }
        assert!(matches!(desired.children[&ObjectKey::new(Kind::Deployment, "shop-order")], Maybe::Want(_)));
    }
}

#[test]
fn ms6_an_archive_that_cannot_be_written_is_reported_with_its_remedy() {
    let mut fixture = shop().running();
    check(&of(&fixture), "ArchiveReady", "Unknown", "WaitingForDependency");
    let reported = |degraded: &[(&str, &str)]| {
        let degraded = degraded.iter().map(|(name, reason)| ((*name).to_owned(), (*reason).to_owned())).collect();
        Some(ServicesObservation { services: [("search".to_owned(), Evidence::Reported(degraded))].into() })
    };
    fixture.observed.services = reported(&[]);
    check(&of(&fixture), "ArchiveReady", "True", "Reachable");
    check(&of(&fixture), "Ready", "True", "AllComponentsReady");
    fixture.observed.services = reported(&[("archive", "the bucket does not exist: create it")]);
    let status = of(&fixture);
    check(&status, "ArchiveReady", "False", "ArchiveUnavailable");
    check(&status, "Ready", "False", "ArchiveUnavailable");
    check(&status, "Available", "True", "ShoppersCanBuy");
    let condition = status.conditions.iter().find(|condition| condition.type_ == "ArchiveReady").unwrap();
    assert!(
        condition.message.contains("s3://events/") && condition.message.contains("create it"),
        "{}",
        condition.message
    );
    let without = Fixture::new(MINIMAL).migrated().running();
    check(&of(&without), "ArchiveReady", "True", "NotRequested");
}
