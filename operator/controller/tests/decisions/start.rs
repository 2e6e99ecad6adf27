//! Why pods do not start: the message of the kubelet, the scheduler or the quota is quoted, also while a migration waits.

use crate::fixture::{Fixture, MINIMAL};
use crate::status::{check, condition_message, of};
use agora_operator::decide::maybe::Maybe;
use agora_operator::kinds::{Kind, ObjectKey};
use serde_json::{Value, json};

fn pod(fixture: &mut Fixture, service: &str, status: Value) {
    let name = format!("shop-{service}-1");
    let body = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": service}}});
    fixture.add(&ObjectKey::new(Kind::Pod, name), body, status);
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"containerStatuses": [{
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 101}},
    }]})
}

/// Every migration Job exists and has not ended.
fn migrating() -> Fixture {
    let mut fixture = Fixture::new(MINIMAL);
    for object in fixture.objects() {
        fixture.add(&object.key, object.body, Value::Null);
    }
    fixture
}

#[track_caller]
fn quoted(fixture: &Fixture, reason: &str, quotes: &[&str]) {
    let status = of(fixture);
    check(&status, "WorkloadsReady", "False", reason);
    let message = condition_message(&status, "WorkloadsReady");
    for quote in quotes {
        assert!(message.contains(quote), "{message}");
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_reported_while_the_migration_waits() {
    let mut fixture = migrating();
    quoted(&fixture, "MigrationRunning", &["shop-"]);
    pod(&mut fixture, "order-migrate", waiting("ImagePullBackOff", "agora:9.9.9: not found"));
    quoted(&fixture, "ImageUnavailable", &["shop-order-migrate-1", "agora:9.9.9: not found", "spec.release"]);
}

#[test]
fn a_container_that_cannot_be_created_or_ends_is_reported_with_the_cause() {
    let mut fixture = migrating();
    pod(&mut fixture, "order", waiting("CreateContainerConfigError", "secret \"x\" not found"));
    quoted(&fixture, "ContainerNotCreated", &["shop-order-1", "secret \"x\" not found"]);
    pod(&mut fixture, "order", waiting("CrashLoopBackOff", "back-off"));
    quoted(&fixture, "CrashLooping", &["shop-order-1", "exit code 101", "--previous"]);
}

#[test]
fn a_pod_that_no_node_can_run_is_reported_with_the_schedulers_message() {
    let mut fixture = migrating();
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu."});
    pod(&mut fixture, "cart", json!({"conditions": [condition]}));
    quoted(&fixture, "Unschedulable", &["shop-cart-1", "3 Insufficient cpu"]);
}

#[test]
fn pods_that_a_quota_or_a_policy_refuses_are_reported() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let failed = |message: &str| {
        json!({"observedGeneration": 1,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]})
    };
    let key = ObjectKey::new(Kind::Deployment, "shop-gateway");
    let body = fixture.objects().into_iter().find(|object| object.key == key).unwrap().body;
    let message = "pods \"shop-gateway-x7\" is forbidden: exceeded quota: small, requested: cpu=50m";
    fixture.add(&key, body.clone(), failed(message));
    quoted(&fixture, "QuotaExceeded", &["Deployment shop-gateway", "exceeded quota: small"]);
    let message = "pods \"shop-gateway-x7\" is forbidden: violates PodSecurity \"restricted\"";
    fixture.add(&key, body, failed(message));
    quoted(&fixture, "PodsRefused", &["violates PodSecurity"]);
}

#[test]
fn a_migration_whose_job_creates_no_pod_is_reported() {
    let mut fixture = migrating();
    let job = fixture.objects().into_iter().find(|object| object.key.kind == Kind::Job).unwrap();
    fixture.add(&job.key, job.body, json!({"startTime": "2025-12-31T23:59:30Z"}));
    quoted(&fixture, "PodsRefused", &[&job.key.name, "kubectl describe job"]);
}

#[test]
fn the_refusal_of_a_migrations_pod_is_quoted_also_before_the_job_has_a_start_time() {
    let mut fixture = migrating();
    let mut job = fixture.objects().into_iter().find(|object| object.key.kind == Kind::Job).unwrap();
    job.body["metadata"]["creationTimestamp"] = json!("2025-12-31T23:59:54Z");
    fixture.add(&job.key, job.body, Value::Null);
    quoted(&fixture, "MigrationRunning", &[]);
    let note = "Error creating: pods \"shop-cart-migrate-x-y\" is forbidden: exceeded quota: small, requested: pods=1";
    fixture.observed.refusals.insert(job.key.name.clone(), note.to_owned());
    quoted(&fixture, "QuotaExceeded", &[&job.key.name, "exceeded quota: small, requested: pods=1", "ResourceQuota"]);
}

#[test]
fn a_changed_template_replaces_an_unfinished_migration_job_and_keeps_a_complete_one() {
    let mut fixture = migrating();
    let job = fixture.objects().into_iter().find(|object| object.key.kind == Kind::Job).unwrap();
    assert!(fixture.desired().expired.is_empty());
    fixture.market.spec.pod.priority_class_name = Some("other".to_owned());
    let desired = fixture.desired();
    assert!(desired.expired.contains(&job.key), "{:?}", desired.expired);
    assert_eq!(desired.children[&job.key], Maybe::Hold);
    let mut complete = Fixture::new(MINIMAL).migrated();
    complete.market.spec.pod.priority_class_name = Some("other".to_owned());
    assert!(complete.desired().expired.is_empty());
}
