//! The operator put together: watches, external tasks and scheduler. The process and its tests differ only in what they
//! pass to [`start`].

use std::sync::Arc;

use agora_chassis::Process;
use kube::Client;
use kube::runtime::events::Recorder;
use tokio::sync::mpsc;

use crate::cluster::events::Events;
use crate::cluster::{Cluster, identity, watches};
use crate::external::tasks::{Adapters, ExternalTasks, INSPECTION_SECONDS_MAX};
use crate::external::{kafka, postgres, readiness, redis};
use crate::market::Trigger;
use crate::run::context::Context;
use crate::run::scheduler;

/// Name of the operator's process, and the reporter of its Kubernetes events.
pub const NAME: &str = "agora-operator";

/// Where an operator runs, and what it reconciles.
pub struct Setup {
    pub client: Client,
    /// Namespaces whose Marketplaces are reconciled.
    pub namespaces: Vec<String>,
    /// The operator's own namespace, whose pods with its label may read the readiness of services; `None` outside a cluster.
    pub own_namespace: Option<String>,
    pub adapters: Adapters,
}

/// The adapters of PostgreSQL, Kafka, Redis and the services' admin ports.
pub fn adapters() -> Adapters {
    Adapters {
        databases: Arc::new(postgres::PgDatabases::default()),
        topics: Arc::new(kafka::KafkaTopics::default()),
        redis: Arc::new(redis::RedisConnections::default()),
        services: Arc::new(readiness::HttpReadiness::default()),
        inspection_seconds_max: INSPECTION_SECONDS_MAX,
    }
}

/// Starts the watches and closes the gate `cluster`, which keeps the process unready until the cluster's uid is read. The
/// returned future reads it, with retries, and starts the scheduler; it ends early at a shutdown.
pub fn start(process: &Process, setup: Setup) -> impl Future<Output = ()> + Send + use<> {
    let Setup { client, namespaces, own_namespace, adapters } = setup;
    let (sender, requests) = mpsc::unbounded_channel();
    let trigger = Trigger(sender);
    let stores = watches::start(&client, &namespaces, process, &trigger);
    let events = Events(Recorder::new(client.clone(), NAME.into()));
    let external = ExternalTasks::new(adapters, process.clone(), trigger.clone(), Arc::new(events.clone()));
    let (process, gate) = (process.clone(), process.gate("cluster"));
    async move {
        let shutdown = process.shutdown();
        let Some(uid) = shutdown.run_until_cancelled(identity::cluster_uid(&client, &gate)).await else { return };
        let cluster = Cluster::new(client, uid, stores, events);
        scheduler::start(Arc::new(Context { cluster, external, process, trigger, own_namespace }), requests);
    }
}
