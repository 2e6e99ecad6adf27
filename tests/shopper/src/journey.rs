//! One visit of one shopper: the sequence of requests and their retries.
//!
//! Depends on the routes; must not depend on the load profile or on the invariant checker.

use std::time::{Duration, Instant};

use agora_api::{cart::Cart, catalog::Product, order::Order};
use agora_vocab::{Money, OrderId, ProductId, UserId};
use serde_json::json;

use crate::{
    buy::address,
    client::{Call, Reply, Shop},
    history::{Action, History, Sent},
    random::Random,
};

/// Tries of one request, including the first.
const TRIES_MAX: usize = 6;
/// Time before a retry without `Retry-After`.
const PAUSE: Duration = Duration::from_millis(250);
const RETRY_AFTER_SECONDS_MAX: u64 = 5;
const LINES_MAX: usize = 3;
const QUANTITY_MAX: usize = 2;

/// A logged-in shopper.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Id of the user.
    pub user: UserId,
    pub token: String,
}

/// The kind of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Lists products and reads one.
    Browse,
    /// Fills the cart, without an order.
    Fill,
    /// Fills the cart, orders, pays, reads the order.
    Buy,
    /// Orders and pays in one request, then reads the order.
    BuyAtOnce,
    /// Pays with a declined card, then with a valid one.
    BuyAfterDecline,
    /// Orders and cancels before payment.
    CancelUnpaid,
    /// Buys and cancels, which refunds the payment.
    CancelPaid,
    /// Buys; an admin refunds the payment.
    Refund,
    /// The shortest complete purchase: list products, add one, order, pay, read the order.
    BuyOne,
    /// Orders one unit and does not pay. The order is cancelled afterwards, which is not recorded: a user can have few unpaid
    /// orders.
    Order,
}

impl Purpose {
    /// Draws a kind of visit; most are purchases.
    pub fn draw(random: &mut Random) -> Self {
        match random.below(100) {
            0..10 => Self::Browse,
            10..15 => Self::Fill,
            15..70 => Self::Buy,
            70..80 => Self::BuyAtOnce,
            80..84 => Self::BuyAfterDecline,
            84..90 => Self::CancelUnpaid,
            90..96 => Self::CancelPaid,
            _ => Self::Refund,
        }
    }
}

/// A visit of one shopper.
pub struct Journey<'a> {
    /// The shop to visit.
    pub shop: &'a Shop,
    pub visitor: &'a Visitor,
    /// Access token of an admin; without one `Purpose::Refund` sends no refund.
    pub admin: Option<&'a str>,
    /// Products to choose from.
    pub products: &'a [ProductId],
    /// History to which every request is appended.
    pub history: &'a History,
    /// Source of choices.
    pub random: Random,
    /// Share of successful requests with a key that are sent once more with the same key, in percent.
    pub duplicate_percent: usize,
    /// Prefix of all idempotency keys; unique per visit.
    pub name: String,
    /// Total of the cart after the last line was added: the visitor does not order at another one.
    pub seen_total: Option<Money>,
}

