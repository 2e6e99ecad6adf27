//! Collects evidence through the API: the shoppers' orders and payments, and the stock of the products.
//!
//! Uses only the API, so it cannot see reservations, ledger, outbox or topics. Stock requires an admin, who can list
//! the orders of all users; it is correct only if no stock is received or adjusted during the run.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use agora_api::{List, catalog::Product, order::Order, payment::Payment};
use agora_vocab::ProductId;
use anyhow::Context;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    checker::{Evidence, OrderSeen, PaymentSeen, StockSeen, Violation, check},
    client::{Call, Reply, Shop},
    journey::Visitor,
    load::{Run, products},
};

const READS_AT_ONCE: usize = 8;
const PAGES_MAX: usize = 1_000;
const TRIES_MAX: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Order states whose units have left the warehouse.
const UNITS_SOLD: [&str; 5] = ["paid", "processing", "shipped", "completed", "refunded"];
const UNITS_HELD: [&str; 1] = ["pending"];

/// Collects evidence and checks it until there is no violation or `timeout` has passed: after a fault, orders may need
/// time to reach a final state.
pub async fn at_rest(shop: &Shop, run: &Run, timeout: Duration) -> anyhow::Result<(Evidence, Vec<Violation>)> {
    let history = run.history.records();
    let deadline = Instant::now() + timeout;
    loop {
        let evidence = read_shop(shop, run).await?;
        let violations = check(&history, &evidence);
        if violations.is_empty() || Instant::now() > deadline {
            return Ok((evidence, violations));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn read_shop(shop: &Shop, run: &Run) -> anyhow::Result<Evidence> {
    let orders: Vec<Vec<Order>> = futures::stream::iter(&run.visitors)
        .map(|visitor| orders(shop, visitor))
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let orders: Vec<Order> = orders.into_iter().flatten().collect();
    let payments: Vec<Option<PaymentSeen>> = futures::stream::iter(payments(run, &orders))
        .map(|(payment, token)| captured(shop, payment, token))
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let stock = match &run.stock_before {
        Some((before, admin)) => StockSnapshot::read(shop, admin).await?.since(before),
        None => Vec::new(),
    };
    let payments = payments.into_iter().flatten().collect();
    Ok(Evidence { orders: orders.iter().map(seen).collect(), payments, stock, ..Evidence::default() })
}

async fn orders(shop: &Shop, visitor: &Visitor) -> anyhow::Result<Vec<Order>> {
    listed(shop, "/orders", &visitor.token).await
}

async fn listed(shop: &Shop, path: &str, token: &str) -> anyhow::Result<Vec<Order>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let call = Call::get(format!("{path}?limit=100{cursor}")).bearer(token);
        let reply = send_with_retries(shop, &call).await;
        let page: List<Order> = reply.success().with_context(|| format!("listing orders: {}", reply.describe()))?;
        all.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(all)
}

/// Every payment that an order or a response references, with the token of its owner.
fn payments<'a>(run: &'a Run, orders: &[Order]) -> BTreeMap<agora_vocab::PaymentId, &'a str> {
    let tokens: BTreeMap<_, _> = run.visitors.iter().map(|visitor| (visitor.user, visitor.token.as_str())).collect();
    let of_orders = orders.iter().filter_map(|order| Some((order.payment_id?, *tokens.get(&order.user_id)?)));
    let records = run.history.records();
    let of_answers = records.iter().filter_map(|record| Some((record.payment?, *tokens.get(&record.user?)?)));
    of_orders.chain(of_answers).collect()
}

/// None if the payment does not exist: the order has reserved the id, but nothing was captured.
async fn captured(shop: &Shop, payment: agora_vocab::PaymentId, token: &str) -> anyhow::Result<Option<PaymentSeen>> {
    let reply = send_with_retries(shop, &Call::get(format!("/payments/{payment}")).bearer(token)).await;
    if reply.status() == Some(404) {
        return Ok(None);
    }
    let payment: Payment = reply.success().with_context(|| format!("payment {payment}: {}", reply.describe()))?;
    let captured = match payment.status.as_str() {
        "captured" | "partially_refunded" | "refunded" => payment.amount.amount,
        _ => 0,
    };
    let refunded = payment.refunded.amount;
    Ok(Some(PaymentSeen { id: payment.id, order: payment.order_id, captured, refunded }))
}

async fn send_with_retries(shop: &Shop, call: &Call<'_>) -> Reply {
    for _ in 1..TRIES_MAX {
        let reply = shop.send(call).await;
        if !reply.is_retryable() {
            return reply;
        }
        tokio::time::sleep(PAUSE).await;
    }
    shop.send(call).await
}

