//! Shipments and returns of orders.

use std::collections::HashMap;

use agora_chassis::BoxError;
use agora_postgres::Connection;
use agora_vocab::{Currency, Money, OrderId, ReturnId, SellerId, ShipmentId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{HistoryEntry, LineUnits, Order, OrderChange, Return, Shipment},
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

/// A row of `returns_of_orders.sql`.
#[derive(sqlx::FromRow)]
struct ReturnRow {
    order_id: Uuid,
    id: Uuid,
    status: String,
    reason: String,
    amount_minor: i64,
    resellable: Option<bool>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    lines: Vec<i16>,
    quantities: Vec<i32>,
    /// Of each line, or none.
    amounts: Vec<i64>,
}

/// Adds shipments and returns to loaded orders. No statement if no status allows one, as between a new order and its payment.
pub(super) async fn attach(connection: &mut Connection, orders: Vec<&mut Order>) -> Result<(), StoreError> {
    let shipped = orders.into_iter().filter(|order| order.progress.status.may_be_shipped());
    let mut shipped: HashMap<Uuid, &mut Order> = shipped.map(|order| (order.id.uuid(), order)).collect();
    if shipped.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = shipped.keys().copied().collect();
    let rows: Vec<ShipmentRow> = sqlx::query_as(include_str!("../../sql/shipments_of_orders.sql"))
        .bind(&ids)
        .fetch_all(&mut *connection)
        .await?;
    let any = !rows.is_empty();
    for row in rows {
        if let Some(order) = shipped.get_mut(&row.order_id) {
            order.shipments.push(row.into_shipment().map_err(StoreError::Broken)?);
        }
    }
    // What was not shipped is not returned.
    if !any {
        return Ok(());
    }
    let rows: Vec<ReturnRow> =
        sqlx::query_as(include_str!("../../sql/returns_of_orders.sql")).bind(&ids).fetch_all(connection).await?;
    for row in rows {
        if let Some(order) = shipped.get_mut(&row.order_id) {
            let returned = row.into_return(order.total.currency).map_err(StoreError::Broken)?;
            order.returns.push(returned);
        }
    }
    Ok(())
}

/// Writes the shipments and returns of changes that were made at `now`, in the transaction that has written the changes.
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
            OrderChange::ReturnRequested(returned) => insert_return(connection, (order, entry.seq), returned).await?,
            OrderChange::ReturnChanged { id, status, resellable } => {
                let change = sqlx::query(include_str!("../../sql/change_return.sql")).bind(id.uuid());
                change.bind(status.as_str()).bind(resellable).bind(now).execute(&mut *connection).await?;
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
    let (lines, quantities) = columns(items);
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

async fn insert_return(
    connection: &mut Connection,
    (order, seq): (OrderId, i64),
    returned: &Return,
) -> Result<(), StoreError> {
    let Return { id, items, reason, amount, amounts, status, created_at, resellable: _, updated_at: _ } = returned;
    let (lines, quantities) = columns(items);
    let amounts: Vec<i64> = amounts.iter().map(|amount| amount.amount).collect();
    sqlx::query(include_str!("../../sql/insert_return.sql"))
        .bind(id.uuid())
        .bind(order.uuid())
        .bind(seq)
        .bind(status.as_str())
        .bind(reason)
        .bind(amount.amount)
        .bind(created_at)
        .bind(lines)
        .bind(quantities)
        .bind(amounts)
        .execute(connection)
        .await?;
    Ok(())
}

fn columns(items: &[LineUnits]) -> (Vec<i16>, Vec<i32>) {
    // At most 9999 units.
    items.iter().map(|units| (units.line, i32::try_from(units.quantity).unwrap_or(i32::MAX))).unzip()
}

fn items((lines, quantities): (Vec<i16>, Vec<i32>)) -> Result<Vec<LineUnits>, BoxError> {
    let units = |(line, quantity): (i16, i32)| -> Result<LineUnits, BoxError> {
        Ok(LineUnits { line, quantity: u32::try_from(quantity)? })
    };
    lines.into_iter().zip(quantities).map(units).collect()
}

impl ReturnRow {
    fn into_return(self, currency: Currency) -> Result<Return, BoxError> {
        let Self { id, status, reason, amount_minor, resellable, created_at, updated_at, .. } = self;
        let amounts: Result<_, _> = self.amounts.into_iter().map(|amount| Money::new(amount, currency)).collect();
        Ok(Return {
            id: ReturnId::new(id),
            items: items((self.lines, self.quantities))?,
            reason,
            amount: Money::new(amount_minor, currency)?,
            amounts: amounts?,
            status: status.parse()?,
            resellable,
            created_at,
            updated_at,
        })
    }
}

impl ShipmentRow {
    fn into_shipment(self) -> Result<Shipment, BoxError> {
        let Self { id, seller_id, carrier, tracking_number, created_at, delivered_at, lines, quantities, .. } = self;
        Ok(Shipment {
            id: ShipmentId::new(id),
            seller: SellerId::new(seller_id),
            carrier,
            tracking: tracking_number,
            items: items((lines, quantities))?,
            created_at,
            delivered_at,
        })
    }
}
