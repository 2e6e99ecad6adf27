//! States of a payment, its initiator and its method.
//!
//! Pure, as all of `domain`.

use agora_vocab::Invalid;

/// The party that requested a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// A shopper, by `POST /payments`: the service calls the order before and after the charge.
    Shopper,
    /// The order, which receives the result as the response of its command, not as a callback.
    Order,
}

impl Initiator {
    /// The name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shopper => "shopper",
            Self::Order => "order",
        }
    }
}

/// A payment method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A card, represented by a token of the provider.
    Card,
}

impl Method {
    /// Every method. A new one needs a name here and a case in each provider.
    pub const ALL: [Self; 1] = [Self::Card];

    /// Parses the name of a method; any other text is an error that lists them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|method| method.as_str()).collect();
            Invalid::new("method", format!("must be {}", names.join(" or ")))
        })
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
        }
    }
}

/// Whether a charge also captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureMethod {
    /// The charge captures the whole amount.
    #[default]
    Automatic,
    /// The charge authorises; an admin captures or voids later.
    Manual,
}

impl CaptureMethod {
    /// Parses the name on the wire.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "automatic" => Ok(Self::Automatic),
            "manual" => Ok(Self::Manual),
            _ => Err(Invalid::new("captureMethod", "must be automatic or manual")),
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
        }
    }
}

/// The state of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No final outcome yet.
    Pending,
    /// The amount is held, not captured.
    Authorised,
    /// The amount due, or a part of it, was captured.
    Captured,
    /// The payer's bank declined the charge. Final.
    Declined,
    /// Nothing was captured and the bank made no decision. A request with the same key can retry.
    Failed,
    /// Cancelled before a capture; can never be charged. Final.
    Voided,
    /// A part of the captured amount was refunded.
    PartiallyRefunded,
    /// The whole captured amount was refunded. Final.
    Refunded,
}

impl Status {
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Authorised,
        Self::Captured,
        Self::Declined,
        Self::Failed,
        Self::Voided,
        Self::PartiallyRefunded,
        Self::Refunded,
    ];

    /// The name on the wire and in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorised => "authorised",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Failed => "failed",
            Self::Voided => "voided",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
        }
    }

    /// The state with this name, as [`Self::as_str`] returns it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether money was captured, even if all of it was refunded since.
    pub const fn is_captured(self) -> bool {
        self.is_refundable() || matches!(self, Self::Refunded)
    }

    /// Whether a captured amount remains that was not refunded.
    pub const fn is_refundable(self) -> bool {
        matches!(self, Self::Captured | Self::PartiallyRefunded)
    }

    /// Whether it is a result for the order. An authorised payment has none before its capture.
    pub const fn is_result(self) -> bool {
        !matches!(self, Self::Pending | Self::Authorised)
    }
}
