//! The status: Ready is true only without errors, errors are named, and the same input gives the same status.

use std::collections::BTreeMap;

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use agora_crd::{MarketplaceStatus, Reason};
use agora_operator::decide::applied::Applied;
use agora_operator::decide::in_cluster::TargetPorts;
use agora_operator::decide::object::Group;
use agora_operator::decide::observed::{ConditionError, Evidence, ReferencedSecret, ServicesObservation};
use agora_operator::decide::plan::{Plan, Scope, Violation, plan};
use agora_operator::decide::status::{View, status, terminating};
use agora_operator::kinds::{Kind, ObjectKey};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

fn report(fixture: &Fixture, applied: &Applied, paused: bool, violations: &[Violation]) -> MarketplaceStatus {
    let (plan, _) = plan(&fixture.market, Some(300));
    report_of(&plan, fixture, applied, paused, violations)
}

fn report_of(
    plan: &Plan,
    fixture: &Fixture,
    applied: &Applied,
    paused: bool,
    violations: &[Violation],
) -> MarketplaceStatus {
    status(&View {
        market: &fixture.market,
        plan,
        violations,
        paused,
        observed: &fixture.observed,
        desired: &fixture.desired(),
        applied,
    })
}

pub fn of(fixture: &Fixture) -> MarketplaceStatus {
    report(fixture, &Applied::default(), false, &[])
}

fn condition(status: &MarketplaceStatus, type_: &str) -> (String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

pub fn condition_message(status: &MarketplaceStatus, type_: &str) -> String {
    status.conditions.iter().find(|condition| condition.type_ == type_).unwrap().message.clone()
}

#[track_caller]
pub fn check(status: &MarketplaceStatus, type_: &str, is: &str, reason: &str) {
    assert_eq!(condition(status, type_), (is.to_owned(), reason.to_owned()), "{type_}");
}

fn error(reason: Reason) -> ConditionError {
    ConditionError::new(reason, "problem: remedy")
}

#[test]
fn a_running_shop_is_available_and_ready() {
    let status = of(&Fixture::new(MINIMAL).migrated().running());
    check(&status, "Available", "True", "ShoppersCanBuy");
    check(&status, "Ready", "True", "AllComponentsReady");
    check(&status, "Reconciling", "False", "UpToDate");
    check(&status, "Stalled", "False", "Progressing");
    let services = agora_topology::ALL.len();
    assert_eq!(status.summary, Some(format!("{services}/{services} services ready")));
    assert_eq!(status.version.as_deref(), Some("0.1.0"));
    assert_eq!(usize::try_from(status.kafka.unwrap().topics_in_sync).unwrap(), agora_topology::all_topics().len());
    assert_eq!(status.effective.unwrap().mail, "Suppressed");
}

#[test]
fn a_blocked_deletion_reports_its_reason() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.market.status = Some(of(&fixture));
    let now = fixture.observed.now;
    let status = terminating(&fixture.market, &error(Reason::DatabaseUnreachable), now);
    check(&status, "Ready", "False", "DatabaseUnreachable");
    check(&status, "Reconciling", "True", "Terminating");
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "the deletion waits: problem: remedy");
    // It is written once: the status computed from the written one is the same.
    fixture.market.status = Some(status.clone());
    assert_eq!(terminating(&fixture.market, &error(Reason::DatabaseUnreachable), now), status);
}

#[test]
fn with_an_unreachable_broker_the_shop_is_available_and_not_ready() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.observed.topics.as_mut().unwrap().topics = Err(error(Reason::BrokerUnreachable));
    let status = of(&fixture);
    check(&status, "Available", "True", "ShoppersCanBuy");
    check(&status, "Ready", "False", "BrokerUnreachable");
    check(&status, "KafkaReady", "False", "BrokerUnreachable");
    check(&status, "Reconciling", "True", "Progressing");
    check(&status, "WorkloadsReady", "True", "MinimumReplicasAvailable");
}

#[test]
fn an_error_that_needs_a_change_by_a_user_stalls_and_comes_first() {
    let mut fixture = Fixture::new(PRODUCTION).migrated().running();
    fixture.observed.redis.as_mut().unwrap().answer = Err(error(Reason::RedisUnreachable));
    fixture.observed.referenced_secrets.insert("kafka-admin".to_owned(), ReferencedSecret::Missing);
    let status = of(&fixture);
    check(&status, "Ready", "False", "SecretMissing");
    check(&status, "Stalled", "True", "SecretMissing");
    check(&status, "RedisReady", "False", "RedisUnreachable");
}

