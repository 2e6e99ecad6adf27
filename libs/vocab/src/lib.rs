//! Terms that two services mean alike: money, typed ids, e-mail addresses, pages, patches, clocks, limits of how
//! often.
//!
//! Knows nothing of HTTP, databases or brokers, and reads neither clock nor random source: both come in as arguments.

mod address;
mod allowance;
mod asset_base;
mod card;
mod client_address;
mod clock;
mod email;
mod flag;
mod id;
mod language;
mod money;
mod page;
mod patch;
mod quantity;
mod role;
mod secret;
mod variant;

pub use address::{Address, AddressText, Country};
pub use allowance::{Allowance, Allowances};
pub use asset_base::AssetBase;
pub use card::{contains_card_number, looks_like_card_number};
pub use client_address::{client_address, client_network};
pub use clock::{Clock, Ids};
pub use email::Email;
pub use flag::Flag;
pub use id::{
    AddressId, CartId, CommandId, EmailChangeId, EventId, ImportId, LineId, NotificationId, OrderId, PasswordResetId,
    PaymentId, ProductId, PromotionId, RefundId, ReservationId, ReturnId, SellerId, SessionId, ShipmentId, TermId,
    UserId, VariantId, WarehouseId,
};
pub use language::{LANGUAGE_TAG_CHARACTERS_MAX, LANGUAGE_TAG_PATTERN, is_language_tag};
pub use money::{AMOUNT_MAX, Currency, Money, MoneyError};
pub use page::{Page, PageSize};
pub use patch::Patch;
pub use quantity::{QUANTITY_MAX, Quantity};
pub use role::Role;
pub use secret::Secret;
pub use variant::Variant;

/// The recovery epoch: raised by one after a restore, carried by everything that leaves the database, so that what a
/// lost timeline sent can be distinguished from what this one sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl std::str::FromStr for Epoch {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A value that a parser refused: which field, and what would be acceptable. Never holds the refused value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The field's name as the client wrote it, in camelCase.
    pub field: &'static str,
    /// What would be acceptable, as a sentence without a full stop.
    pub message: String,
}

impl Invalid {
    /// A refusal of `field`, with what would be acceptable.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}
