//! What every reconcile is given: the cluster, the data servers, the clock.

use std::sync::Arc;

use agora_chassis::Process;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ObjectReference;

use crate::cluster::Cluster;
use crate::cluster::events::Events;
use crate::decide::correction::Correction;
use crate::external::tasks::{EventSink, Externals};
use crate::market::{MarketRef, Trigger};

/// What every reconcile is given.
pub struct Context {
    /// The Kubernetes API.
    pub cluster: Cluster,
    /// What lies outside the cluster.
    pub externals: Externals,
    /// Tasks, clock, shutdown.
    pub process: Process,
    /// Asks for reconciles.
    pub trigger: Trigger,
}

impl Context {
    /// Forgets a Marketplace that is gone.
    pub fn forget(&self, market: &MarketRef) {
        self.cluster.forget(market);
        self.externals.forget(market);
    }
}

/// A context that many tasks share.
pub type Shared = Arc<Context>;

#[async_trait]
impl EventSink for Events {
    async fn corrected(&self, market: &ObjectReference, correction: Correction) {
        Self::corrected(self, market, correction).await;
    }
}
