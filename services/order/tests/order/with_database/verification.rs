//! Tests of the verification of orders against their histories.

use agora_order::{domain::Difference, service::Verification, verification};
use agora_vocab::OrderId;
use futures::future::join_all;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::shop::{Shop, items};

async fn verify(shop: &Shop) -> Verification {
    verification(shop.store.db.clone()).verify(|_| ()).await.unwrap()
}

/// Changes the database as an administrator might.
async fn by_hand(shop: &Shop, statements: String) {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *shop.store.db.acquire().await.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn or18_the_orders_of_concurrent_requests_equal_their_histories() {
    let shop = Shop::open().await;
    let (lamp, rare) = (shop.fakes.catalog.offer(1999, 1000), shop.fakes.catalog.offer(100, 5));
    let place = |n: usize| {
        let shop = &shop;
        async move {
            let mut body = items(if n.is_multiple_of(4) { rare } else { lamp }, 1);
            if let Some(token) = ["tok_ok", "tok_declined", "tok_error"].get(n % 5) {
                body["payment"] = json!({ "method": "card", "token": token });
            }
            shop.order(&format!("k{}", n / 2), body).await
        }
    };
    join_all((0..80).map(place)).await;
    let orders = shop.orders().await;
    let change = |(n, order): (usize, OrderId)| {
        let shop = &shop;
        async move {
            let payment = u32::try_from(n).unwrap() + 1;
            tokio::join!(
                async { shop.begin(order, payment).await },
                async { shop.cancel(order).await },
                async { shop.result(order, payment, (payment + 1000, "captured")).await },
                async { shop.advance(order, "processing").await },
            )
        }
    };
    join_all(orders.iter().map(|order| order.id).enumerate().map(change)).await;
    shop.settle().await;
    let found = verify(&shop).await;
    assert_eq!(found, Verification { checked: u64::try_from(orders.len()).unwrap(), ..Verification::default() });
    assert!(orders.len() >= 20, "{} orders", orders.len());
}

#[tokio::test]
async fn or18_what_was_changed_by_hand_is_found() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1999, 100);
    let mut orders = Vec::new();
    for n in 0..6 {
        orders.push(shop.pending(&format!("k{n}"), lamp, 1).await);
    }
    assert_eq!(verify(&shop).await, Verification { checked: 6, ..Verification::default() });
    let [status, total, line, row, history, _] = orders[..] else { panic!("six orders") };
    by_hand(&shop, format!("update orders set status = 'paid', version = 9 where id = '{status}'")).await;
    by_hand(&shop, format!("update orders set total_minor = 1 where id = '{total}'")).await;
    by_hand(&shop, format!("update order_item set name = 'Lantern' where order_id = '{line}'")).await;
    let delete = "delete from order_item where order_id = '{}'; delete from orders where id = '{}'";
    by_hand(&shop, delete.replace("{}", &row.to_string())).await;
    let gap = "alter table order_event disable trigger user; delete from order_event where order_id = '{}' and seq = 1";
    by_hand(&shop, gap.replace("{}", &history.to_string())).await;

    let found = verify(&shop).await;
    let mut expected = [
        (status, Difference::Fields(vec!["status", "version"])),
        (total, Difference::Fields(vec!["total"])),
        (line, Difference::Fields(vec!["lines"])),
        (row, Difference::NoRow),
        (history, Difference::BrokenHistory),
    ];
    expected.sort_by_key(|(order, _)| *order);
    assert_eq!((found.checked, found.differing, found.listed), (6, 5, expected.to_vec()));
}

#[tokio::test]
async fn or18_of_many_orders_that_differ_all_are_counted_and_a_hundred_listed() {
    const COPIES: &str =
        "insert into orders (id, number, user_id, currency, total_minor, expires_at, created_at, status,
            payment_status, hold, declines, version, event_seq, updated_at, phase, saga)
        select gen_random_uuid(), 'B-' || n, user_id, currency, total_minor, expires_at, created_at, status,
            payment_status, hold, declines, version, event_seq, updated_at, 'done', '{}'
        from orders, generate_series(1, 450) as n";
    let shop = Shop::open().await;
    shop.pending("k", shop.fakes.catalog.offer(1999, 100), 1).await;
    by_hand(&shop, COPIES.to_owned()).await;
    let mut pages = 0;
    let found = verification(shop.store.db.clone()).verify(|_| pages += 1).await.unwrap();
    assert_eq!((found.checked, found.differing, found.listed.len()), (451, 450, 100));
    assert!(found.listed.is_sorted_by_key(|(order, _)| *order) && pages > 2, "{pages} pages");
}
