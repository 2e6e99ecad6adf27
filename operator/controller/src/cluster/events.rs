//! Events on a Marketplace, for `kubectl describe`.

use agora_crd::Reason;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::decide::correction::{Correction, Severity};

#[derive(Clone)]
pub struct Events(pub Recorder);

impl Events {
    /// Logs a correction of drift and writes an event; its type is Warning if data may be lost.
    pub async fn corrected(&self, market: &ObjectReference, correction: Correction) {
        let Correction { object, severity, note } = correction;
        let (namespace, name) = (&market.namespace, &market.name);
        let type_ = match severity {
            Severity::Reverted => {
                tracing::info!(namespace, name, "{note}");
                EventType::Normal
            }
            Severity::DataLoss => {
                tracing::warn!(namespace, name, "{note}");
                EventType::Warning
            }
        };
        self.publish(market, event(type_, Reason::DriftCorrected, "Correct", note, Some(object))).await;
    }

    /// Logs and writes an event of type Warning.
    pub async fn warn(&self, market: &ObjectReference, reason: Reason, action: &str, note: String) {
        tracing::warn!(namespace = market.namespace, name = market.name, %reason, "{note}");
        self.publish(market, event(EventType::Warning, reason, action, note, None)).await;
    }

    /// A failure is logged only: a reconciliation must not depend on its events.
    async fn publish(&self, market: &ObjectReference, event: Event) {
        if let Err(error) = self.0.publish(&event, market).await {
            tracing::warn!(
                namespace = market.namespace,
                name = market.name,
                reason = event.reason,
                %error,
                "cannot write a Kubernetes event; its text is in the log line before"
            );
        }
    }
}

fn event(type_: EventType, reason: Reason, action: &str, note: String, secondary: Option<ObjectReference>) -> Event {
    Event { type_, reason: reason.to_string(), note: Some(note), action: action.to_owned(), secondary }
}
