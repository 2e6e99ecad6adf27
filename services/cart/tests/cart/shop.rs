//! The cart service over HTTP and by events, on a database of its own and a fake catalog.

use std::sync::Arc;

use agora_api::cart as api;
use agora_cart::{consumer::handle, crypto::GuestTokens, http, service::CartService};
use agora_chassis::{Process, SystemIds, WatchedFile, WatchedSecret};
use agora_events::{Envelope, Event, catalog::Product};
use agora_testkit::{Request, TestApp, TestKeys, internal_token};
use agora_vocab::{Money, OrderId, ProductId, Role, SellerId, UserId};
use agora_web::TokenVerifier;
use serde_json::{Value, json};

use crate::{
    fake_catalog::FakeCatalog,
    fixture::{Database, eur, fresh, product, user},
};

pub const SECRET: &str = "only-for-tests";
pub const GUEST_CARTS: &str = "/api/v1/guest-carts";
pub const GUEST_CART: &str = "/api/v1/guest-carts/current";

/// The service under test and one user.
pub struct Shop {
    pub public: TestApp,
    pub internal: TestApp,
    pub database: Database,
    pub catalog: FakeCatalog,
    pub service: CartService,
    pub keys: TestKeys,
    pub me: UserId,
    pub token: String,
    pub order_token: String,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_with(|service| service).await
    }

    /// With a service that has what is not needed for every answer.
    pub async fn open_with(add: impl FnOnce(CartService) -> CartService) -> Self {
        let (database, catalog) = (Database::create().await, FakeCatalog::default());
        let carts = Arc::new(database.carts.clone());
        let tokens = Arc::new(GuestTokens::new(WatchedSecret::fixed(SECRET)));
        let service = add(CartService::new(carts, Arc::new(catalog.clone()), tokens, Arc::new(SystemIds)));
        let (keys, process, me) = (TestKeys::new(), Process::for_test("cart"), user());
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let routers = http::routers(service.clone(), verifier, WatchedSecret::fixed(SECRET), &process);
        Self {
            public: TestApp::of("cart", routers.public),
            internal: TestApp::of("cart", routers.internal),
            database,
            catalog,
            service,
            token: keys.token(me, &[Role::Customer]),
            keys,
            me,
            order_token: internal_token(SECRET, "order", "cart", None),
        }
    }

    /// Adds a product at 19.99 EUR with this stock to the catalog.
    pub fn list_product(&self, stock: i64) -> ProductId {
        let id = product();
        self.catalog.list_product(id, 1, eur(1999), stock);
        id
    }

    pub fn add(&self, product: ProductId, quantity: i64) -> Request {
        let body = json!({"productId": product, "quantity": quantity});
        self.public.post("/api/v1/cart/items", body).with(&self.token)
    }

    /// Creates a guest's cart and returns its token.
    pub async fn guest(&self) -> String {
        self.public.post(GUEST_CARTS, json!({})).await.expect(201).parse::<api::GuestCart>().cart_token
    }

    /// Creates a guest's cart with an idempotency key.
    pub fn guest_with_key(&self, key: &str) -> Request {
        self.public.post(GUEST_CARTS, json!({})).key(key)
    }

    pub fn add_as_guest(&self, token: &str, product: ProductId, quantity: i64) -> Request {
        let body = json!({"productId": product, "quantity": quantity});
        self.public.post(&format!("{GUEST_CART}/items"), body).header("x-cart-token", token)
    }

    pub fn view_as_guest(&self, token: &str) -> Request {
        self.public.get(GUEST_CART).header("x-cart-token", token)
    }

    /// Merges a guest's cart into the cart of the user.
    pub fn merge(&self, token: &str) -> Request {
        self.public.post("/api/v1/cart/merge", json!({"cartToken": token})).with(&self.token)
    }

    pub async fn cart(&self) -> api::Cart {
        self.public.get("/api/v1/cart").with(&self.token).await.expect(200).parse()
    }

    pub async fn units(&self) -> Vec<u32> {
        self.cart().await.items.iter().map(|item| item.quantity).collect()
    }

    pub fn command(&self, path: &str, body: Value) -> Request {
        let subject = serde_json::from_value(body["userId"].clone()).ok();
        let token = internal_token(SECRET, "order", "cart", subject);
        self.internal.post(path, body).internal(&token).header("x-command-id", &fresh().to_string())
    }

    pub fn begin_checkout(&self, order: OrderId) -> Request {
        self.command("/internal/v1/begin-checkout", json!({"orderId": order, "userId": self.me}))
    }

    pub fn cancel_checkout(&self, order: OrderId) -> Request {
        self.command("/internal/v1/cancel-checkout", json!({"orderId": order}))
    }

    /// Delivers the event twice, as the broker may.
    pub async fn deliver<E: Event>(&self, event: &E) {
        let envelope = envelope(event);
        handle(self.service.clone(), vec![envelope.clone()]).await.unwrap();
        handle(self.service.clone(), vec![envelope]).await.unwrap();
    }
}

/// Path of the line.
pub fn line_at(id: &Value) -> String {
    format!("/api/v1/cart/items/{}", id.as_str().unwrap())
}

pub fn envelope<E: Event>(event: &E) -> Envelope {
    agora_testkit::envelope(fresh(), "k", event)
}

pub fn product_event(id: ProductId, version: i64, price: Money) -> Product {
    Product {
        product_id: id,
        version,
        name: format!("Chair {version}"),
        description: String::new(),
        sku: None,
        price,
        category: None,
        brand: None,
        supplier: None,
        image_url: None,
        seller_id: SellerId::HOUSE,
        variant_prices: Vec::new(),
    }
}
