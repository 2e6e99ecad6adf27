//! Units that customers sent back go into stock.

use agora_catalog::domain::{Adjustment, StockLocation};
use agora_catalog::{
    domain::Hold,
    ports::{Holds as _, Returns as _, Stock as _},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::ReturnId;
use futures::future::join_all;
use serde_json::json;

use crate::{
    fixture::{Database, command, fresh, hold, lines, main_location, reserve, stock_of, stocked},
    shop::{Shop, order_id},
};

fn return_id() -> ReturnId {
    ReturnId::new(fresh())
}

async fn take_back(database: &Database, sold: Hold, id: ReturnId, units: &[(agora_vocab::ProductId, i64)]) -> i64 {
    database.store.take_back(sold, id, &lines(units)).await.unwrap().into_inner()
}

#[tokio::test]
async fn returned_units_go_where_they_were_sold_from_once_and_never_more_than_sold() {
    let database = &Database::create().await;
    let id = stocked(database, 3).await;
    let second = StockLocation { warehouse: database.warehouse(5).await, ..main_location(id) };
    database.store.adjust(&second, Adjustment::Set(10), "admin", &DedupKey::None).await.unwrap();
    let sold = hold(1);
    reserve(database, sold, &[(id, 5)]).await;
    assert_eq!(take_back(database, sold, return_id(), &[(id, 1)]).await, 0, "it is not sold");
    database.store.commit(sold, command()).await.unwrap();
    assert_eq!(stock_of(database, id).await, 8);

    let first = return_id();
    assert_eq!(take_back(database, sold, first, &[(id, 2)]).await, 2);
    let again = database.store.take_back(sold, first, &lines(&[(id, 2)])).await.unwrap();
    assert_eq!((again, stock_of(database, id).await), (Outcome::Duplicate(2), 10));
    assert_eq!(take_back(database, sold, return_id(), &[(id, 9), (stocked(database, 1).await, 1)]).await, 3);
    assert_eq!(take_back(database, sold, return_id(), &[(id, 1)]).await, 0);
    assert_eq!(stock_of(database, id).await, 13);
    let of_order = "select sum(quantity)::bigint from stock_movement where kind = 'return' and order_id is not null";
    assert_eq!(database.count(of_order).await, 5);
    assert_eq!(take_back(database, hold(1), return_id(), &[(id, 1)]).await, 0, "an unknown hold sold nothing");
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_returns_of_one_hold_put_back_what_it_sold_and_no_more() {
    let database = &Database::create().await;
    let id = stocked(database, 10).await;
    let sold = hold(1);
    reserve(database, sold, &[(id, 4)]).await;
    database.store.commit(sold, command()).await.unwrap();
    let same = return_id();
    let ids = (0..20).map(|n| if n % 2 == 0 { same } else { return_id() });
    let taken = join_all(ids.map(|id_of_return| async move {
        database.store.take_back(sold, id_of_return, &lines(&[(id, 1)])).await.unwrap()
    }));
    let applied: i64 = taken.await.into_iter().filter(|taken| !taken.is_duplicate()).map(Outcome::into_inner).sum();
    assert_eq!((applied, stock_of(database, id).await), (4, 10));
    database.check_invariants().await;
}

#[tokio::test]
async fn the_order_service_gives_units_back_over_http() {
    let shop = Shop::open().await;
    let (product, order) = (shop.product("A", 3).await.id, order_id());
    let sold = json!([{"productId": product, "variant": "", "quantity": 2}]);
    shop.reserve(order, 1, sold.clone()).await.expect(200);
    shop.command("/internal/v1/commit", json!({"orderId": order, "hold": 1})).await.expect(200);
    let body = json!({"orderId": order, "hold": 1, "returnId": return_id(), "lines": sold});
    for _ in 0..2 {
        assert_eq!(shop.command("/internal/v1/take-back", body.clone()).await.expect(200).body, json!({"units": 2}));
    }
    let stock = shop.public.get(&format!("/api/v1/products/{product}")).await.expect(200).body["stock"].clone();
    assert_eq!(stock, 3);
}
