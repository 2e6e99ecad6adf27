//! Tests of the reports for admins.

use agora_events::user::{Account, Preferences, UserEvent};
use agora_vocab::UserId;
use serde_json::{Value, json};

use super::{event_consumer::envelope, shop::Shop, store::TestStore};

const TOP: &str = "/api/v1/admin/reports/top-products";
const LATEST: &str = "/api/v1/admin/reports/latest-orders";

/// A report, as an admin reads it.
async fn report(shop: &Shop, path: &str) -> Value {
    shop.app().get(path).with(&shop.admin()).await.expect(200).body
}

fn account(user: UserId, email: &str) -> Account {
    let name = Some("Ada Lovelace".to_owned());
    Account { user_id: user, email: email.to_owned(), name, preferences: Preferences::default(), blocked: false }
}

/// Makes the reports old enough to be refreshed.
async fn age(store: &TestStore) {
    let age = "update report_refresh set refreshed_at = now() - interval '2 minutes'";
    sqlx::query(age).execute(&mut *store.db.acquire().await.unwrap()).await.unwrap();
}

async fn refresh(shop: &Shop) {
    age(&shop.store).await;
    assert!(shop.reports.refresh().await.unwrap(), "the report was old and nobody else refreshes it");
}

async fn pay(shop: &Shop, order: agora_vocab::OrderId, payment: u32) {
    shop.begin(order, payment).await.expect(200);
    shop.result(order, payment, (payment + 100, "captured")).await.expect(200);
}

#[tokio::test]
async fn or21_the_products_that_sold_most_are_counted_by_units_of_paid_orders() {
    let shop = Shop::open().await;
    let (lamp, chair) = (shop.fakes.catalog.offer(100, 100), shop.fakes.catalog.offer(300, 100));
    for (n, product, units) in [(1, lamp, 2), (2, chair, 4), (3, lamp, 3)] {
        let order = shop.pending(&format!("paid-{n}"), product, units).await;
        pay(&shop, order, n).await;
    }
    shop.pending("unpaid", chair, 9).await;
    refresh(&shop).await;
    let top = report(&shop, TOP).await;
    let row = |n: usize| (top["items"][n]["productId"].clone(), top["items"][n]["units"].clone());
    assert_eq!(row(0), (json!(lamp), json!(5)), "{top}");
    assert_eq!(row(1), (json!(chair), json!(4)), "{top}");
    assert_eq!(top["items"][0]["orders"], 2);
    assert_eq!(top["items"][0]["revenue"], json!({ "amount": 500, "currency": "EUR" }));
    assert_eq!(top["items"].as_array().unwrap().len(), 2);
    assert_eq!(report(&shop, &format!("{TOP}?limit=1")).await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn or21_an_order_whose_money_went_back_sold_nothing() {
    let shop = Shop::open().await;
    let order = shop.pending("k", shop.fakes.catalog.offer(100, 100), 2).await;
    pay(&shop, order, 1).await;
    shop.cancel(order).await.expect(200);
    shop.settle().await;
    refresh(&shop).await;
    assert_eq!(report(&shop, TOP).await["items"], json!([]));
}

#[tokio::test]
async fn or21_of_processes_that_refresh_at_once_one_does_and_a_young_report_is_kept() {
    let shop = Shop::open().await;
    age(&shop.store).await;
    let all = futures::future::join_all((0..8).map(|_| shop.reports.refresh())).await;
    let refreshed = all.into_iter().filter(|done| *done.as_ref().unwrap()).count();
    assert_eq!(refreshed, 1);
    assert!(!shop.reports.refresh().await.unwrap(), "the report is young");
}

#[tokio::test]
async fn or22_the_latest_orders_have_brand_category_supplier_and_their_user() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 500);
    let first = shop.pending("first", lamp, 1).await;
    let second = shop.pending("second", lamp, 2).await;
    let latest = report(&shop, LATEST).await;
    assert_eq!(latest["items"][0]["id"], json!(second), "{latest}");
    assert_eq!(latest["items"][1]["id"], json!(first));
    assert_eq!(latest["items"][0]["user"], Value::Null);
    shop.consume(vec![envelope(1, &UserEvent::Registered(account(shop.ada, "ada@example.org")))]).await.unwrap();
    let latest = report(&shop, LATEST).await;
    assert_eq!(latest["items"][0]["user"], json!({ "email": "ada@example.org", "name": "Ada Lovelace" }));
    let item = &latest["items"][0]["items"][0];
    for (field, value) in [("brand", "Lumen"), ("category", "Lighting"), ("supplier", "Bright Ltd")] {
        assert_eq!(item[field], value, "{item}");
    }
}

#[tokio::test]
async fn or22_at_most_a_hundred_orders_are_listed() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 500);
    for n in 0..102 {
        shop.pending(&format!("k{n}"), lamp, 1).await;
    }
    assert_eq!(report(&shop, LATEST).await["items"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_user_is_as_the_last_event_says_in_any_order_and_number_of_arrivals() {
    let shop = Shop::open().await;
    shop.pending("k", shop.fakes.catalog.offer(100, 5), 1).await;
    let at = |seq: i64, epoch: u32, email: &str| {
        let event = UserEvent::Updated(account(shop.ada, email));
        agora_events::Envelope { seq, epoch, ..envelope(seq.unsigned_abs(), &event) }
    };
    let latest = at(1, 1, "restored@example.org");
    shop.consume(vec![at(2, 0, "second@example.org"), at(3, 0, "third@example.org")]).await.unwrap();
    shop.consume(vec![latest.clone(), at(1, 0, "first@example.org")]).await.unwrap();
    shop.consume(vec![at(3, 0, "third@example.org"), latest]).await.unwrap();
    assert_eq!(report(&shop, LATEST).await["items"][0]["user"]["email"], "restored@example.org");
}

#[tokio::test]
async fn reports_are_for_admins_and_a_limit_out_of_bounds_is_refused() {
    let shop = Shop::open().await;
    for path in [TOP, LATEST] {
        shop.get(path).await.expect(403);
    }
    shop.app().get(&format!("{TOP}?limit=0")).with(&shop.admin()).await.expect(422);
    shop.app().get(&format!("{TOP}?limit=many")).with(&shop.admin()).await.expect(400);
    shop.app().get(&format!("{TOP}?page=2")).with(&shop.admin()).await.expect(400);
}
