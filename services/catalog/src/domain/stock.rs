//! Stock levels and holds: how a hold allocates units to warehouses, and its state transitions. Pure.

use std::collections::BTreeMap;

use agora_events::catalog::{InventoryEvent, ReservationExpired, StockChanged};
use agora_vocab::{Invalid, OrderId, ProductId, Quantity, WarehouseId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::text;

/// Maximum number of lines of one hold, after equal lines are summed.
pub const LINES_MAX: usize = 100;
/// Maximum duration of a hold in seconds: one day.
pub const HOLD_SECONDS_MAX: u32 = 86_400;
/// Maximum units of one product, variant and warehouse.
const ON_HAND_MAX: i64 = 1_000_000_000;
const VARIANT_CHARACTERS_MAX: usize = 64;

/// A variant of a product: up to 64 characters; empty for a product without variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

impl Variant {
    /// Accepts up to 64 characters on one line.
    pub fn parse(variant: &str) -> Result<Self, Invalid> {
        text("variant", variant, VARIANT_CHARACTERS_MAX, &[]).map(Self)
    }

    /// Wraps a stored value without validation; values are validated before they are stored.
    pub(crate) const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The variant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identifies a stock row. Stock rows are locked in the order of this type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StockLocation {
    /// The product.
    pub product: ProductId,
    /// The product's variant.
    pub variant: Variant,
    /// The warehouse.
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
            variant: variant.0,
            warehouse_id: warehouse,
            on_hand,
            reserved,
            version,
        })
    }
}

/// A requested product, variant and number of units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// The variant.
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
    /// The order.
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
    /// The product.
    pub product: ProductId,
    /// The variant.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn product(n: u128) -> ProductId {
        ProductId::new(Uuid::from_u128(n))
    }

    fn level(n: u128, warehouse: u128, priority: i32, on_hand: i64, reserved: i64) -> StockLevel {
        let warehouse = WarehouseId::new(Uuid::from_u128(warehouse));
        let location = StockLocation { product: product(n), variant: Variant::default(), warehouse };
        StockLevel { id: Uuid::nil(), location, on_hand, reserved, version: 1, priority }
    }

    fn lines(wanted: &[(u128, i64)]) -> Lines {
        Lines::new(wanted.iter().map(|&(n, q)| (product(n), Variant::default(), Quantity::parse(q).unwrap()))).unwrap()
    }

    #[test]
    fn equal_lines_are_summed_before_stock_is_compared() {
        let levels = [level(1, 1, 0, 5, 0)];
        let short = allocate(&lines(&[(1, 3), (1, 3)]), &levels).unwrap_err();
        assert_eq!((short[0].requested, short[0].available), (6, 5));
    }

    #[test]
    fn lines_are_allocated_from_the_lowest_priority_number_first() {
        let levels = [level(1, 1, 5, 10, 0), level(1, 2, 1, 3, 1)];
        let parts = allocate(&lines(&[(1, 4)]), &levels).unwrap();
        assert_eq!(parts.iter().map(|part| part.units).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(parts[0].location.warehouse, WarehouseId::new(Uuid::from_u128(2)));
    }

    #[test]
    fn every_shortage_is_reported_and_a_product_without_stock_row_has_zero_available() {
        let short =
            allocate(&lines(&[(1, 1), (2, 9), (3, 1)]), &[level(1, 1, 0, 1, 0), level(2, 1, 0, 9, 1)]).unwrap_err();
        let seen: Vec<_> = short.iter().map(|s| (s.product, s.available)).collect();
        assert_eq!(seen, [(product(2), 8), (product(3), 0)]);
    }

    #[test]
    fn an_adjustment_below_the_reserved_units_is_rejected() {
        let level = level(1, 1, 0, 10, 4);
        assert_eq!(level.adjusted(Adjustment::Set(4)), Ok(-6));
        assert_eq!(level.adjusted(Adjustment::Set(3)), Err(AdjustRefused::BelowReserved { requested: 3, reserved: 4 }));
        assert_eq!(
            level.adjusted(Adjustment::Add(-7)),
            Err(AdjustRefused::BelowReserved { requested: 3, reserved: 4 })
        );
        assert_eq!(level.adjusted(Adjustment::Add(5)), Ok(5));
        assert_eq!(level.adjusted(Adjustment::Add(ON_HAND_MAX)), Err(AdjustRefused::TooMany));
    }

    #[test]
    fn an_adjustment_is_either_a_quantity_or_a_delta() {
        assert_eq!(Adjustment::parse(Some(0), None), Ok(Adjustment::Set(0)));
        assert_eq!(Adjustment::parse(None, Some(-3)), Ok(Adjustment::Add(-3)));
        for (quantity, delta, field) in [
            (None, None, "quantity"),
            (Some(1), Some(1), "quantity"),
            (Some(-1), None, "quantity"),
            (None, Some(i64::MAX), "delta"),
        ] {
            assert_eq!(Adjustment::parse(quantity, delta).unwrap_err().field, field);
        }
    }

    #[test]
    fn state_names_round_trip() {
        for state in [HoldState::Held, HoldState::Committed, HoldState::Released, HoldState::Expired] {
            assert_eq!(HoldState::parse(state.as_str()), Some(state));
        }
    }

    proptest! {
        #[test]
        fn an_allocation_matches_the_request_and_the_available_stock(
            wanted in prop::collection::vec((1..4_u128, 1..20_i64), 1..6),
            stock in prop::collection::btree_map((1..4_u128, 1..4_u128), (0..3_i32, 0..30_i64, 0..30_i64), 0..9),
        ) {
            let levels: Vec<StockLevel> = stock
                .iter()
                .map(|(&(n, w), &(priority, a, b))| level(n, w, priority, a.max(b), a.min(b)))
                .collect();
            let wanted = lines(&wanted);
            match allocate(&wanted, &levels) {
                Ok(parts) => {
                    for line in wanted.as_slice() {
                        let sum: i64 = parts.iter().filter(|p| p.location.product == line.product).map(|p| p.units).sum();
                        prop_assert_eq!(sum, i64::from(line.units));
                    }
                    for part in &parts {
                        let level = levels.iter().find(|s| s.location == part.location).unwrap();
                        prop_assert!(part.units > 0 && part.units <= level.available());
                    }
                }
                Err(short) => {
                    prop_assert!(!short.is_empty());
                    for s in short {
                        let all: i64 = levels.iter().filter(|x| x.location.product == s.product).map(StockLevel::available).sum();
                        prop_assert!(s.available == all && all < s.requested);
                    }
                }
            }
        }
    }
}
