//! Shipments of orders.

use std::collections::HashMap;

use agora_chassis::BoxError;
use agora_postgres::Connection;
use agora_vocab::{OrderId, SellerId, ShipmentId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{HistoryEntry, Order, OrderChange, Shipment, ShippedUnits},
    ports::StoreError,
};

/// A row of `shipments_of_orders.sql`.
#[derive(sqlx::FromRow)]
struct ShipmentRow {
    order_id: Uuid,
    id: Uuid,
    seller_id: Uuid,
    carrier: String,
    tracking_number: Option<String>,
    created_at: OffsetDateTime,
    delivered_at: Option<OffsetDateTime>,
    lines: Vec<i16>,
    quantities: Vec<i32>,
}

/// Adds the shipments to loaded orders. No statement if no status allows one, as between a new order and its payment.
pub(super) async fn attach(connection: &mut Connection, orders: Vec<&mut Order>) -> Result<(), StoreError> {
    let shipped = orders.into_iter().filter(|order| order.progress.status.may_be_shipped());
    let mut shipped: HashMap<Uuid, &mut Order> = shipped.map(|order| (order.id.uuid(), order)).collect();
    if shipped.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = shipped.keys().copied().collect();
    let rows: Vec<ShipmentRow> =
        sqlx::query_as(include_str!("../../sql/shipments_of_orders.sql")).bind(ids).fetch_all(connection).await?;
    for row in rows {
        if let Some(order) = shipped.get_mut(&row.order_id) {
            order.shipments.push(row.into_shipment().map_err(StoreError::Broken)?);
        }
    }
    Ok(())
}

/// Writes the shipments of changes that were made at `now`, in the transaction that has written the changes.
pub(super) async fn write(
    connection: &mut Connection,
    (order, now): (OrderId, OffsetDateTime),
    entries: &[HistoryEntry],
) -> Result<(), StoreError> {
    for entry in entries {
        match &entry.change {
            OrderChange::Shipped(shipment) => insert(connection, (order, entry.seq), shipment).await?,
            OrderChange::Delivered(id) => {
                let deliver = sqlx::query(include_str!("../../sql/deliver_shipment.sql"));
                deliver.bind(id.uuid()).bind(now).execute(&mut *connection).await?;
            }
            OrderChange::Created(_) | OrderChange::Changed(_) => {}
        }
    }
    Ok(())
}

async fn insert(
    connection: &mut Connection,
    (order, seq): (OrderId, i64),
    shipment: &Shipment,
) -> Result<(), StoreError> {
    let Shipment { id, seller, carrier, tracking, items, created_at, delivered_at: _ } = shipment;
    let lines: Vec<i16> = items.iter().map(|units| units.line).collect();
    // At most 9999.
    let quantities: Vec<i32> = items.iter().map(|units| i32::try_from(units.quantity).unwrap_or(i32::MAX)).collect();
    let count = sqlx::query(include_str!("../../sql/count_shipped.sql"));
    count.bind(order.uuid()).bind(&lines).bind(&quantities).execute(&mut *connection).await?;
    sqlx::query(include_str!("../../sql/insert_shipment.sql"))
        .bind(id.uuid())
        .bind(order.uuid())
        .bind(seq)
        .bind(seller.uuid())
        .bind(carrier)
        .bind(tracking)
        .bind(created_at)
        .bind(&lines)
        .bind(&quantities)
        .execute(connection)
        .await?;
    Ok(())
}

impl ShipmentRow {
    fn into_shipment(self) -> Result<Shipment, BoxError> {
        let Self { id, seller_id, carrier, tracking_number, created_at, delivered_at, lines, quantities, .. } = self;
        let units = |(line, quantity)| Ok::<_, BoxError>(ShippedUnits { line, quantity: u32::try_from(quantity)? });
        Ok(Shipment {
            id: ShipmentId::new(id),
            seller: SellerId::new(seller_id),
            carrier,
            tracking: tracking_number,
            items: lines.into_iter().zip(quantities).map(units).collect::<Result<_, _>>()?,
            created_at,
            delivered_at,
        })
    }
}
