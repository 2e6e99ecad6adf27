//! The reasons of conditions and events that no other test produces.

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use crate::status::{check, of};
use agora_crd::{MarketplaceStatus, Reason};
use agora_operator::decide::milestones::milestones;
use agora_operator::decide::object::Object;
use agora_operator::kinds::{Kind, ObjectKey};
use serde_json::json;

fn object(fixture: &Fixture, kind: Kind) -> Object {
    fixture.objects().into_iter().find(|object| object.key.kind == kind).unwrap()
}

#[test]
fn a_running_shop_reports_what_it_saw() {
    let status = of(&Fixture::new(MINIMAL).migrated().running());
    for (type_, reason) in [
        ("Available", "ShoppersCanBuy"),
        ("Ready", "AllComponentsReady"),
        ("DatabaseReady", "Provisioned"),
        ("KafkaReady", "TopicsInSync"),
        ("RedisReady", "Reachable"),
        ("CredentialsReady", "Current"),
        ("WorkloadsReady", "MinimumReplicasAvailable"),
        ("RouteReady", "NotRequested"),
    ] {
        check(&status, type_, "True", reason);
    }
    check(&status, "Reconciling", "False", "UpToDate");
}

#[test]
fn the_ingress_of_a_running_shop_is_reported() {
    check(&of(&Fixture::new(PRODUCTION).migrated().running()), "RouteReady", "True", "Applied");
}

#[test]
fn the_autoscalers_report_their_metrics() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let autoscaler = object(&fixture, Kind::HorizontalPodAutoscaler);
    let active = |status: &str, reason: &str| json!({"conditions": [{"type": "ScalingActive", "status": status, "reason": reason}]});
    fixture.add(&autoscaler.key, autoscaler.body.clone(), active("True", "ValidMetricFound"));
    check(&of(&fixture), "AutoscalingReady", "True", "ValidMetricFound");
    fixture.add(&autoscaler.key, autoscaler.body, active("False", "FailedGetResourceMetric"));
    check(&of(&fixture), "AutoscalingReady", "False", "MetricsUnavailable");
}

#[test]
fn a_rollout_without_progress_and_a_failed_migration_are_reported() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let mut deployment = object(&fixture, Kind::Deployment);
    deployment.body["metadata"]["generation"] = json!(1);
    let late = json!({"observedGeneration": 1,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]});
    fixture.add(&deployment.key, deployment.body, late);
    check(&of(&fixture), "WorkloadsReady", "False", "ProgressDeadlineExceeded");
    let mut fixture = Fixture::new(MINIMAL);
    let job = object(&fixture, Kind::Job);
    let failed = json!({"conditions":
        [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    fixture.add(&job.key, job.body, failed);
    check(&of(&fixture), "WorkloadsReady", "False", "MigrationFailed");
}

#[test]
fn a_loss_of_availability_and_a_stall_are_warnings() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let before = of(&fixture);
    fixture.market.status = Some(before.clone());
    let order = ObjectKey::new(Kind::Deployment, "shop-order");
    fixture.observed.children.0.remove(&order);
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "shop-order-1", "labels": {"app.kubernetes.io/name": "order"}}});
    let waiting = json!({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
    fixture.add(&ObjectKey::new(Kind::Pod, "shop-order-1"), pod, waiting);
    let after = of(&fixture);
    let between = |one: &MarketplaceStatus, other: &MarketplaceStatus| {
        let found = milestones("shop", Some(one), other, &fixture.observed, &fixture.desired());
        found.into_iter().map(|milestone| (milestone.reason, milestone.warning)).collect::<Vec<_>>()
    };
    assert_eq!(between(&before, &after), [(Reason::NotAvailable, true), (Reason::NeedsUser, true)]);
    assert_eq!(between(&after, &after), []);
    let recovered = between(&after, &before);
    assert!(recovered.contains(&(Reason::ShoppersCanBuy, false)), "{recovered:?}");
    assert!(recovered.contains(&(Reason::RolledOut, false)), "{recovered:?}");
    assert_eq!(milestones("shop", None, &after, &fixture.observed, &fixture.desired()), []);
}
