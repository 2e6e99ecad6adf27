//! The service over HTTP and by events, on a database and an isolation key of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agora_api::{List, recommendation as api};
use agora_chassis::{Process, SystemIds, WatchedFile};
use agora_events::{
    Envelope, Event,
    catalog::{InventoryEvent, Product, ProductEvent, StockChanged},
    order::{Order, OrderEvent, OrderLine},
};
use agora_postgres::Db;
use agora_recommendation::{
    MIGRATIONS,
    cache::{RedisCache, RedisLimit},
    consumer::handle,
    http,
    postgres::PgRecommendations,
    service::{RecommendationService, Rules},
};
use agora_redis::{Config, Redis};
use agora_testkit::{TestApp, TestDatabase, TestKeys};
use agora_vocab::{Currency, Epoch, Ids as _, Money, OrderId, ProductId, Role, SellerId, UserId, WarehouseId};
use agora_web::TokenVerifier;
use uuid::Uuid;

/// Timeout of every wait.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const RECOMPUTE_EVERY: Duration = Duration::from_hours(1);

/// The service under test and one user.
pub struct Shop {
    pub public: TestApp,
    pub service: RecommendationService,
    pub store: PgRecommendations,
    pub db: Db,
    pub server: TestDatabase,
    pub redis: Redis,
    pub keys: TestKeys,
    pub me: UserId,
    pub token: String,
}

impl Shop {
    pub async fn open() -> Self {
        Self::open_on(&agora_testkit::redis().await).await
    }

    /// A shop on the Redis of this URL, which may be away.
    pub async fn open_on(redis: &str) -> Self {
        let server = agora_testkit::migrated_postgres(&MIGRATIONS).await;
        let db = Db::for_test(&server.url(), &MIGRATIONS).await;
        Self::on(server, db, redis)
    }

    fn on(server: TestDatabase, db: Db, redis: &str) -> Self {
        let process = Process::for_test("recommendation");
        let redis = Redis::connect(&Config::fixed(redis, &fresh().to_string()), &process);
        let store = PgRecommendations::new(db.clone(), Arc::new(SystemIds), Epoch::default());
        let service = RecommendationService::new(
            Arc::new(store.clone()),
            Arc::new(RedisCache::new(redis.clone())),
            Arc::new(RedisLimit::new(redis.clone(), &process)),
            Rules { default_category: "Electronics".into(), recompute_every: RECOMPUTE_EVERY },
        );
        let (keys, me) = (TestKeys::new(), user());
        let jwks = WatchedFile::fixed(keys.jwks());
        let verifier = TokenVerifier::watch(jwks, TestKeys::ISSUER, TestKeys::AUDIENCE, &process);
        let public = TestApp::of("recommendation", http::routers(service.clone(), verifier, &process).public);
        let token = keys.token(me, &[Role::Customer]);
        Self { public, service, store, db, server, redis, keys, me, token }
    }

    pub fn admin(&self) -> String {
        self.keys.token(user(), &[Role::Admin])
    }

    /// Delivers events twice, as the broker may.
    pub async fn deliver(&self, envelopes: &[Envelope]) {
        for _ in 0..2 {
            handle(self.service.clone(), envelopes.to_vec()).await.unwrap();
        }
    }

    /// A product of this category with ten units in stock.
    pub async fn sell(&self, name: &str, category: &str) -> ProductId {
        let id = ProductId::new(fresh());
        self.deliver(&[created(id, 1, name, category), stock(id, 1, 10)]).await;
        id
    }

    /// A placed order of one unit of each product.
    pub async fn buy(&self, who: UserId, products: &[ProductId]) -> OrderId {
        let order = OrderId::new(fresh());
        self.deliver(&[placed(order, who, products)]).await;
        order
    }

    pub async fn recommended(&self) -> Vec<api::Recommendation> {
        let answer = self.public.get("/api/v1/recommendations").with(&self.token).await.expect(200);
        answer.parse::<List<api::Recommendation>>().items
    }

    /// The recommended products.
    pub async fn names(&self) -> Vec<String> {
        self.recommended().await.into_iter().map(|item| item.name).collect()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut *self.db.acquire().await.unwrap()).await.unwrap()
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut *self.db.acquire().await.unwrap()).await.unwrap();
    }

    /// What events made of every table of the projection.
    pub async fn projection(&self) -> Vec<String> {
        const ROWS: &str = "
            select 'purchase ' || to_jsonb(p)::text from purchase as p
            union all select 'product ' || to_jsonb(p)::text from product as p
            union all select 'stock ' || to_jsonb(s)::text from stock_level as s
            union all select 'together ' || to_jsonb(b)::text from bought_together as b
            union all select 'recommendation ' || user_id from recommendation
            order by 1";
        sqlx::query_scalar(ROWS).fetch_all(&mut *self.db.acquire().await.unwrap()).await.unwrap()
    }
}

pub fn fresh() -> Uuid {
    SystemIds.next()
}

pub fn user() -> UserId {
    UserId::new(fresh())
}

pub fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

/// An envelope of the event with this sequence number among those of its aggregate.
pub fn numbered<E: Event>(key: Uuid, seq: i64, event: &E) -> Envelope {
    Envelope { seq, ..agora_testkit::envelope(fresh(), key.to_string(), event) }
}

pub fn product(id: ProductId, version: i64, name: &str, category: &str) -> Product {
    Product {
        product_id: id,
        version,
        name: name.into(),
        description: String::new(),
        sku: None,
        price: eur(1999),
        category: Some(category.into()).filter(|name: &String| !name.is_empty()),
        brand: None,
        supplier: None,
        image_url: None,
        seller_id: SellerId::HOUSE,
        variant_prices: Vec::new(),
    }
}

pub fn created(id: ProductId, version: i64, name: &str, category: &str) -> Envelope {
    numbered(id.uuid(), version, &ProductEvent::Created(product(id, version, name, category)))
}

/// Stock of the main warehouse.
pub fn stock(product_id: ProductId, version: i64, units: i64) -> Envelope {
    let (variant, warehouse_id) = (String::new(), WarehouseId::MAIN);
    let level = StockChanged { product_id, variant, warehouse_id, on_hand: units + 1, reserved: 1, version };
    numbered(fresh(), version, &InventoryEvent::StockChanged(level))
}

pub fn line(product_id: ProductId, quantity: u32) -> OrderLine {
    OrderLine {
        product_id,
        variant: String::new(),
        name: "Then".into(),
        quantity,
        price: eur(1999),
        category: None,
        seller_id: SellerId::HOUSE,
    }
}

pub fn order(order_id: OrderId, user_id: UserId, items: Vec<OrderLine>) -> Order {
    Order {
        order_id,
        number: "A-1000001".into(),
        user_id,
        cart_id: None,
        hold: 1,
        payment_id: None,
        status: String::new(),
        payment_status: String::new(),
        items,
        total: eur(1999),
        charges: None,
    }
}

pub fn placed(id: OrderId, who: UserId, products: &[ProductId]) -> Envelope {
    let items = products.iter().map(|product| line(*product, 1)).collect();
    numbered(id.uuid(), 2, &OrderEvent::Placed(order(id, who, items)))
}

/// Waits until the check is true.
pub async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
