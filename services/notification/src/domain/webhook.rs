//! Webhooks: endpoints of merchants, the public form of events, deliveries and when they are tried again. Pure.

mod delivery;
mod endpoint;
mod public;
mod schedule;

pub use delivery::{Delivery, DeliveryState, message_id};
pub use endpoint::{
    DESCRIPTION_CHARS_MAX, DisableReason, Disabled, ENDPOINTS_MAX, Endpoint, EndpointChange, EventTypes, NewEndpoint,
    SECRETS_MAX,
};
pub use public::{EVENT_TYPES, TEST_EVENT, WebhookEvent, public_event, test_event};
pub use schedule::{ATTEMPTS_MAX, FAILING_MAX, RETRY_AFTER_MAX, Reply, Verdict, verdict};
