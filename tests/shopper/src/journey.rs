//! One visit of one shopper: what he asks for, in which order, and how he repeats what got no final answer.
//!
//! Knows the routes; must not know how many shoppers there are, nor judge what the shop answers.

use std::time::{Duration, Instant};

use agora_api::{catalog::Product, order::Order};
use agora_vocab::{OrderId, ProductId, UserId};
use serde_json::json;

use crate::{
    buy::address,
    client::{Call, Reply, Shop},
    history::{Action, History, Sent},
    random::Random,
};

/// Tries of one request, the first included.
const TRIES_MAX: usize = 6;
/// After an answer that was lost or said nothing of when to come back.
const PAUSE: Duration = Duration::from_millis(250);
const RETRY_AFTER_SECONDS_MAX: u64 = 5;
const LINES_MAX: usize = 3;
const QUANTITY_MAX: usize = 2;

/// Somebody who has logged in.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who.
    pub user: UserId,
    /// His access token.
    pub token: String,
}

/// What a visit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Looks and goes.
    Browse,
    /// Fills the cart and goes.
    Fill,
    /// Cart, order, payment, receipt.
    Buy,
    /// The same, with the payment in the order.
    BuyAtOnce,
    /// A card that is declined first, and a good one.
    BuyAfterDecline,
    /// Orders and cancels before paying.
    CancelUnpaid,
    /// Buys and cancels: the money comes back.
    CancelPaid,
    /// Buys; the shop refunds.
    Refund,
    /// The shortest complete purchase: browse, cart, order, payment, receipt.
    BuyOne,
    /// One unit, ordered and never paid.
    Order,
}

impl Purpose {
    /// Most buy; some of each kind that must come out right too.
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

/// A visit.
pub struct Journey<'a> {
    /// Where.
    pub shop: &'a Shop,
    /// Who.
    pub visitor: &'a Visitor,
    /// An admin's token, who refunds; without one nobody is refunded by hand.
    pub admin: Option<&'a str>,
    /// What there is to buy.
    pub products: &'a [ProductId],
    /// Where it is written down.
    pub history: &'a History,
    /// Its choices.
    pub random: Random,
    /// Of 100 requests that succeeded, how many are sent once more with the same key, as nervous clients do.
    pub nervous_percent: usize,
    /// Makes its keys different from those of any other visit.
    pub name: String,
}

impl Journey<'_> {
    /// Goes through it; whether it ended with a paid order.
    pub async fn go(mut self, purpose: Purpose) -> bool {
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
                self.order_items(1, None).await;
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
        self.send(Action::Add, add.by(&self.visitor.token).keyed(key), None).await;
    }

    async fn order(&mut self) -> Option<OrderId> {
        self.fill().await;
        let order = self.order_cart().await?;
        self.read(order).await;
        Some(order)
    }

    /// Orders from the cart; `None` where no order stands, which the history explains.
    async fn order_cart(&mut self) -> Option<OrderId> {
        let order = Call::post("/orders", json!({ "shippingAddress": address() }));
        let key = format!("{}-order", self.name);
        let order: Order = self.send(Action::Order, order.by(&self.visitor.token).keyed(key), None).await.success()?;
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
        let reply = self.send(Action::Pay, pay.by(&self.visitor.token).keyed(key), Some(order)).await;
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
        let order = Call::post("/orders", body).by(&self.visitor.token).keyed(format!("{}-order", self.name));
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
        let cancel = Call::delete(format!("/orders/{order}")).by(&self.visitor.token);
        self.send(Action::Cancel, cancel.keyed(format!("{}-cancel", self.name)), Some(order)).await;
        self.read(order).await;
    }

    async fn refund(&mut self, order: OrderId) {
        let Some(admin) = self.admin else { return };
        let refund = Call::post("/payments/refund", json!({ "orderId": order }));
        self.send(Action::Refund, refund.by(admin).keyed(format!("{}-refund", self.name)), Some(order)).await;
        self.read(order).await;
    }

    async fn read(&mut self, order: OrderId) -> Option<Order> {
        let read = Call::get(format!("/orders/{order}")).by(&self.visitor.token);
        self.send(Action::Read, read, Some(order)).await.success()
    }

    fn product(&mut self) -> ProductId {
        self.products[self.random.below(self.products.len())]
    }

    /// Sends until the answer is final or patience ends; sometimes once more.
    async fn send(&mut self, action: Action, call: Call<'_>, order: Option<OrderId>) -> Reply {
        let mut reply = self.once(action, &call, order).await;
        for _ in 1..TRIES_MAX {
            let again = match &reply {
                reply if reply.may_be_repeated() => pause(reply),
                reply
                    if call.key().is_some()
                        && reply.status() == Some(201)
                        && self.random.chance(self.nervous_percent) =>
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

/// The products to choose among: those that had stock when the shop opened.
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
