//! Test fixture: the in-memory and the PostgreSQL store behind one trait, so that both run the same contract tests.

use std::sync::Arc;

use agora_order::{domain::OrderChange, fakes::InMemoryOrders, ports::OrderStore};
use agora_testkit::FixedClock;
use agora_vocab::OrderId;
use async_trait::async_trait;
use time::{Duration, OffsetDateTime, macros::datetime};

/// Payment window of all orders in tests.
pub const WINDOW: Duration = Duration::minutes(15);

/// A store of orders with a movable clock and access to stored history and events.
#[async_trait]
pub trait Fixture: Send + Sync {
    fn orders(&self) -> Arc<dyn OrderStore>;
    async fn pass(&self, time: Duration);
    async fn history(&self, order: OrderId) -> Vec<(i64, OrderChange, OffsetDateTime)>;
    async fn events(&self, order: OrderId) -> Vec<(i64, String)>;
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
impl Fixture for InMemory {
    fn orders(&self) -> Arc<dyn OrderStore> {
        self.orders.clone()
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn history(&self, order: OrderId) -> Vec<(i64, OrderChange, OffsetDateTime)> {
        self.orders.history(order)
    }

    async fn events(&self, order: OrderId) -> Vec<(i64, String)> {
        self.orders.events(order)
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

    use super::{Arc, Duration, Fixture, OffsetDateTime, OrderChange, OrderId, OrderStore, WINDOW, async_trait};

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
                sqlx::query_as("select id, saga from orders").fetch_all(&mut *tx).await.unwrap();
            for (order, Json(mut saga)) in sagas {
                for time in [&mut saga.not_before, &mut saga.paying_since, &mut saga.failing_since] {
                    *time = time.map(|time| time - by);
                }
                sqlx::query(
                    "update orders set saga = $2, next_at = next_at - make_interval(secs => $3), \
                     due_at = due_at - make_interval(secs => $3), \
                     lease_until = lease_until - make_interval(secs => $3) where id = $1",
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
    impl Fixture for InDatabase {
        fn orders(&self) -> Arc<dyn OrderStore> {
            self.orders.clone()
        }

        /// Moves all stored times back, because the database clock cannot be moved.
        async fn pass(&self, time: Duration) {
            const ORDERS: &str = "update orders set expires_at = expires_at - make_interval(secs => $1), \
                created_at = created_at - make_interval(secs => $1)";
            const LEASES: &str = "update idempotency set lease_until = lease_until - make_interval(secs => $1), \
                created_at = created_at - make_interval(secs => $1)";
            let mut connection = self.db.acquire().await.unwrap();
            for statement in [ORDERS, LEASES] {
                sqlx::query(statement).bind(time.as_seconds_f64()).execute(&mut *connection).await.unwrap();
            }
            drop(connection);
            self.shift_sagas(time).await;
        }

        async fn history(&self, order: OrderId) -> Vec<(i64, OrderChange, OffsetDateTime)> {
            let mut connection = self.db.acquire().await.unwrap();
            let rows: Vec<(i64, Json<OrderChange>, OffsetDateTime)> =
                sqlx::query_as("select seq, data, at from order_event where order_id = $1 order by seq")
                    .bind(order.uuid())
                    .fetch_all(&mut *connection)
                    .await
                    .unwrap();
            rows.into_iter().map(|(seq, Json(entry), at)| (seq, entry, at)).collect()
        }

        async fn events(&self, order: OrderId) -> Vec<(i64, String)> {
            let mut connection = self.db.acquire().await.unwrap();
            sqlx::query_as("select seq, kind from outbox where aggregate = $1 order by id")
                .bind(order.uuid())
                .fetch_all(&mut *connection)
                .await
                .unwrap()
        }
    }
}
