//! Stock levels: units on hand and reserved units at one location, and their adjustment. Pure.

use agora_events::catalog::{InventoryEvent, StockChanged};
use agora_vocab::{Invalid, ProductId, Variant, WarehouseId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Maximum units of one product, variant and warehouse.
const ON_HAND_MAX: i64 = 1_000_000_000;

/// Identifies a stock row. Stock rows are locked in the order of this type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StockLocation {
    pub product: ProductId,
    /// The product's variant.
    pub variant: Variant,
    pub warehouse: WarehouseId,
}

/// The stock at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLevel {
    /// Id of the aggregate whose events report this level.
    pub id: Uuid,
    /// The location that is counted.
    pub location: StockLocation,
    /// Units in the warehouse, reserved ones included.
    pub on_hand: i64,
    /// Units reserved by orders: 0 ≤ reserved ≤ on hand.
    pub reserved: i64,
    /// Incremented by each change.
    pub version: i64,
    /// Priority of the warehouse: units are allocated from the lowest number first.
    pub priority: i32,
}

/// An admin's change of the units on hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// Sets the number of units.
    Set(i64),
    /// Adds units, or removes them if negative.
    Add(i64),
}

/// Why an adjustment is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustRefused {
    /// The result would be below the reserved units.
    BelowReserved {
        /// Units that would be on hand after the adjustment.
        requested: i64,
        /// Units reserved by orders.
        reserved: i64,
    },
    /// The result would exceed a billion units.
    TooMany,
}

impl Adjustment {
    /// Accepts exactly one of a quantity (0 to a billion) and a delta (at most a billion in either direction).
    pub fn parse(quantity: Option<i64>, delta: Option<i64>) -> Result<Self, Invalid> {
        let bounded = |field, units: i64, least| match units {
            units if (least..=ON_HAND_MAX).contains(&units) => Ok(units),
            _ => Err(Invalid::new(field, format!("must be from {least} to {ON_HAND_MAX}"))),
        };
        match (quantity, delta) {
            (Some(units), None) => bounded("quantity", units, 0).map(Self::Set),
            (None, Some(units)) => bounded("delta", units, -ON_HAND_MAX).map(Self::Add),
            _ => Err(Invalid::new("quantity", "give either quantity or delta")),
        }
    }
}

impl StockLevel {
    /// A level without units, of version 0.
    pub const fn empty(id: Uuid, location: StockLocation, priority: i32) -> Self {
        Self { id, location, on_hand: 0, reserved: 0, version: 0, priority }
    }

    /// Units that can be reserved: on hand minus reserved.
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Returns how many units an adjustment adds (negative: removes). Rejects a result below the reserved units.
    pub fn adjusted(&self, by: Adjustment) -> Result<i64, AdjustRefused> {
        let requested = match by {
            Adjustment::Set(units) => units,
            Adjustment::Add(units) => self.on_hand.saturating_add(units),
        };
        match requested {
            _ if requested < self.reserved => Err(AdjustRefused::BelowReserved { requested, reserved: self.reserved }),
            _ if requested > ON_HAND_MAX => Err(AdjustRefused::TooMany),
            _ => Ok(requested - self.on_hand),
        }
    }

    /// Returns the level of the next version with these deltas added to the units on hand and reserved.
    #[must_use]
    pub fn moved(&self, on_hand: i64, reserved: i64) -> Self {
        Self {
            on_hand: self.on_hand + on_hand,
            reserved: self.reserved + reserved,
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// The event that carries the current level.
    pub fn changed(&self) -> InventoryEvent {
        let Self { id: _, location, on_hand, reserved, version, priority: _ } = self.clone();
        let StockLocation { product, variant, warehouse } = location;
        InventoryEvent::StockChanged(StockChanged {
            product_id: product,
            variant: variant.as_str().to_owned(),
            warehouse_id: warehouse,
            on_hand,
            reserved,
            version,
        })
    }
}
