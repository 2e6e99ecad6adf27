//! What every reconciliation uses: the cluster, the external tasks, the process.

use std::sync::Arc;

use agora_chassis::Process;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ObjectReference;

use crate::cluster::Cluster;
use crate::cluster::events::Events;
use crate::decide::correction::Correction;
use crate::external::tasks::{EventSink, ExternalTasks};
use crate::market::{MarketRef, Trigger};

pub struct Context {
    pub cluster: Cluster,
    pub external: ExternalTasks,
    pub process: Process,
    pub trigger: Trigger,
    /// The namespace of the operator's pod; `None` outside a cluster.
    pub own_namespace: Option<String>,
}

impl Context {
    /// Ends the tasks of a deleted Marketplace and frees what is stored for it.
    pub fn remove(&self, market: &MarketRef) {
        self.cluster.remove(market);
        self.external.remove(market);
    }
}

pub type SharedContext = Arc<Context>;

#[async_trait]
impl EventSink for Events {
    async fn corrected(&self, market: &ObjectReference, correction: Correction) {
        Self::corrected(self, market, correction).await;
    }
}
