//! Rules of stock and holds.

use agora_vocab::{ProductId, Quantity, Variant, WarehouseId};
use proptest::prelude::*;
use uuid::Uuid;

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
    let short = allocate(&lines(&[(1, 1), (2, 9), (3, 1)]), &[level(1, 1, 0, 1, 0), level(2, 1, 0, 9, 1)]).unwrap_err();
    let seen: Vec<_> = short.iter().map(|s| (s.product, s.available)).collect();
    assert_eq!(seen, [(product(2), 8), (product(3), 0)]);
}

#[test]
fn an_adjustment_below_the_reserved_units_is_rejected() {
    let level = level(1, 1, 0, 10, 4);
    assert_eq!(level.adjusted(Adjustment::Set(4)), Ok(-6));
    assert_eq!(level.adjusted(Adjustment::Set(3)), Err(AdjustRefused::BelowReserved { requested: 3, reserved: 4 }));
    assert_eq!(level.adjusted(Adjustment::Add(-7)), Err(AdjustRefused::BelowReserved { requested: 3, reserved: 4 }));
    assert_eq!(level.adjusted(Adjustment::Add(5)), Ok(5));
    assert_eq!(level.adjusted(Adjustment::Add(1_000_000_000)), Err(AdjustRefused::TooMany));
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
