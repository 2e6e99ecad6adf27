//! Events on a Marketplace, for `kubectl describe`.

use agora_crd::Reason;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use time::OffsetDateTime;

use crate::decide::correction::{Correction, Severity};
use crate::decide::milestones::Milestone;

#[derive(Clone)]
pub struct Events(pub Recorder);

impl Events {
    /// Logs a change of an object and writes an event; its type is Warning if data may be lost.
    pub async fn corrected(&self, market: &ObjectReference, correction: Correction) {
        let Correction { object, severity, note } = correction;
        let (namespace, name) = (&market.namespace, &market.name);
        let (type_, reason, action) = match severity {
            Severity::Provisioned => {
                tracing::info!(namespace, name, "{note}");
                (EventType::Normal, Reason::Provisioned, "Provision")
            }
            Severity::Reverted => {
                tracing::info!(namespace, name, "{note}");
                (EventType::Normal, Reason::DriftCorrected, "Correct")
            }
            Severity::DataLoss => {
                tracing::warn!(namespace, name, "{note}");
                (EventType::Warning, Reason::DriftCorrected, "Correct")
            }
            Severity::Released => {
                tracing::info!(namespace, name, "{note}");
                (EventType::Normal, Reason::DataServerChanged, "Release")
            }
            Severity::LeftOpen => {
                tracing::warn!(namespace, name, "{note}");
                (EventType::Warning, Reason::DataServerChanged, "Release")
            }
        };
        self.publish(market, event(type_, reason, action, note, Some(object))).await;
    }

    /// Logs a step of a Marketplace's life and writes an event. `at` distinguishes events of the same kind: without it they
    /// would be counted as one series, which keeps its first note.
    pub async fn milestone(&self, market: &ObjectReference, milestone: Milestone, at: OffsetDateTime) {
        let Milestone { reason, warning, note, child } = milestone;
        tracing::info!(namespace = market.namespace, name = market.name, %reason, "{note}");
        let type_ = if warning { EventType::Warning } else { EventType::Normal };
        let child = child.map(|key| (key.kind.resource(), key.name));
        let about = ObjectReference {
            api_version: child
                .as_ref()
                .map_or_else(|| market.api_version.clone(), |(kind, _)| Some(kind.api_version.clone())),
            kind: child.as_ref().map_or_else(|| market.kind.clone(), |(kind, _)| Some(kind.kind.clone())),
            name: child.map_or_else(|| market.name.clone(), |(_, name)| Some(name)),
            namespace: market.namespace.clone(),
            resource_version: Some(at.unix_timestamp().to_string()),
            ..ObjectReference::default()
        };
        self.publish(market, event(type_, reason, "Reconcile", note, Some(about))).await;
    }

    /// Logs what stays after the deletion of a Marketplace, and writes an event on its namespace. It is written to namespace
    /// `default`, as every event on an object without a namespace.
    pub async fn retained(&self, namespace: &str, note: String, unexpected: bool) {
        if unexpected {
            tracing::warn!(namespace, "{note}");
        } else {
            tracing::info!(namespace, "{note}");
        }
        let type_ = if unexpected { EventType::Warning } else { EventType::Normal };
        let on = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Namespace".to_owned()),
            name: Some(namespace.to_owned()),
            ..ObjectReference::default()
        };
        self.publish(&on, event(type_, Reason::RetainedOnDelete, "Delete", note, None)).await;
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

/// The API server rejects a longer note.
const NOTE_BYTES_MAX: usize = 1_000;

fn event(
    type_: EventType,
    reason: Reason,
    action: &str,
    mut note: String,
    secondary: Option<ObjectReference>,
) -> Event {
    note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
    Event { type_, reason: reason.to_string(), note: Some(note), action: action.to_owned(), secondary }
}
