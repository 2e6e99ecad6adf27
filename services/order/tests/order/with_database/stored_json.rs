//! Tests of the history and of the JSON that tables hold.

use agora_order::{
    MIGRATIONS,
    domain::{Order, OrderChange, Saga},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, types::Json};

use super::shop::Shop;

#[tokio::test]
async fn history_can_be_neither_changed_nor_deleted_even_by_its_owner() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(1999, 10), 1).await;
    let mut connection = shop.store.db.acquire().await.unwrap();
    for statement in [
        "update order_event set seq = seq + 1",
        "update order_event set kind = 'order.paid', data = order_change_without_person(data)",
        "update order_event set data = jsonb_set(data, '{created,number}', '\"A-1\"') where seq = 1",
        "delete from order_event",
        "truncate order_event",
    ] {
        let refused = sqlx::query(statement).execute(&mut *connection).await.unwrap_err();
        assert_eq!(agora_postgres::constraint(&refused), Some("order_event_append_only"), "{statement}");
    }
    assert_eq!(shop.store.history(order).await.len(), 2);
}

/// Rows with the names of JSON keys that migration 8 replaces.
const FIRST_NAMES: &str = include_str!("first_names.sql");

#[tokio::test]
async fn the_migration_of_stored_names_keeps_every_value_and_the_history_append_only() {
    let database = agora_testkit::postgres().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let (renaming, others): (Vec<_>, Vec<_>) = MIGRATIONS.iter().partition(|migration| migration.version == 8);
    for migration in others {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut connection).await.unwrap();
    }
    sqlx::raw_sql(FIRST_NAMES).execute(&mut connection).await.unwrap();
    for migration in renaming {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut connection).await.unwrap();
    }

    let saga = "select saga from orders";
    let Json(saga): Json<Saga> = sqlx::query_scalar(saga).fetch_one(&mut connection).await.unwrap();
    assert!(saga.cancel_checkout);
    assert_eq!((saga.ended_payments.len(), saga.queries, saga.failures), (1, 3, 2));
    let history = "select data from order_event order by seq";
    let history: Vec<Json<OrderChange>> = sqlx::query_scalar(history).fetch_all(&mut connection).await.unwrap();
    let Json(OrderChange::Created(created)) = &history[0] else { panic!("{history:?}") };
    assert_eq!((created.number.as_str(), created.event_seq, created.progress.hold), ("A-1000001", 1, 0));
    let Json(OrderChange::Changed(progress)) = &history[1] else { panic!("{history:?}") };
    assert_eq!(progress.hold, 1);
    let results = "select answer from idempotency order by key";
    let results: Vec<Json<Value>> = sqlx::query_scalar(results).fetch_all(&mut connection).await.unwrap();
    let stored: Order = serde_json::from_value(results[0]["done"].clone()).unwrap();
    assert_eq!((stored.event_seq, stored.progress.status.as_str()), (2, "cancelled"));
    assert_eq!(results[1].0, json!({ "status": 201, "location": null, "body": {} }));
    let refused = sqlx::query("update order_event set seq = seq + 1").execute(&mut connection).await.unwrap_err();
    assert_eq!(agora_postgres::constraint(&refused), Some("order_event_append_only"));
}
