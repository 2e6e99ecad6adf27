//! Orders in memory and in PostgreSQL, behind one face: so that the same laws are asked of both. Time passes by hand in
//! either.

use std::sync::Arc;

use agora_order::{domain::Entry, fakes::InMemoryOrders, ports::Orders};
use agora_testkit::FixedClock;
use agora_vocab::OrderId;
use async_trait::async_trait;
use time::{Duration, OffsetDateTime, macros::datetime};

/// How long an order can be paid.
pub const WINDOW: Duration = Duration::minutes(15);

/// A store of orders and what can be seen of it from outside.
#[async_trait]
pub trait World: Send + Sync {
    fn orders(&self) -> Arc<dyn Orders>;
    async fn pass(&self, time: Duration);
    async fn history(&self, order: OrderId) -> Vec<(i64, Entry, OffsetDateTime)>;
    async fn facts(&self, order: OrderId) -> Vec<(i64, String)>;
}

pub struct InMemory {
    orders: Arc<InMemoryOrders>,
    clock: FixedClock,
}

impl InMemory {
    pub fn new() -> Self {
        let clock = FixedClock::at(datetime!(2026-01-02 03:04:05 UTC));
        Self {
            orders: Arc::new(InMemoryOrders::new(Arc::new(clock.clone()), WINDOW, agora_order::http::answer)),
            clock,
        }
    }
}

#[async_trait]
impl World for InMemory {
    fn orders(&self) -> Arc<dyn Orders> {
        self.orders.clone()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn history(&self, order: OrderId) -> Vec<(i64, Entry, OffsetDateTime)> {
        self.orders.history(order)
    }

    async fn facts(&self, order: OrderId) -> Vec<(i64, String)> {
        self.orders.facts(order)
    }
}

#[cfg(feature = "db-tests")]
pub use database::InDatabase;

#[cfg(feature = "db-tests")]
mod database {
    use agora_chassis::Process;
    use agora_order::{MIGRATIONS, domain::Saga, postgres::PgOrders};
    use agora_postgres::Db;
    use agora_vocab::Epoch;
    use sqlx::types::Json;
    use uuid::Uuid;

    use super::{Arc, Duration, Entry, OffsetDateTime, OrderId, Orders, WINDOW, World, async_trait};

    #[derive(Clone)]
    pub struct InDatabase {
        pub db: Db,
        orders: Arc<PgOrders>,
    }

    impl InDatabase {
        pub async fn new() -> Self {
            let db = Db::for_test(&agora_testkit::postgres().await.url(), &MIGRATIONS).await;
            let ids = Process::for_test("order").ids();
            let orders = Arc::new(PgOrders {
                db: db.clone(),
                ids,
                epoch: Epoch::default(),
                payment_window: WINDOW,
                answer: agora_order::http::answer,
            });
            Self { db, orders }
        }

        async fn shift_sagas(&self, by: Duration) {
            let mut tx = self.db.begin().await.unwrap();
            let sagas: Vec<(Uuid, Json<Saga>)> =
                sqlx::query_as("select order_id, data from saga").fetch_all(&mut *tx).await.unwrap();
            for (order, Json(mut saga)) in sagas {
                for time in [&mut saga.not_before, &mut saga.paying_since, &mut saga.failing_since] {
                    *time = time.map(|time| time - by);
                }
                sqlx::query(
                    "update saga set data = $2, next_at = next_at - make_interval(secs => $3), \
                     lease_until = lease_until - make_interval(secs => $3) where order_id = $1",
                )
                .bind(order)
                .bind(Json(saga))
                .bind(by.as_seconds_f64())
                .execute(&mut *tx)
                .await
                .unwrap();
            }
            tx.commit().await.unwrap();
        }
    }

    #[async_trait]
    impl World for InDatabase {
        fn orders(&self) -> Arc<dyn Orders> {
            self.orders.clone()
        }

        /// The clock cannot be moved on, so everything is moved back.
        async fn pass(&self, time: Duration) {
            const ORDERS: &str = "update orders set expires_at = expires_at - make_interval(secs => $1), \
                created_at = created_at - make_interval(secs => $1)";
            const CLAIMS: &str = "update idempotency set lease_until = lease_until - make_interval(secs => $1), \
                created_at = created_at - make_interval(secs => $1)";
            let mut connection = self.db.acquire().await.unwrap();
            for statement in [ORDERS, CLAIMS] {
                sqlx::query(statement).bind(time.as_seconds_f64()).execute(&mut *connection).await.unwrap();
            }
            drop(connection);
            self.shift_sagas(time).await;
        }

        async fn history(&self, order: OrderId) -> Vec<(i64, Entry, OffsetDateTime)> {
            let mut connection = self.db.acquire().await.unwrap();
            let rows: Vec<(i64, Json<Entry>, OffsetDateTime)> =
                sqlx::query_as("select seq, data, at from order_event where order_id = $1 order by seq")
                    .bind(order.uuid())
                    .fetch_all(&mut *connection)
                    .await
                    .unwrap();
            rows.into_iter().map(|(seq, Json(entry), at)| (seq, entry, at)).collect()
        }

        async fn facts(&self, order: OrderId) -> Vec<(i64, String)> {
            let mut connection = self.db.acquire().await.unwrap();
            sqlx::query_as("select seq, kind from outbox where aggregate = $1 order by id")
                .bind(order.uuid())
                .fetch_all(&mut *connection)
                .await
                .unwrap()
        }
    }
}