fn seen(order: &Order) -> OrderSeen {
    OrderSeen {
        id: order.id,
        user: order.user_id,
        status: order.status.clone(),
        payment_status: order.payment_status.clone(),
        total: order.total.amount,
    }
}

/// Units of each product: free, held for pending orders, and sold, over the orders of all users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockSnapshot(BTreeMap<ProductId, Units>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Units {
    free: i64,
    held: i64,
    sold: i64,
}

impl StockSnapshot {
    /// Reads the current state with an admin's token.
    pub async fn read(shop: &Shop, admin: &str) -> anyhow::Result<Self> {
        Ok(Self::of(&products(shop).await?, &listed(shop, "/admin/orders", admin).await?))
    }

    fn of(products: &[Product], orders: &[Order]) -> Self {
        let free = |product: &Product| (product.id, Units { free: product.stock, ..Units::default() });
        let mut units: BTreeMap<ProductId, Units> = products.iter().map(free).collect();
        for order in orders {
            for item in &order.items {
                let Some(units) = units.get_mut(&item.product_id) else { continue };
                let quantity = i64::from(item.quantity);
                units.held += if UNITS_HELD.contains(&order.status.as_str()) { quantity } else { 0 };
                units.sold += if UNITS_SOLD.contains(&order.status.as_str()) { quantity } else { 0 };
            }
        }
        Self(units)
    }

    /// The change since `before`, as evidence. The API's stock is on hand minus held; held is the sum of pending
    /// orders; units that were held before were on hand too.
    fn since(&self, before: &Self) -> Vec<StockSeen> {
        let both = self.0.iter().filter_map(|(product, now)| Some((*product, before.0.get(product)?, now)));
        both.map(|(product, before, now)| StockSeen {
            product,
            received: before.free + before.held,
            on_hand: now.free + now.held,
            reserved: now.held,
            held: now.held,
            sold: now.sold - before.sold,
            returned: 0,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PRODUCT: &str = "00000000-0000-0000-0000-000000000001";

    fn products(stock: i64) -> Vec<Product> {
        let (price, time) = (json!({ "amount": 1999, "currency": "EUR" }), "2026-01-01T00:00:00Z");
        let product = json!({
            "id": PRODUCT, "name": "n", "description": "", "sku": null, "price": price, "stock": stock,
            "category": null, "brand": null, "supplier": null, "imageUrl": null, "sellerId": PRODUCT, "version": 1,
            "createdAt": time, "updatedAt": time,
        });
        vec![serde_json::from_value(product).unwrap()]
    }

    fn order(status: &str, quantity: u32) -> Order {
        let (price, time) = (json!({ "amount": 1999, "currency": "EUR" }), "2026-01-01T00:00:00Z");
        let item = json!({
            "productId": PRODUCT, "variant": "", "name": "n", "quantity": quantity, "price": price, "total": price,
            "brand": null, "category": null, "supplier": null, "sellerId": PRODUCT,
        });
        let order = json!({
            "id": PRODUCT, "number": "A-1", "userId": PRODUCT, "status": status, "paymentStatus": "unpaid",
            "paymentId": null, "items": [item], "total": price, "shippingAddress": null, "version": 1,
            "expiresAt": time, "createdAt": time, "updatedAt": time,
        });
        serde_json::from_value(order).unwrap()
    }

    fn broken(before: &StockSnapshot, now: &StockSnapshot) -> usize {
        check(&[], &Evidence { stock: now.since(before), ..Evidence::default() }).len()
    }

    #[test]
    fn units_released_by_other_users_are_not_a_surplus() {
        let before = StockSnapshot::of(&products(133), &[order("pending", 2)]);
        let now = StockSnapshot::of(&products(125), &[order("cancelled", 2), order("paid", 10)]);
        assert_eq!(broken(&before, &now), 0);
    }

    #[test]
    fn units_bought_by_other_users_are_not_lost() {
        let before = StockSnapshot::of(&products(10), &[order("paid", 5)]);
        let now = StockSnapshot::of(&products(7), &[order("paid", 5), order("shipped", 1), order("pending", 2)]);
        assert_eq!(broken(&before, &now), 0);
    }

    #[test]
    fn surplus_and_lost_units_are_detected() {
        let before = StockSnapshot::of(&products(10), &[]);
        assert_eq!(broken(&before, &StockSnapshot::of(&products(9), &[order("paid", 2)])), 1);
        assert_eq!(broken(&before, &StockSnapshot::of(&products(9), &[])), 1);
    }
}
