//! Live events of each user: read from the broker by every process of the gateway, kept for a while, and sent to the
//! user's open streams. Must not know how a stream is served.

mod cursor;
mod feed;
mod history;
mod hub;
mod public_event;
mod stream;
mod sweep;

pub use cursor::Cursor;
pub use feed::follow;
pub use hub::{Hub, Refused, Subscription};
pub use stream::{EndReason, Item};
