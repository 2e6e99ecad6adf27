//! To which warehouses the units of a return go. Pure.

use std::collections::BTreeMap;

use super::{hold::Lines, stock::StockLocation};

/// Units for each location from which a hold sold some. Never more than it sold there less what went `back` already; units
/// beyond that go nowhere. Locations are filled in the given order.
pub fn distribute(
    sold: &[(StockLocation, i64)],
    back: &BTreeMap<StockLocation, i64>,
    lines: &Lines,
) -> Vec<(StockLocation, i64)> {
    let mut due: BTreeMap<_, i64> =
        lines.as_slice().iter().map(|line| ((line.product, line.variant.clone()), i64::from(line.units))).collect();
    let mut moved = Vec::new();
    for (location, units) in sold {
        let Some(due) = due.get_mut(&(location.product, location.variant.clone())) else { continue };
        let room = units - back.get(location).copied().unwrap_or_default();
        let units = room.min(*due).max(0);
        if units > 0 {
            *due -= units;
            moved.push((location.clone(), units));
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agora_vocab::{ProductId, Quantity, Variant, WarehouseId};
    use uuid::Uuid;

    use super::{Lines, StockLocation, distribute};

    #[test]
    fn units_go_to_where_they_were_sold_and_never_more_than_that() {
        let at = |product, warehouse| StockLocation {
            product: ProductId::new(Uuid::from_u128(product)),
            variant: Variant::default(),
            warehouse: WarehouseId::new(Uuid::from_u128(warehouse)),
        };
        let line = |product, units| (at(product, 0).product, Variant::default(), Quantity::parse(units).unwrap());
        let sold = [(at(1, 1), 3), (at(1, 2), 2), (at(2, 1), 1)];
        let back = BTreeMap::from([(at(1, 1), 1)]);
        let moved = |units| distribute(&sold, &back, &Lines::new([line(1, units), line(3, 1)]).unwrap());
        assert_eq!(moved(1), [(at(1, 1), 1)]);
        assert_eq!(moved(3), [(at(1, 1), 2), (at(1, 2), 1)]);
        assert_eq!(moved(9), [(at(1, 1), 2), (at(1, 2), 2)]);
    }
}
