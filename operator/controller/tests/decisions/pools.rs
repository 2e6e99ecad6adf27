//! Connection pools, sessions and the read replica of the spec.

use agora_crd::Reason;
use agora_operator::decide::desired::external::{DesiredDatabases, Fingerprint as _};
use agora_operator::decide::plan::plan;
use agora_operator::decide::servers::SessionSettings;
use agora_operator::kinds::{Kind, ObjectKey};
use serde_json::Value;

use crate::fixture::{Fixture, MINIMAL};

fn settings(fixture: &Fixture, service: &str) -> Value {
    let key = ObjectKey::new(Kind::ConfigMap, format!("shop-{service}"));
    fixture.objects().into_iter().find(|object| object.key == key).unwrap().body["data"].clone()
}

#[test]
fn da6_the_search_service_alone_reads_at_the_replica_of_the_spec() {
    let with = |host: &str| {
        let sample = MINIMAL.replace("external: {host:", &format!("external: {{port: 5433, readHost: '{host}', host:"));
        Fixture::new(&sample).migrated()
    };
    assert!(settings(&Fixture::new(MINIMAL).migrated(), "search")["DATABASE_READ_ADDRESS"].is_null());
    for (host, address) in [("pg-ro.data.svc", "pg-ro.data.svc:5433"), ("fd00::5", "[fd00::5]:5433")] {
        let fixture = with(host);
        assert_eq!(settings(&fixture, "search")["DATABASE_READ_ADDRESS"], address);
        assert!(settings(&fixture, "order")["DATABASE_READ_ADDRESS"].is_null());
    }
}

/// The pool size that all services without one of their own get, at a server with so many connections.
fn shared(fixture: &Fixture, limit: i32) -> (Option<i32>, Vec<Reason>) {
    let (plan, violations) = plan(&fixture.market, Some(limit));
    (plan.budget.pool, violations.into_iter().map(|violation| violation.reason).collect())
}

#[test]
fn da8_a_service_gets_the_connections_and_the_sessions_that_the_spec_sets() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.service("order", "database: {poolSize: 20, statementTimeoutSeconds: 30, workMemMebibytes: 16}");
    let order = settings(&fixture, "order");
    assert_eq!(order["DATABASE_POOL_SIZE"], "20");
    assert_eq!(order["DATABASE_STATEMENT_TIMEOUT_SECONDS"], "30");
    assert_eq!(order["DATABASE_WORK_MEM_MIB"], "16");
    let cart = settings(&fixture, "cart");
    assert_eq!(cart["DATABASE_POOL_SIZE"], "5");
    assert!(cart["DATABASE_STATEMENT_TIMEOUT_SECONDS"].is_null() && cart["DATABASE_WORK_MEM_MIB"].is_null());
}

#[test]
fn da8_the_login_of_a_service_gets_its_sessions_and_reserves_its_connections_at_the_server() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let databases = |fixture: &Fixture| fixture.desired().databases.unwrap();
    let of = |all: &DesiredDatabases, service: &str| {
        let found = all.databases.iter().find(|one| one.name.ends_with(&format!("_{service}"))).unwrap();
        (found.session, found.reserved_connections)
    };
    let before = databases(&fixture);
    assert_eq!(of(&before, "order"), (SessionSettings::default(), 3 * 6));
    fixture.service("order", "database: {poolSize: 20, statementTimeoutSeconds: 30, workMemMebibytes: 16}");
    let after = databases(&fixture);
    let session = SessionSettings { statement_timeout_seconds: Some(30), work_mem_mebibytes: Some(16) };
    assert_eq!(of(&after, "order"), (session, 3 * 21), "20 connections and a listener in each of three pods");
    assert_eq!(of(&after, "cart"), of(&before, "cart"), "the others stay");
    // The database server is looked at again, and pods wait for what was found.
    assert_ne!(after.fingerprint(), before.fingerprint());
    fixture.service("order", "database: {poolSize: 20, statementTimeoutSeconds: 31, workMemMebibytes: 16}");
    assert_ne!(databases(&fixture).fingerprint(), after.fingerprint());
}

#[test]
fn da8_the_connections_that_the_spec_gives_to_a_service_are_not_divided_among_the_others() {
    let with = |order: &str| {
        let mut fixture = Fixture::new(MINIMAL);
        fixture.set_service("order", &format!("scaling: {{maxReplicas: 3}}\n{order}"));
        fixture
    };
    let plain = with("");
    let others = plan(&plain.market, Some(300)).0.services;
    let pods: i32 =
        others.iter().filter(|of| of.row.database && of.row.name != "order").map(|of| of.replicas.max).sum();
    // Three pods of order with 20 connections and a listener each, and four for each of the other pods.
    let enough = 20 + 3 * 21 + pods * 4;
    let given = with("database: {poolSize: 20}");
    assert_eq!(shared(&given, enough), (Some(3), Vec::new()));
    assert_eq!(shared(&given, enough - 1), (Some(2), Vec::new()));
    let too_few = 20 + 3 * 21 + pods * 3 - 1;
    assert_eq!(shared(&given, too_few), (None, vec![Reason::ConnectionBudgetExceeded]));
    assert_eq!(shared(&plain, too_few).1, Vec::new());
    assert_eq!(shared(&given, 50), (None, vec![Reason::ConnectionBudgetExceeded]));
}