impl Journey<'_> {
    /// Runs the visit; returns whether it ended with a paid order.
    pub async fn run(mut self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Browse => self.browse().await,
            Purpose::Fill => self.fill().await,
            Purpose::Buy => return self.buy(&["tok_ok"]).await.is_some(),
            Purpose::BuyAfterDecline => return self.buy(&["tok_declined", "tok_ok"]).await.is_some(),
            Purpose::BuyAtOnce => return self.buy_at_once().await,
            Purpose::CancelUnpaid => self.cancel_unpaid().await,
            Purpose::CancelPaid => {
                if let Some(order) = self.buy(&["tok_ok"]).await {
                    self.cancel(order).await;
                }
            }
            Purpose::Refund => {
                if let Some(order) = self.buy(&["tok_ok"]).await {
                    self.refund(order).await;
                }
            }
            Purpose::BuyOne => return self.buy_one().await,
            Purpose::Order => {
                if let Some(order) = self.order_items(1, None).await {
                    self.give_up(order.id).await;
                }
            }
        }
        false
    }

    async fn list(&mut self) {
        self.send(Action::Browse, Call::get("/products?limit=20"), None).await;
    }

    async fn browse(&mut self) {
        self.list().await;
        let product = self.product();
        self.send(Action::Look, Call::get(format!("/products/{product}")), None).await;
    }

    async fn fill(&mut self) {
        self.browse().await;
        for line in 0..=self.random.below(LINES_MAX) {
            let quantity = 1 + self.random.below(QUANTITY_MAX);
            self.add(line, quantity).await;
        }
    }

    async fn add(&mut self, line: usize, quantity: usize) {
        let add = Call::post("/cart/items", json!({ "productId": self.product(), "quantity": quantity }));
        let key = format!("{}-add-{line}", self.name);
        let reply = self.send(Action::Add, add.bearer(&self.visitor.token).idempotency_key(key), None).await;
        self.seen_total = reply.success().map(|cart: Cart| cart.total).or(self.seen_total);
    }

    async fn order(&mut self) -> Option<OrderId> {
        self.fill().await;
        let order = self.order_cart().await?;
        self.read(order).await;
        Some(order)
    }

    /// Orders the cart's contents; None if the order was rejected or got no response.
    async fn order_cart(&mut self) -> Option<OrderId> {
        let mut body = json!({ "shippingAddress": address() });
        if let Some(total) = self.seen_total {
            body["expectedTotal"] = json!(total);
        }
        let order = Call::post("/orders", body);
        let key = format!("{}-order", self.name);
        let order: Order =
            self.send(Action::Order, order.bearer(&self.visitor.token).idempotency_key(key), None).await.success()?;
        Some(order.id)
    }

    async fn buy_one(&mut self) -> bool {
        self.list().await;
        self.add(0, 1).await;
        let Some(order) = self.order_cart().await else { return false };
        self.pay(order, 0, "tok_ok").await;
        self.read(order).await.is_some_and(|order| order.status == "paid")
    }

    async fn buy(&mut self, tokens: &[&str]) -> Option<OrderId> {
        let order = self.order().await?;
        let mut captured = false;
        for (nth, token) in tokens.iter().enumerate() {
            captured = self.pay(order, nth, token).await;
        }
        let paid = self.read(order).await.is_some_and(|order| order.status == "paid");
        (captured && paid).then_some(order)
    }

    async fn pay(&mut self, order: OrderId, nth: usize, token: &str) -> bool {
        let pay = Call::post("/payments", json!({ "orderId": order, "method": "card", "token": token }));
        let key = format!("{}-pay-{nth}", self.name);
        let reply = self.send(Action::Pay, pay.bearer(&self.visitor.token).idempotency_key(key), Some(order)).await;
        reply.status() == Some(201)
    }

    async fn order_items(&mut self, quantity: usize, card: Option<&str>) -> Option<Order> {
        let mut body = json!({
            "items": [{ "productId": self.product(), "quantity": quantity }],
            "shippingAddress": address(),
        });
        if let Some(token) = card {
            body["payment"] = json!({ "method": "card", "token": token });
        }
        let order =
            Call::post("/orders", body).bearer(&self.visitor.token).idempotency_key(format!("{}-order", self.name));
        self.send(Action::Order, order, None).await.success()
    }

    async fn buy_at_once(&mut self) -> bool {
        let quantity = 1 + self.random.below(QUANTITY_MAX);
        let Some(order) = self.order_items(quantity, Some("tok_ok")).await else { return false };
        self.read(order.id).await.is_some_and(|order| order.status == "paid")
    }

    async fn cancel_unpaid(&mut self) {
        if let Some(order) = self.order().await {
            self.cancel(order).await;
        }
    }

    async fn cancel(&mut self, order: OrderId) {
        let cancel = Call::delete(format!("/orders/{order}")).bearer(&self.visitor.token);
        self.send(Action::Cancel, cancel.idempotency_key(format!("{}-cancel", self.name)), Some(order)).await;
        self.read(order).await;
    }

    /// Cancels an order without a record.
    async fn give_up(&self, order: OrderId) {
        let cancel = Call::delete(format!("/orders/{order}")).bearer(&self.visitor.token);
        for _ in 0..TRIES_MAX {
            let reply = self.shop.send(&cancel).await;
            if !reply.is_retryable() {
                return;
            }
            tokio::time::sleep(pause(&reply)).await;
        }
    }

    async fn refund(&mut self, order: OrderId) {
        let Some(admin) = self.admin else { return };
        let refund = Call::post("/payments/refund", json!({ "orderId": order }));
        self.send(Action::Refund, refund.bearer(admin).idempotency_key(format!("{}-refund", self.name)), Some(order))
            .await;
        self.read(order).await;
    }

    async fn read(&mut self, order: OrderId) -> Option<Order> {
        let read = Call::get(format!("/orders/{order}")).bearer(&self.visitor.token);
        self.send(Action::Read, read, Some(order)).await.success()
    }

    fn product(&mut self) -> ProductId {
        self.products[self.random.below(self.products.len())]
    }

    /// Sends until the response is final or the tries are used up; a random share of requests is sent once more.
    async fn send(&mut self, action: Action, call: Call<'_>, order: Option<OrderId>) -> Reply {
        let mut reply = self.once(action, &call, order).await;
        for _ in 1..TRIES_MAX {
            let again = match &reply {
                reply if reply.is_retryable() => pause(reply),
                reply
                    if call.key().is_some()
                        && reply.status() == Some(201)
                        && self.random.chance(self.duplicate_percent) =>
                {
                    Duration::ZERO
                }
                _ => break,
            };
            tokio::time::sleep(again).await;
            reply = self.once(action, &call, order).await;
        }
        reply
    }

    async fn once(&self, action: Action, call: &Call<'_>, order: Option<OrderId>) -> Reply {
        let key = call.key().map(str::to_owned);
        let sent = Sent { user: Some(self.visitor.user), action, key, order, at: Instant::now() };
        let reply = self.shop.send(call).await;
        self.history.note(sent, &reply);
        reply
    }
}

/// Ids of the products that have stock.
pub fn choices(products: &[Product]) -> Vec<ProductId> {
    products.iter().filter(|product| product.stock > 0).map(|product| product.id).collect()
}

fn pause(reply: &Reply) -> Duration {
    match reply {
        Reply::Answer { retry_after: Some(seconds), .. } => {
            Duration::from_secs((*seconds).min(RETRY_AFTER_SECONDS_MAX))
        }
        _ => PAUSE,
    }
}
