//! The tasks that manage databases, topics and Redis of each Marketplace. They run apart from the reconciliation, so that an
//! unreachable server does not delay a correction in the cluster. A reconciliation sets the desired state and reads the last
//! inspection; a task requests a reconciliation when the result of its inspection changes.

pub(crate) mod databases;
mod former;
mod redis;
mod resource;
mod services;
pub(crate) mod topics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agora_chassis::Process;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ObjectReference;

use crate::decide::correction::Correction;
use crate::decide::desired::Desired;
use crate::decide::observed::LastInspection;
use crate::external::ports::{DatabaseAdmin, RedisProbe, ServiceProbe, TopicAdmin};
use crate::market::{MarketRef, Trigger};
use databases::Databases;
use redis::Redis;
pub use resource::{External, Inspection};
use resource::{ExternalResource, Reporter};
use services::Services;
pub use topics::Topics;

#[derive(Clone)]
pub struct Adapters {
    pub databases: Arc<dyn DatabaseAdmin>,
    pub topics: Arc<dyn TopicAdmin>,
    pub redis: Arc<dyn RedisProbe>,
    pub services: Arc<dyn ServiceProbe>,
    /// An inspection that takes longer is cancelled and counts as failed.
    pub inspection_seconds_max: u64,
}

/// For [`Adapters::inspection_seconds_max`]: longer than every statement and request of an inspection.
pub const INSPECTION_SECONDS_MAX: u64 = 120;

/// Reports corrections to the user.
#[async_trait]
pub trait EventSink: Send + Sync {
    async fn corrected(&self, market: &ObjectReference, correction: Correction);
}

/// The external resources of all Marketplaces.
pub struct ExternalTasks {
    pub adapters: Adapters,
    process: Process,
    trigger: Trigger,
    events: Arc<dyn EventSink>,
    markets: Mutex<BTreeMap<MarketRef, ExternalResources>>,
}

/// The external resources of one Marketplace. Their tasks end when this is dropped.
struct ExternalResources {
    databases: ExternalResource<Databases>,
    topics: ExternalResource<Topics>,
    redis: ExternalResource<Redis>,
    services: ExternalResource<Services>,
}

impl ExternalTasks {
    pub fn new(adapters: Adapters, process: Process, trigger: Trigger, events: Arc<dyn EventSink>) -> Self {
        Self { adapters, process, trigger, events, markets: Mutex::default() }
    }

    pub fn last_inspection(&self, market: &MarketRef) -> LastInspection {
        let markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        markets.get(market).map_or_else(LastInspection::default, |resources| LastInspection {
            databases: resources.databases.last(),
            topics: resources.topics.last(),
            redis: resources.redis.last(),
            services: resources.services.last(),
        })
    }

    /// Starts the tasks of a new Marketplace. A part of the desired state that is an error keeps its last value.
    pub fn set_desired(&self, market: &MarketRef, reference: &ObjectReference, desired: &Desired) {
        let mut markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = markets.entry(market.clone()).or_insert_with(|| self.start(market, reference));
        if let Ok(databases) = &desired.databases {
            resources.databases.set_desired(databases);
        }
        if let Ok(topics) = &desired.topics {
            resources.topics.set_desired(topics);
        }
        if let Ok(redis) = &desired.redis {
            resources.redis.set_desired(redis);
        }
        resources.services.set_desired(&desired.probes);
    }

    /// Starts no further inspection or correction until a desired state is set again. The last inspection is kept.
    pub fn suspend(&self, market: &MarketRef) {
        let markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resources) = markets.get(market) {
            resources.databases.suspend();
            resources.topics.suspend();
            resources.redis.suspend();
            resources.services.suspend();
        }
    }

    /// Suspends, and waits for the end of a running correction: it would create again what is about to be deleted.
    pub async fn suspend_and_wait(&self, market: &MarketRef) {
        self.suspend(market);
        let running = {
            let markets = self.markets.lock().unwrap_or_else(PoisonError::into_inner);
            markets.get(market).map(|resources| [resources.databases.running(), resources.topics.running()])
        };
        for running in running.into_iter().flatten() {
            drop(running.lock().await);
        }
    }

    /// Ends the tasks of a Marketplace.
    pub fn remove(&self, market: &MarketRef) {
        self.markets.lock().unwrap_or_else(PoisonError::into_inner).remove(market);
    }

    fn start(&self, market: &MarketRef, reference: &ObjectReference) -> ExternalResources {
        let reporter = Reporter {
            market: market.clone(),
            reference: reference.clone(),
            trigger: self.trigger.clone(),
            events: self.events.clone(),
            inspection_seconds_max: self.adapters.inspection_seconds_max,
        };
        let Adapters { databases, topics, redis, services, .. } = self.adapters.clone();
        ExternalResources {
            databases: ExternalResource::start(&self.process, reporter.clone(), Databases::new(databases)),
            topics: ExternalResource::start(&self.process, reporter.clone(), Topics(topics)),
            redis: ExternalResource::start(&self.process, reporter.clone(), Redis(redis)),
            services: ExternalResource::start(&self.process, reporter, Services::new(services)),
        }
    }
}
