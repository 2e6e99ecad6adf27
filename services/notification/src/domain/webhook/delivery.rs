//! Deliveries: one event at one endpoint.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::kinds::names;

names! {
    /// What became of a delivery.
    DeliveryState of "status" {
        /// It is sent now or later.
        Waiting = "waiting",
        /// The receiver answered 2xx.
        Delivered = "delivered",
        /// Given up after its last attempt.
        Failed = "failed",
    }
}

/// A delivery as admins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub endpoint: Uuid,
    pub event: Uuid,
    /// The event's type.
    pub kind: String,
    pub state: DeliveryState,
    /// All attempts, those before a redelivery included.
    pub attempts: i32,
    /// Status of the last answer.
    pub status_code: Option<i32>,
    /// The beginning of the last answer's body.
    pub answer: Option<String>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it is tried next; none while it is sent, and after its end.
    pub next_attempt_at: Option<OffsetDateTime>,
    pub last_attempt_at: Option<OffsetDateTime>,
    pub delivered_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

/// The `webhook-id` of an event at an endpoint, the same at each attempt and after a restore: receivers recognise a
/// repetition by it. Has no full stop, which separates it from the time in what is signed.
pub fn message_id(event: Uuid, endpoint: Uuid) -> String {
    format!("msg_{}_{}", event.simple(), endpoint.simple())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::message_id;

    #[test]
    fn an_id_is_of_an_event_and_an_endpoint_and_has_no_full_stop() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(message_id(a, b), message_id(a, b));
        assert!(message_id(a, b) != message_id(b, a) && !message_id(a, b).contains('.'));
    }
}
