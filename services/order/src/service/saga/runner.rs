//! Runs the steps of one order's saga while the lease is held and a step is due.

use std::sync::Arc;

use agora_outbox::DedupKey;

use super::Services;
use crate::{
    domain::{RunnerId, State, Step, next},
    ports::{ApplyError, OrderStore, SagaSnapshot},
};

/// Maximum steps per run; the longest path (reserve, pay, reservation lost, reserve, commit) has far fewer.
const STEPS_MAX: usize = 20;

/// Runs sagas: loads and stores orders, and calls the other services.
#[derive(Clone)]
pub struct SagaRunner {
    pub store: Arc<dyn OrderStore>,
    /// Clients of the services that sagas call.
    pub services: Services,
}

impl SagaRunner {
    /// Runs all due steps and returns the final state. Returns at once without the lease.
    ///
    /// Cancel-safe: the next holder of the lease repeats an interrupted step with the same
    /// command id.
    pub async fn run(&self, mut snapshot: SagaSnapshot, runner: RunnerId) -> Result<State, ApplyError> {
        for _ in 0..STEPS_MAX {
            let step = next(&snapshot.state, snapshot.now);
            if !snapshot.leased || matches!(step, Step::Wait { .. }) {
                return Ok(snapshot.state);
            }
            let (event, dedup_key) = self.services.execute(&snapshot.state, step).await;
            let events = self.services.with_commit(&snapshot, event).await;
            let order = snapshot.state.order.id;
            let done = self.store.advance(snapshot, &events, &dedup_key, runner).await?;
            snapshot = if done.is_duplicate() {
                // The result is a duplicate, but the step was still due: apply it without a deduplication key.
                self.store.apply(order, &events, &DedupKey::None, Some(runner)).await?.into_inner()
            } else {
                done.into_inner()
            };
        }
        tracing::error!(order = %snapshot.state.order.id, "a saga exceeded the maximum number of steps per run; its lease is released");
        self.store.release_lease(snapshot.state.order.id, runner).await?;
        Ok(snapshot.state)
    }
}