#[test]
fn a_spec_with_violations_stalls_and_the_running_shop_stays_available() {
    let fixture = Fixture::new(MINIMAL).migrated().running();
    let violation =
        Violation { reason: Reason::ConnectionBudgetExceeded, message: "too few".to_owned(), scope: Scope::Pools };
    let status = report(&fixture, &Applied::default(), false, &[violation]);
    check(&status, "Stalled", "True", "ConnectionBudgetExceeded");
    check(&status, "Ready", "False", "ConnectionBudgetExceeded");
    check(&status, "Available", "True", "ShoppersCanBuy");
}

#[test]
fn a_paused_marketplace_is_not_ready() {
    let status = report(&Fixture::new(MINIMAL).migrated().running(), &Applied::default(), true, &[]);
    check(&status, "Ready", "False", "Paused");
    check(&status, "Reconciling", "False", "Paused");
}

/// Every service reports these dependencies as not available.
fn reports(degraded: &[&str]) -> ServicesObservation {
    let report: BTreeMap<String, String> =
        degraded.iter().map(|name| ((*name).to_owned(), "no answer".to_owned())).collect();
    let services = agora_topology::ALL.iter().map(|row| (row.name.to_owned(), Evidence::Reported(report.clone())));
    ServicesObservation { services: services.collect() }
}

#[test]
fn a_shop_whose_services_lose_their_databases_is_not_available() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.observed.services = Some(reports(&[]));
    check(&of(&fixture), "Available", "True", "ShoppersCanBuy");
    // The server answers the operator, and each database refuses the service's connections.
    fixture.observed.services = Some(reports(&["database"]));
    let status = of(&fixture);
    check(&status, "Available", "False", "DatabaseUnreachable");
    check(&status, "DatabaseReady", "False", "DatabaseUnreachable");
    check(&status, "Ready", "False", "DatabaseUnreachable");
    // Checkout works without the broker.
    fixture.observed.services = Some(reports(&["kafka", "redis"]));
    let status = of(&fixture);
    check(&status, "Available", "True", "ShoppersCanBuy");
    check(&status, "KafkaReady", "False", "BrokerUnreachable");
    check(&status, "RedisReady", "False", "RedisUnreachable");
}

#[test]
fn a_data_server_that_services_miss_may_lack_a_port_which_the_operator_cannot_read() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.observed.services = Some(reports(&["database", "kafka", "redis"]));
    let (mut plan, _) = plan(&fixture.market, Some(300));
    let conditions = [("KafkaReady", 9_092), ("DatabaseReady", 5_432), ("RedisReady", 6_379)];
    for (service, (type_, port)) in plan.data_services().into_iter().zip(conditions) {
        plan.target_ports = [(service, TargetPorts::Forbidden)].into();
        let message = condition_message(&report_of(&plan, &fixture, &Applied::default(), false, &[]), type_);
        for part in [&format!("another port than {port}"), "namespace data", "spec.network.egress", "dataNamespaces"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_service_that_stops_answering_is_reported_and_one_that_never_answered_is_not() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let mut services = reports(&[]);
    services.services.insert("order".to_owned(), Evidence::NeverAnswered);
    fixture.observed.services = Some(services.clone());
    check(&of(&fixture), "Available", "True", "ShoppersCanBuy");
    services.services.insert("order".to_owned(), Evidence::Silent("timed out".to_owned()));
    fixture.observed.services = Some(services);
    let status = of(&fixture);
    check(&status, "Available", "False", "ServiceUnreachable");
    check(&status, "WorkloadsReady", "False", "ServiceUnreachable");
}

#[test]
fn availability_is_unknown_without_any_evidence_and_false_without_the_database_server() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    fixture.observed.databases.as_mut().unwrap().connections = Err(error(Reason::DatabaseUnreachable));
    check(&of(&fixture), "Available", "False", "DatabaseUnreachable");
    fixture.observed.databases = None;
    check(&of(&fixture), "Available", "Unknown", "WaitingForDependency");
}

