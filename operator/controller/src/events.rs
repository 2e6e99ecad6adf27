//! Events on a Marketplace: what was put right and who had changed it.

use agora_crd::Reason;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};

/// Says that something was put right.
pub async fn corrected(recorder: &Recorder, market: &ObjectReference, correction: Correction) {
    let Correction { what, note } = correction;
    tracing::info!(namespace = market.namespace, name = market.name, note, "drift corrected");
    let event = event(EventType::Normal, Reason::DriftCorrected, "Correct", note, Some(what));
    publish(recorder, market, event).await;
}

/// Something that was put right.
#[derive(Clone, Debug)]
pub struct Correction {
    /// The thing; another version of it is another correction.
    pub what: ObjectReference,
    /// What was done, and who had changed it.
    pub note: String,
}

impl Correction {
    /// Of something outside the cluster, whole or in part. Corrections of the same part are counted as one series, which
    /// keeps its first note.
    pub fn outside(kind: &str, name: &str, part: Option<&str>, note: String) -> Self {
        let what = ObjectReference {
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            field_path: part.map(str::to_owned),
            ..ObjectReference::default()
        };
        Self { what, note }
    }
}

/// Says that something needs attention.
pub async fn warn(recorder: &Recorder, market: &ObjectReference, reason: Reason, action: &str, note: String) {
    publish(recorder, market, event(EventType::Warning, reason, action, note, None)).await;
}

fn event(type_: EventType, reason: Reason, action: &str, note: String, secondary: Option<ObjectReference>) -> Event {
    Event { type_, reason: reason.to_string(), note: Some(note), action: action.to_owned(), secondary }
}

/// An event that cannot be written changes nothing about what it reports.
async fn publish(recorder: &Recorder, market: &ObjectReference, event: Event) {
    if let Err(error) = recorder.publish(&event, market).await {
        tracing::warn!(%error, "an event could not be written");
    }
}
