//! Holds of orders on stock: how a hold allocates units to warehouses, and its state transitions. Pure.

use std::collections::BTreeMap;

use agora_events::catalog::{InventoryEvent, ReservationExpired};
use agora_vocab::{Invalid, OrderId, ProductId, Quantity, Variant};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::stock::{StockLevel, StockLocation};

/// Maximum number of lines of one hold, after equal lines are summed.
pub const LINES_MAX: usize = 100;
/// Maximum duration of a hold in seconds: one day.
pub const HOLD_SECONDS_MAX: u32 = 86_400;

/// A requested product, variant and number of units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub product: ProductId,
    pub variant: Variant,
    /// Requested units: a sum of quantities, so it may exceed the limit of a single quantity.
    pub units: u32,
}

/// The lines of one hold: 1 to 100, equal lines summed, sorted by product and variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Sums equal lines and sorts them. Rejects fewer than 1 or more than 100 distinct lines.
    pub fn new(lines: impl IntoIterator<Item = (ProductId, Variant, Quantity)>) -> Result<Self, Invalid> {
        let mut sums: BTreeMap<(ProductId, Variant), u32> = BTreeMap::new();
        for (product, variant, quantity) in lines {
            let sum = sums.entry((product, variant)).or_default();
            *sum = sum.saturating_add(quantity.get());
        }
        if !(1..=LINES_MAX).contains(&sums.len()) {
            return Err(Invalid::new("lines", format!("must be from 1 to {LINES_MAX} different lines")));
        }
        Ok(Self(sums.into_iter().map(|((product, variant), units)| Line { product, variant, units }).collect()))
    }

    /// The lines, sorted by product and variant.
    pub fn as_slice(&self) -> &[Line] {
        &self.0
    }
}

/// The n-th hold of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hold {
    pub order: OrderId,
    /// Number of the hold within its order, from 1.
    pub number: i32,
}

impl Hold {
    /// Accepts numbers from 1.
    pub fn parse(order: OrderId, number: i32) -> Result<Self, Invalid> {
        if number < 1 { Err(Invalid::new("hold", "must be at least 1")) } else { Ok(Self { order, number }) }
    }

    /// The event that the hold expired.
    pub const fn expired(self) -> InventoryEvent {
        InventoryEvent::ReservationExpired(ReservationExpired { order_id: self.order, hold: self.number })
    }
}

/// Duration of a hold in seconds, by the database's clock: 1 to 86400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(u32);

impl Seconds {
    /// Accepts 1 to 86400.
    pub fn parse(seconds: u32) -> Result<Self, Invalid> {
        if (1..=HOLD_SECONDS_MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(Invalid::new("seconds", format!("must be from 1 to {HOLD_SECONDS_MAX}")))
        }
    }

    /// The number of seconds.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Units that a hold reserves at one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The location that the units are reserved at.
    pub location: StockLocation,
    /// Number of units, at least 1.
    pub units: i64,
}

/// A line that cannot be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    pub product: ProductId,
    pub variant: Variant,
    /// Units that the line requests.
    pub requested: i64,
    /// Units that are available.
    pub available: i64,
}

/// Allocates each line to stock levels, lowest warehouse priority number first. Returns the allocation of all lines, or
/// every shortage.
pub fn allocate(lines: &Lines, levels: &[StockLevel]) -> Result<Vec<Allocation>, Vec<Shortage>> {
    let (mut parts, mut shortages) = (Vec::new(), Vec::new());
    for Line { product, variant, units } in lines.as_slice() {
        let mut from: Vec<&StockLevel> =
            levels.iter().filter(|s| s.location.product == *product && s.location.variant == *variant).collect();
        from.sort_by_key(|level| (level.priority, level.location.warehouse));
        let (requested, available) = (i64::from(*units), from.iter().map(|s| s.available()).sum::<i64>());
        if available < requested {
            shortages.push(Shortage { product: *product, variant: variant.clone(), requested, available });
            continue;
        }
        let mut left = requested;
        for level in from {
            let units = left.min(level.available());
            left -= units;
            if units > 0 {
                parts.push(Allocation { location: level.location.clone(), units });
            }
        }
    }
    if shortages.is_empty() { Ok(parts) } else { Err(shortages) }
}

/// Result of a reserve command; a duplicate of the command returns the same result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reservation {
    /// Every line is reserved until this time, by the database's clock.
    Held(#[serde(with = "time::serde::rfc3339")] OffsetDateTime),
    /// Nothing is reserved; lists every line with insufficient stock.
    Short(Vec<Shortage>),
    /// Nothing is reserved: the hold was released or expired before.
    Cancelled,
}

/// State of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldState {
    /// The units are reserved.
    Held,
    /// The units were sold.
    Committed,
    /// The hold was released; sold units are back in stock.
    Released,
    /// The hold expired.
    Expired,
    /// The hold was released before it was requested; a later reserve command is rejected.
    Tombstone,
    /// No command for the hold has arrived.
    Unknown,
}

impl HoldState {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Tombstone => "tombstone",
            Self::Unknown => "unknown",
        }
    }

    /// Parses the name on the wire and in the database.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Held, Self::Committed, Self::Released, Self::Expired, Self::Tombstone, Self::Unknown]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// What a release must do, depending on the state of the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseAction {
    /// Insert a tombstone, so that a later reserve command is rejected.
    WriteTombstone,
    /// Free the reserved units.
    Free,
    /// Return the sold units to stock.
    Return,
    /// Nothing: the hold has ended.
    Nothing,
}

/// Returns what a release does to a hold in this state. A release takes precedence over a later reserve.
pub const fn release_action(state: HoldState) -> ReleaseAction {
    match state {
        HoldState::Unknown => ReleaseAction::WriteTombstone,
        HoldState::Held => ReleaseAction::Free,
        HoldState::Committed => ReleaseAction::Return,
        HoldState::Released | HoldState::Expired | HoldState::Tombstone => ReleaseAction::Nothing,
    }
}