#[test]
fn a_changed_spec_is_not_ready_before_its_pods_are_replaced() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    check(&of(&fixture), "Ready", "True", "AllComponentsReady");
    fixture.market.spec.pod.annotations.insert("changed".to_owned(), "yes".to_owned());
    let status = of(&fixture);
    check(&status, "Ready", "False", "Progressing");
    check(&status, "WorkloadsReady", "False", "Progressing");
    check(&status, "Available", "True", "ShoppersCanBuy");
}

#[test]
fn no_condition_is_true_before_its_evidence_and_every_condition_says_what_was_seen() {
    let new = of(&Fixture::new(PRODUCTION));
    for type_ in ["Available", "Ready", "KafkaReady", "RedisReady", "CredentialsReady", "WorkloadsReady", "RouteReady"]
    {
        assert_ne!(condition(&new, type_).0, "True", "{type_}");
    }
    for status in [new, of(&Fixture::new(PRODUCTION).migrated().running())] {
        for condition in status.conditions {
            assert!(!condition.message.is_empty(), "{}", condition.type_);
        }
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_reported() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let order = ObjectKey::new(Kind::Deployment, "shop-order");
    fixture.observed.children.0.remove(&order);
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "shop-order-1", "labels": {"app.kubernetes.io/name": "order"}},
    });
    let waiting = serde_json::json!({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
    fixture.add(&ObjectKey::new(Kind::Pod, "shop-order-1"), pod, waiting);
    let status = of(&fixture);
    check(&status, "WorkloadsReady", "False", "ImageUnavailable");
    check(&status, "Available", "False", "Progressing");
    check(&status, "Stalled", "True", "ImageUnavailable");
}

#[test]
fn transition_times_change_only_with_the_status() {
    let mut fixture = Fixture::new(MINIMAL).migrated().running();
    let first = of(&fixture);
    fixture.market.status = Some(first.clone());
    fixture.observed.now += time::Duration::minutes(5);
    assert_eq!(of(&fixture), first);
    fixture.observed.redis.as_mut().unwrap().answer = Err(error(Reason::RedisUnreachable));
    let second = of(&fixture);
    let transition = |status: &MarketplaceStatus, name: &str| {
        status.conditions.iter().find(|c| c.type_ == name).unwrap().last_transition_time.clone()
    };
    assert_ne!(transition(&second, "RedisReady"), transition(&first, "RedisReady"));
    assert_eq!(transition(&second, "KafkaReady"), transition(&first, "KafkaReady"));
}

/// Which parts fail.
fn faults() -> impl Strategy<Value = [bool; 8]> {
    any::<[bool; 8]>()
}

proptest! {
    #[test]
    fn ready_is_true_exactly_if_nothing_failed(faults in faults()) {
        let [database, server, topic, broker, redis, pods, write, secret] = faults;
        let mut fixture = Fixture::new(MINIMAL).migrated().running();
        if database {
            let databases = &mut fixture.observed.databases.as_mut().unwrap().databases;
            databases.insert("shop_shop_order".to_owned(), Err(error(Reason::IsolationConflict)));
        }
        if server {
            fixture.observed.databases.as_mut().unwrap().connections = Err(error(Reason::DatabaseUnreachable));
        }
        if topic {
            let topics = fixture.observed.topics.as_mut().unwrap().topics.as_mut().unwrap();
            topics.insert("shop-shop.order-events".to_owned(), Err(error(Reason::TopicConflict)));
        }
        if broker {
            fixture.observed.topics.as_mut().unwrap().topics = Err(error(Reason::BrokerUnreachable));
        }
        if redis {
            fixture.observed.redis = None;
        }
        if pods {
            fixture.observed.children.0.remove(&ObjectKey::new(Kind::Deployment, "shop-cart"));
        }
        let mut applied = Applied::default();
        if write {
            applied.errors.push((Group::Workloads, error(Reason::Forbidden)));
        }
        if secret {
            fixture.observed.referenced_secrets.insert("postgres-admin".to_owned(), ReferencedSecret::NotUsable);
        }
        let status = report(&fixture, &applied, false, &[]);
        let ready = condition(&status, "Ready").0 == "True";
        prop_assert_eq!(ready, !faults.contains(&true));
        prop_assert_eq!(condition(&status, "Available").0 == "True", !pods && !server);
    }
}
