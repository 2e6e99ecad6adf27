//! The tasks of the data servers: a server that never answers, and the refusals of servers, are reported.

use std::sync::Arc;

use agora_chassis::Process;
use agora_crd::Reason;
use agora_operator::decide::correction::Correction;
use agora_operator::decide::observed::LastInspection;
use agora_operator::decide::servers::{AdminDatabase, DesiredDatabase, ObservedServer};
use agora_operator::external::ports::{DatabaseAdmin, DatabaseError, RedisError, RedisProbe};
use agora_operator::external::tasks::{Adapters, EventSink, ExternalTasks};
use agora_operator::market::{MarketRef, Trigger};
use agora_vocab::Secret;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::sync::mpsc;

use crate::fakes::{HealthyServices, InMemoryDatabases, InMemoryTopics, ReachableRedis};
use crate::fixture::{Fixture, MINIMAL};

/// A connection whose other end has gone without a message.
struct SilentRedis;

#[async_trait]
impl RedisProbe for SilentRedis {
    async fn ping(&self, _: &str, _: Option<&Secret>) -> Result<(), RedisError> {
        std::future::pending().await
    }
}

struct NoEvents;

#[async_trait]
impl EventSink for NoEvents {
    async fn corrected(&self, _: &ObjectReference, _: Correction) {}
}

/// Refuses every call in the same way.
struct Refusing(fn() -> DatabaseError);

#[async_trait]
impl DatabaseAdmin for Refusing {
    async fn inspect(&self, _: &AdminDatabase, _: &[DesiredDatabase]) -> Result<ObservedServer, DatabaseError> {
        Err(self.0())
    }

    async fn ensure(&self, _: &AdminDatabase, _: &DesiredDatabase) -> Result<(), DatabaseError> {
        Err(self.0())
    }

    async fn drop(&self, _: &AdminDatabase, _: &DesiredDatabase) -> Result<(), DatabaseError> {
        Err(self.0())
    }

    async fn lock(&self, _: &AdminDatabase, _: &DesiredDatabase) -> Result<(), DatabaseError> {
        Err(self.0())
    }
}

fn market() -> MarketRef {
    MarketRef { namespace: "shop".to_owned(), name: "shop".to_owned() }
}

/// Inspects the servers of the minimal sample until `find` returns something.
async fn inspected<T>(adapters: Adapters, find: impl Fn(LastInspection) -> Option<T>) -> T {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let process = Process::for_test("agora-operator");
    let tasks = ExternalTasks::new(adapters, process.clone(), Trigger(sender), Arc::new(NoEvents));
    tasks.set_desired(&market(), &ObjectReference::default(), &Fixture::new(MINIMAL).desired());
    loop {
        requests.recv().await.unwrap();
        if let Some(found) = find(tasks.last_inspection(&market())) {
            process.end().await;
            return found;
        }
    }
}

fn adapters() -> Adapters {
    Adapters {
        databases: Arc::new(InMemoryDatabases::default()),
        topics: Arc::new(InMemoryTopics::default()),
        redis: Arc::new(ReachableRedis),
        services: Arc::new(HealthyServices),
        inspection_seconds_max: 1,
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_reported_and_asked_again() {
    let silent = Adapters { redis: Arc::new(SilentRedis), ..adapters() };
    let error = inspected(silent, |last| last.redis.map(|redis| redis.answer.unwrap_err())).await;
    assert_eq!(error.reason, Reason::RedisUnreachable);
    assert!(error.message.contains("did not answer within 1 s"), "{}", error.message);
}

#[tokio::test]
async fn the_refusals_of_data_servers_are_told_apart() {
    let refusals: [(fn() -> DatabaseError, Reason); 5] = [
        (|| DatabaseError::AuthenticationFailed { user: "admin".to_owned() }, Reason::AuthenticationFailed),
        (
            || DatabaseError::ClearTextPassword { host: "postgres.data.svc".to_owned(), port: 5432 },
            Reason::AuthenticationFailed,
        ),
        (|| DatabaseError::RoleConflict { role: "shop".to_owned() }, Reason::RoleConflict),
        (
            || DatabaseError::IsolationConflict { database: "shop".to_owned(), owner: "other/shop".to_owned() },
            Reason::IsolationConflict,
        ),
        (|| DatabaseError::Forbidden { user: "admin".to_owned(), action: "create".to_owned() }, Reason::Forbidden),
    ];
    for (refusal, reason) in refusals {
        let refusing = Adapters { databases: Arc::new(Refusing(refusal)), ..adapters() };
        let error =
            inspected(refusing, |last| last.databases.map(|databases| databases.connections.unwrap_err())).await;
        assert_eq!(error.reason, reason);
        assert!(error.message.contains("postgres.data.svc:5432"), "{}", error.message);
    }
}
