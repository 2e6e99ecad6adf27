//! Events as they arrive from the broker.

use std::sync::LazyLock;

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

/// The id of message number `n`, which is below 2^62: a UUIDv7 of the time when the test process started, the same at each call. Consumers reject
/// messages that were made long ago.
pub fn message_id(n: u64) -> Uuid {
    static MILLISECONDS: LazyLock<u128> = LazyLock::new(milliseconds);
    const VERSION_AND_VARIANT: u128 = 0x7000_8000_0000_0000_0000;
    Uuid::from_u128((*MILLISECONDS << 80) | VERSION_AND_VARIANT | u128::from(n))
}

#[expect(clippy::disallowed_methods, reason = "consumers compare the time of an id with the database's")]
fn milliseconds() -> u128 {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    u128::try_from(now).expect("after 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_of_version_seven_and_differ_by_their_number() {
        assert_eq!(message_id(7), message_id(7));
        assert_ne!(message_id(7), message_id(8));
        assert_eq!(message_id(7).get_version_num(), 7);
    }
}
