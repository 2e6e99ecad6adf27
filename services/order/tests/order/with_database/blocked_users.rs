//! Orders of users whom an administrator has blocked.

use agora_events::{
    Envelope,
    user::{Account, Preferences, UserEvent},
};
use agora_vocab::{Quantity, UserId};
use serde_json::json;
use uuid::Uuid;

use super::{
    event_consumer::envelope,
    shop::{Shop, items},
};

/// The event with number `seq` of Ada's account.
fn status(shop: &Shop, seq: u64, blocked: bool) -> Envelope {
    let (email, preferences) = ("ada@example.org".to_owned(), Preferences::default());
    let account = Account { user_id: shop.ada, email, name: None, preferences, blocked };
    Envelope { seq: seq.cast_signed(), ..envelope(seq, &UserEvent::Updated(account)) }
}

#[tokio::test]
async fn or15_a_blocked_user_cannot_order_until_the_account_is_active_again() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    shop.fakes.carts.add(shop.ada, lamp, Quantity::ONE);
    let placed = shop.pending("before", lamp, 1).await;
    shop.consume(vec![status(&shop, 2, true)]).await.unwrap();

    for body in [items(lamp, 1), json!({})] {
        let refused = shop.order("k", body).await.expect(403).body;
        assert_eq!(refused["code"], "ACCOUNT_BLOCKED", "{refused}");
    }
    shop.order("before", items(lamp, 1)).await.expect(403);
    assert_eq!((shop.orders().await.len(), shop.fakes.catalog.available(lamp)), (1, 49));
    assert_eq!(shop.fakes.carts.lines(shop.ada), 1, "the cart is as it was");
    let leases = "select count(*) from idempotency where key = 'k'";
    let mut connection = shop.store.db.acquire().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i64>(leases).fetch_one(&mut *connection).await.unwrap(), 0);
    shop.get(&format!("/api/v1/orders/{placed}")).await.expect(200);
    let eve = shop.token(UserId::new(Uuid::from_u128(66)));
    shop.order("k", items(lamp, 1)).with(&eve).await.expect(201);

    shop.consume(vec![status(&shop, 3, false)]).await.unwrap();
    shop.order("k", items(lamp, 1)).await.expect(201);
}

#[tokio::test]
async fn or15_an_older_event_neither_blocks_nor_activates_a_user() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let restored = Envelope { epoch: 1, ..status(&shop, 1, false) };
    shop.consume(vec![status(&shop, 5, true), status(&shop, 4, false)]).await.unwrap();
    shop.order("a", items(lamp, 1)).await.expect(403);
    shop.consume(vec![restored, status(&shop, 6, true)]).await.unwrap();
    shop.order("a", items(lamp, 1)).await.expect(201);
    shop.consume(vec![status(&shop, 7, true)]).await.unwrap();
    shop.order("b", items(lamp, 1)).await.expect(201);
}
