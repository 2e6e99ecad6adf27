//! Events on a Marketplace: what was put right and who had changed it.

use agora_crd::Reason;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::decide::correction::Correction;

/// Writes events.
#[derive(Clone)]
pub struct Events(pub Recorder);

impl Events {
    /// Says that something was put right.
    pub async fn corrected(&self, market: &ObjectReference, correction: Correction) {
        let Correction { what, note } = correction;
        tracing::info!(namespace = market.namespace, name = market.name, note, "drift corrected");
        let event = event(EventType::Normal, Reason::DriftCorrected, "Correct", note, Some(what));
        self.publish(market, event).await;
    }

    /// Says that something needs attention.
    pub async fn warn(&self, market: &ObjectReference, reason: Reason, action: &str, note: String) {
        self.publish(market, event(EventType::Warning, reason, action, note, None)).await;
    }

    /// An event that cannot be written changes nothing about what it reports.
    async fn publish(&self, market: &ObjectReference, event: Event) {
        if let Err(error) = self.0.publish(&event, market).await {
            tracing::warn!(%error, "an event could not be written");
        }
    }
}

fn event(type_: EventType, reason: Reason, action: &str, note: String, secondary: Option<ObjectReference>) -> Event {
    Event { type_, reason: reason.to_string(), note: Some(note), action: action.to_owned(), secondary }
}
