//! One complete purchase, from registration to the paid order. Retries while the shop starts. Must not depend on the
//! load generator.

use std::time::{Duration, Instant};

use agora_api::{List, cart::Cart, catalog::Product, order::Order, payment::Payment, user::Tokens};
use agora_vocab::OrderId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::{Call, Shop};

/// Limit from the first request until the order's status is `paid`.
pub const PURCHASE_SECONDS_MAX: u64 = 30;
const PAGES_MAX: usize = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// The result of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Id of the order.
    pub order_id: OrderId,
    /// The number that the shop shows to the buyer, like `A-1042`.
    pub number: String,
    pub status: String,
    /// URL of the order.
    pub url: String,
}

/// Reason why no order was paid.
#[derive(Debug, thiserror::Error)]
pub enum BuyError {
    /// The shop rejected a request with a final response.
    #[error("{step} failed: {why}")]
    Refused {
        /// Name of the step.
        step: &'static str,
        /// Status, code and detail of the response.
        why: String,
    },
    /// All products are out of stock.
    #[error("no product has stock; run `agora seed` first")]
    NothingInStock,
    /// The purchase exceeded `PURCHASE_SECONDS_MAX`.
    #[error("{step} did not succeed within {PURCHASE_SECONDS_MAX} s; the last response was: {why}")]
    TooSlow {
        /// Name of the last step.
        step: &'static str,
        /// The last response, or the reason why there was none.
        why: String,
    },
}

/// Registers a shopper, adds a product that is in stock to the cart, orders, pays, and waits until the order is paid.
pub async fn buy_one(shop: &Shop) -> Result<Receipt, BuyError> {
    let purchase = Purchase { shop, deadline: Instant::now() + Duration::from_secs(PURCHASE_SECONDS_MAX) };
    let nonce = nonce();
    let token = purchase.enter(&nonce).await?;
    let product = purchase.choose().await?;
    let add = Call::post("/cart/items", json!({ "productId": product.id, "quantity": 1 }));
    let cart: Cart =
        purchase.step("filling the cart", &add.bearer(&token).idempotency_key(format!("add-{nonce}"))).await?;
    let order = Call::post("/orders", json!({ "shippingAddress": address(), "expectedTotal": cart.total }));
    let order: Order =
        purchase.step("ordering", &order.bearer(&token).idempotency_key(format!("order-{nonce}"))).await?;
    purchase.read_until(&token, order.id, "waiting for the order's reservation", &["pending", "paid"]).await?;
    let pay = Call::post("/payments", json!({ "orderId": order.id, "method": "card", "token": "tok_ok" }));
    let _: Payment = purchase.step("paying", &pay.bearer(&token).idempotency_key(format!("pay-{nonce}"))).await?;
    let paid = purchase.read_until(&token, order.id, "waiting for the paid order", &["paid"]).await?;
    Ok(Receipt {
        order_id: paid.id,
        number: paid.number,
        status: paid.status,
        url: shop.url(&format!("/orders/{}", paid.id)),
    })
}

/// Shipping address of all test orders.
pub fn address() -> Value {
    json!({ "recipient": "Ada Lovelace", "street": "12 St James's Square", "city": "London", "postalCode": "SW1Y 4JH", "country": "GB" })
}

/// A random part for user names and idempotency keys, unique per purchase.
#[expect(clippy::disallowed_methods, reason = "this crate has no chassis, and the value only has to be unique")]
pub fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

struct Purchase<'a> {
    shop: &'a Shop,
    deadline: Instant,
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

    /// Registers; 409 is a success, because an earlier try whose response was lost may have registered the user.
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
        expected: &[&str],
    ) -> Result<Order, BuyError> {
        loop {
            let order: Order = self.step(step, &Call::get(format!("/orders/{order}")).bearer(token)).await?;
            if expected.contains(&order.status.as_str()) {
                return Ok(order);
            }
            self.pause(step, || format!("order {} is {}", order.number, order.status)).await?;
        }
    }

    /// Sends the request until the response is final.
    async fn step<T: DeserializeOwned>(&self, step: &'static str, call: &Call<'_>) -> Result<T, BuyError> {
        loop {
            let reply = self.shop.send(call).await;
            if let Some(body) = reply.success() {
                return Ok(body);
            }
            if !reply.is_retryable() {
                return Err(BuyError::Refused { step, why: reply.describe() });
            }
            self.pause(step, || reply.describe()).await?;
        }
    }

    async fn pause(&self, step: &'static str, why: impl Fn() -> String) -> Result<(), BuyError> {
        if Instant::now() >= self.deadline {
            return Err(BuyError::TooSlow { step, why: why() });
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
