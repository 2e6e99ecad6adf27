//! Events as they arrive from the broker.

use agora_events::{Envelope, Event};
use time::OffsetDateTime;
use uuid::Uuid;

/// An envelope of `event` with this id and key, from no trace and no request.
pub fn envelope<E: Event>(id: Uuid, key: impl Into<String>, event: &E) -> Envelope {
    let (kind, data) = Envelope::parts(event).expect("an event can be serialised");
    Envelope {
        id,
        kind: kind.to_owned(),
        version: E::VERSION,
        time: OffsetDateTime::UNIX_EPOCH,
        key: key.into(),
        seq: 1,
        epoch: 0,
        trace: None,
        correlation_id: None,
        causation_id: None,
        data,
    }
}
