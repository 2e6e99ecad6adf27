//! What is written to Kafka: a module per owning service, the envelope, the topics' names.
//!
//! Data only: knows neither broker nor database. Every event has a sample in `samples.rs`, kept as a snapshot, which
//! tomorrow's build must still read.

pub mod cart;
pub mod cart_line;
pub mod catalog;
mod envelope;
pub mod order;
pub mod order_return;
pub mod payment;
pub mod promotional;
pub mod recommendation;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod shipment;
mod topic;
pub mod user;

pub use envelope::{DeadLetter, DeadLetterEvent, DeadLetterMetadata, DeadMail, Envelope};
pub use topic::{Topic, topics};

use serde_json::value::RawValue;

#[cfg(test)]
mod samples;

/// An event of one topic: an enum of `{"type": …, "data": …}`.
pub trait Event: serde::Serialize + serde::de::DeserializeOwned {
    /// The topic it is written to.
    const TOPIC: Topic;
    /// The version of the shape of `data`; additive changes keep it.
    const VERSION: u16 = 1;
    /// Every `type` of this topic, for telling a type that a newer release added from a malformed one.
    const KINDS: &'static [&'static str];

    /// The `type` of this event, such as `order.paid`.
    fn kind(&self) -> &'static str;

    /// The JSON of `data`, serialised directly from the event.
    fn data(&self) -> Result<Box<RawValue>, serde_json::Error>;

    /// The event of a `type` with this `data`; `None` for a type that is not among [`Event::KINDS`].
    fn from_parts(kind: &str, data: &RawValue) -> Result<Option<Self>, serde_json::Error>;
}

/// Declares a topic's enum: its wire names, and the `Event` that goes with them.
macro_rules! events {
    (
        $(#[doc = $doc:literal])* $name:ident on $topic:expr;
        $($(#[doc = $variant_doc:literal])* $kind:literal => $variant:ident($data:ty),)+
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        pub enum $name {
            $($(#[doc = $variant_doc])* #[serde(rename = $kind)] $variant($data),)+
        }

        #[cfg(feature = "openapi")]
        impl crate::schema::Described for $name {
            fn described() -> crate::schema::Events {
                crate::schema::Events::on($topic, &[$($doc),*])
                    $(.event::<$data>($kind, <Self as crate::Event>::VERSION, &[$($variant_doc),*]))+
            }
        }

        impl crate::Event for $name {
            const TOPIC: crate::Topic = $topic;
            const KINDS: &'static [&'static str] = &[$($kind),+];

            fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $kind,)+
                }
            }

            fn data(&self) -> Result<Box<serde_json::value::RawValue>, serde_json::Error> {
                match self {
                    $(Self::$variant(data) => serde_json::value::to_raw_value(data),)+
                }
            }

            fn from_parts(
                kind: &str,
                data: &serde_json::value::RawValue,
            ) -> Result<Option<Self>, serde_json::Error> {
                match kind {
                    $($kind => serde_json::from_str(data.get()).map(|data| Some(Self::$variant(data))),)+
                    _ => Ok(None),
                }
            }
        }
    };
}
use events;
