//! The shop at rest as its own shoppers can see it: their orders and payments, and the products' stock.
//!
//! Knows the API alone, so it cannot see reservations, ledger, outbox or topics. What it says of stock holds where
//! nobody else shops meanwhile.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use agora_api::{List, order::Order, payment::Payment};
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
const LOOKS_APART: Duration = Duration::from_secs(2);
/// States whose units are out of the warehouse or promised.
const UNITS_SOLD: [&str; 5] = ["paid", "processing", "shipped", "completed", "refunded"];
const UNITS_HELD: [&str; 1] = ["pending"];

/// Looks until nothing is wrong or `patience` ends: what a fault left unfinished may take its time to settle.
pub async fn at_rest(shop: &Shop, run: &Run, patience: Duration) -> anyhow::Result<(Evidence, Vec<Violation>)> {
    let history = run.history.records();
    let give_up = Instant::now() + patience;
    loop {
        let evidence = look(shop, run).await?;
        let violations = check(&history, &evidence);
        if violations.is_empty() || Instant::now() > give_up {
            return Ok((evidence, violations));
        }
        tokio::time::sleep(LOOKS_APART).await;
    }
}

async fn look(shop: &Shop, run: &Run) -> anyhow::Result<Evidence> {
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
    let stock = stock(run, &orders, &products(shop).await?);
    let payments = payments.into_iter().flatten().collect();
    Ok(Evidence { orders: orders.iter().map(seen).collect(), payments, stock, ..Evidence::default() })
}

async fn orders(shop: &Shop, visitor: &Visitor) -> anyhow::Result<Vec<Order>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let call = Call::get(format!("/orders?limit=100{cursor}")).by(&visitor.token);
        let reply = patient(shop, &call).await;
        let page: List<Order> = reply.success().with_context(|| format!("listing orders: {}", reply.describe()))?;
        all.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(all)
}

/// Every payment that an order or an answer names, with its owner's token.
fn payments<'a>(run: &'a Run, orders: &[Order]) -> BTreeMap<agora_vocab::PaymentId, &'a str> {
    let tokens: BTreeMap<_, _> = run.visitors.iter().map(|visitor| (visitor.user, visitor.token.as_str())).collect();
    let of_orders = orders.iter().filter_map(|order| Some((order.payment_id?, *tokens.get(&order.user_id)?)));
    let records = run.history.records();
    let of_answers = records.iter().filter_map(|record| Some((record.payment?, *tokens.get(&record.user?)?)));
    of_orders.chain(of_answers).collect()
}

/// `None`: an order pays under an id that payment has not heard of yet, so nothing was taken.
async fn captured(shop: &Shop, payment: agora_vocab::PaymentId, token: &str) -> anyhow::Result<Option<PaymentSeen>> {
    let reply = patient(shop, &Call::get(format!("/payments/{payment}")).by(token)).await;
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

async fn patient(shop: &Shop, call: &Call<'_>) -> Reply {
    for _ in 1..TRIES_MAX {
        let reply = shop.send(call).await;
        if !reply.may_be_repeated() {
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

/// From outside, stock is what is on hand and not held; what is held is what the pending orders say.
fn stock(run: &Run, orders: &[Order], now: &[agora_api::catalog::Product]) -> Vec<StockSeen> {
    let units = |product: ProductId, states: &[&str]| -> i64 {
        let counted = orders.iter().filter(|order| states.contains(&order.status.as_str()));
        let lines = counted.flat_map(|order| &order.items).filter(|item| item.product_id == product);
        lines.map(|item| i64::from(item.quantity)).sum()
    };
    let before: BTreeMap<ProductId, i64> = run.products.iter().map(|product| (product.id, product.stock)).collect();
    now.iter()
        .filter_map(|product| {
            let held = units(product.id, &UNITS_HELD);
            Some(StockSeen {
                product: product.id,
                received: *before.get(&product.id)?,
                on_hand: product.stock + held,
                reserved: held,
                held,
                sold: units(product.id, &UNITS_SOLD),
                returned: 0,
            })
        })
        .collect()
}
