//! One purchase from the front door to the receipt, patient with a shop that is just starting.

use std::time::{Duration, Instant};

use agora_api::{List, catalog::Product, order::Order, payment::Payment, user::Tokens};
use agora_vocab::OrderId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::{Call, Shop};

/// From the first request to an order that reads `paid`.
pub const PURCHASE_SECONDS_MAX: u64 = 30;
const PAGES_MAX: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bought {
    /// The order.
    pub order_id: OrderId,
    /// What people call it.
    pub number: String,
    /// `paid`.
    pub status: String,
    /// Where it can be read.
    pub url: String,
}

/// Why nothing was bought.
#[derive(Debug, thiserror::Error)]
pub enum BuyError {
    /// A step was refused.
    #[error("{step} failed: {why}")]
    Refused {
        /// The step.
        step: &'static str,
        /// The shop's answer.
        why: String,
    },
    /// Nothing to buy.
    #[error("no product has stock; fill the shop with `agora seed` first")]
    NothingInStock,
    /// It went on for too long.
    #[error("{step} did not succeed within {PURCHASE_SECONDS_MAX} s; the last answer was: {why}")]
    TooSlow {
        /// The step that was under way.
        step: &'static str,
        /// The shop's last answer.
        why: String,
    },
}

/// Registers a shopper, puts a product that is in stock into the cart, orders, pays, and reads the order back as paid.
pub async fn buy_one(shop: &Shop) -> Result<Bought, BuyError> {
    let purchase = Purchase { shop, give_up: Instant::now() + Duration::from_secs(PURCHASE_SECONDS_MAX) };
    let nonce = nonce();
    let token = purchase.enter(&nonce).await?;
    let product = purchase.choose().await?;
    let add = Call::post("/cart/items", json!({ "productId": product.id, "quantity": 1 }));
    let _: Value = purchase.step("filling the cart", &add.by(&token).keyed(format!("add-{nonce}"))).await?;
    let order = Call::post("/orders", json!({ "shippingAddress": address() }));
    let order: Order = purchase.step("ordering", &order.by(&token).keyed(format!("order-{nonce}"))).await?;
    purchase.read_until(&token, order.id, "waiting for the order's hold", &["pending", "paid"]).await?;
    let pay = Call::post("/payments", json!({ "orderId": order.id, "method": "card", "token": "tok_ok" }));
    let _: Payment = purchase.step("paying", &pay.by(&token).keyed(format!("pay-{nonce}"))).await?;
    let paid = purchase.read_until(&token, order.id, "waiting for the paid order", &["paid"]).await?;
    Ok(Bought {
        order_id: paid.id,
        number: paid.number,
        status: paid.status,
        url: shop.url(&format!("/orders/{}", paid.id)),
    })
}

/// Where parcels of tests go.
pub(crate) fn address() -> Value {
    json!({ "recipient": "Ada Lovelace", "street": "12 St James's Square", "city": "London", "postalCode": "SW1Y 4JH", "country": "GB" })
}

/// Makes names of this purchase different from those of any other.
#[expect(clippy::disallowed_methods, reason = "a shopper has no chassis, and nothing is decided by this value")]
pub(crate) fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

struct Purchase<'a> {
    shop: &'a Shop,
    give_up: Instant,
}

impl Purchase<'_> {
    async fn enter(&self, nonce: &str) -> Result<String, BuyError> {
        let (email, password) = (format!("shopper-{nonce}@example.com"), format!("pass-{nonce}"));
        let register =
            Call::post("/auth/register", json!({ "email": email, "password": password, "firstname": "Ada" }));
        self.registered(&register).await?;
        let login = Call::post("/auth/login", json!({ "email": email, "password": password }));
        let tokens: Tokens = self.step("logging in", &login).await?;
        Ok(tokens.access_token)
    }

    /// A registration whose answer was lost is found made by its repetition.
    async fn registered(&self, register: &Call<'_>) -> Result<(), BuyError> {
        match self.step::<Value>("registering", register).await {
            Err(BuyError::Refused { why, .. }) if why.starts_with("409") => Ok(()),
            other => other.map(drop),
        }
    }

    async fn choose(&self) -> Result<Product, BuyError> {
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let page: List<Product> = self.step("browsing", &Call::get(format!("/products?limit=100{cursor}"))).await?;
            if let Some(product) = page.items.into_iter().find(|product| product.stock > 0) {
                return Ok(product);
            }
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Err(BuyError::NothingInStock)
    }

    async fn read_until(
        &self,
        token: &str,
        order: OrderId,
        step: &'static str,
        hoped_for: &[&str],
    ) -> Result<Order, BuyError> {
        loop {
            let order: Order = self.step(step, &Call::get(format!("/orders/{order}")).by(token)).await?;
            if hoped_for.contains(&order.status.as_str()) {
                return Ok(order);
            }
            self.pause(step, || format!("order {} is {}", order.number, order.status)).await?;
        }
    }

    /// Sends until the answer is final.
    async fn step<T: DeserializeOwned>(&self, step: &'static str, call: &Call<'_>) -> Result<T, BuyError> {
        loop {
            let reply = self.shop.send(call).await;
            if let Some(body) = reply.success() {
                return Ok(body);
            }
            if !reply.may_be_repeated() {
                return Err(BuyError::Refused { step, why: reply.describe() });
            }
            self.pause(step, || reply.describe()).await?;
        }
    }

    async fn pause(&self, step: &'static str, why: impl Fn() -> String) -> Result<(), BuyError> {
        if Instant::now() >= self.give_up {
            return Err(BuyError::TooSlow { step, why: why() });
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
