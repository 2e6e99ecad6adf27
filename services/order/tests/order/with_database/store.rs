//! The store of orders in a database of its own, with the history, the events and a movable time.

use std::sync::Arc;

use agora_chassis::Process;
use agora_order::{
    MIGRATIONS,
    domain::{OrderChange, UnpaidLimits},
    http,
    postgres::PgOrders,
};
use agora_postgres::Db;
use agora_vocab::{Epoch, OrderId};
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};

/// Payment window of all orders in tests.
pub const WINDOW: Duration = Duration::minutes(15);

#[derive(Clone)]
pub struct TestStore {
    pub db: Db,
    pub orders: Arc<PgOrders>,
}

impl TestStore {
    /// A store in which no test reaches a limit of unpaid orders.
    pub async fn new() -> Self {
        Self::with_limits(UnpaidLimits { orders: 10_000, units: 1_000_000 }).await
    }

    pub async fn with_limits(limits: UnpaidLimits) -> Self {
        let db = Db::for_test(&agora_testkit::migrated_postgres(&MIGRATIONS).await.url(), &MIGRATIONS).await;
        let orders = Arc::new(PgOrders {
            db: db.clone(),
            ids: Process::for_test("order").ids(),
            epoch: Epoch::default(),
            payment_window: WINDOW,
            limits,
            answer: http::answer,
        });
        Self { db, orders }
    }

    /// Moves the times of orders and requests that are not done back, because the database's clock cannot be moved. Real
    /// time passes as well, so a test that needs a time before a deadline leaves at least ten seconds.
    pub async fn pass(&self, time: Duration) {
        const ORDERS: &str = "update orders set \
            expires_at = expires_at - make_interval(secs => $1), created_at = created_at - make_interval(secs => $1), \
            next_at = next_at - make_interval(secs => $1), due_at = due_at - make_interval(secs => $1), \
            lease_until = lease_until - make_interval(secs => $1), \
            saga = saga || ( \
                select coalesce(jsonb_object_agg(key, value::timestamptz - make_interval(secs => $1)), '{}') \
                from jsonb_each_text(saga) \
                where key in ('not_before', 'paying_since', 'failing_since') and value is not null \
            ) \
            where next_at is not null";
        const LEASES: &str = "update idempotency set \
            lease_until = lease_until - make_interval(secs => $1), created_at = created_at - make_interval(secs => $1) \
            where state = 'started'";
        let mut tx = self.db.begin().await.unwrap();
        for statement in [ORDERS, LEASES] {
            sqlx::query(statement).bind(time.as_seconds_f64()).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// History entries of an order, in sequence.
    pub async fn history(&self, order: OrderId) -> Vec<(i64, OrderChange, OffsetDateTime)> {
        let mut connection = self.db.acquire().await.unwrap();
        let rows: Vec<(i64, Json<OrderChange>, OffsetDateTime)> =
            sqlx::query_as("select seq, data, at from order_event where order_id = $1 order by seq")
                .bind(order.uuid())
                .fetch_all(&mut *connection)
                .await
                .unwrap();
        rows.into_iter().map(|(seq, Json(entry), at)| (seq, entry, at)).collect()
    }

    /// Sequence number and type of each event that an order published.
    pub async fn events(&self, order: OrderId) -> Vec<(i64, String)> {
        let mut connection = self.db.acquire().await.unwrap();
        sqlx::query_as("select seq, kind from outbox where aggregate = $1 order by id")
            .bind(order.uuid())
            .fetch_all(&mut *connection)
            .await
            .unwrap()
    }

    /// The ids of all orders, oldest first.
    pub async fn order_ids(&self) -> Vec<OrderId> {
        let mut connection = self.db.acquire().await.unwrap();
        let ids = sqlx::query_scalar("select id from orders order by id").fetch_all(&mut *connection).await.unwrap();
        ids.into_iter().map(OrderId::new).collect()
    }
}
