//! Carts of erased users: what is emptied, what does not return, and late or repeated events.

use agora_cart::consumer::handle;
use agora_events::{
    Envelope,
    order::OrderEvent,
    user::{Account, Erasure, Preferences, UserEvent},
};
use agora_vocab::UserId;

use crate::{
    events::order_event,
    fixture::{fresh, order},
    shop::{Shop, envelope},
};

fn erased(user_id: UserId, seq: i64) -> Envelope {
    Envelope { seq, ..envelope(&UserEvent::Erased(Erasure { user_id })) }
}

fn registered(user_id: UserId, epoch: u32) -> Envelope {
    let (email, preferences) = ("ada@example.org".to_owned(), Preferences::default());
    let account = Account { user_id, email, name: None, preferences, blocked: false };
    Envelope { epoch, ..envelope(&UserEvent::Registered(account)) }
}

/// Handles each event, as the consumer does.
async fn deliver(shop: &Shop, events: Vec<Envelope>) {
    handle(shop.service.clone(), events).await.unwrap();
}

/// The next look of the worker, without its pause.
async fn next_look(shop: &Shop) -> usize {
    shop.database.execute("update erased_cart set look_at = now() where look_at is not null").await;
    shop.service.look_at_erased_carts().await.unwrap()
}

#[tokio::test]
async fn the_cart_of_an_erased_user_is_empty_and_no_checkout_fills_it_again() {
    let shop = Shop::open().await;
    let (chair, table, under_way) = (shop.list_product(9), shop.list_product(9), order());
    shop.add(chair, 1).await.expect(201);
    shop.begin_checkout(under_way).await.expect(200);
    shop.add(table, 2).key("k").await.expect(201);
    let (other, token) = (UserId::new(fresh()), shop.guest().await);
    shop.add_as_guest(&token, table, 3).await.expect(201);
    for _ in 0..2 {
        deliver(&shop, vec![erased(shop.me, 7), erased(other, 7)]).await;
    }
    assert_eq!(shop.units().await, [0_u32; 0]);
    assert_eq!(shop.database.number("select count(*) from cart where lines <> '[]'").await, 0);
    let of_guest = "select count(*) from idempotency where scope not like 'guest %'";
    assert_eq!(shop.database.number(of_guest).await, 0, "no stored answer shows the cart");
    assert_eq!(
        shop.view_as_guest(&token).await.expect(200).body["items"][0]["quantity"],
        3,
        "a guest is another person"
    );
    deliver(&shop, vec![envelope(&OrderEvent::Cancelled(order_event(under_way, true)))]).await;
    assert_eq!(shop.units().await, [0_u32; 0], "the lines of a cancelled order do not return");
    shop.database.check_event_numbers().await;
}

#[tokio::test]
async fn what_a_request_puts_into_an_erased_cart_at_the_same_moment_goes_with_the_next_look() {
    let shop = Shop::open().await;
    let chair = shop.list_product(9);
    deliver(&shop, vec![erased(shop.me, 7)]).await;
    assert_eq!(shop.service.look_at_erased_carts().await.unwrap(), 0, "not before its time");
    shop.add(chair, 1).key("late").await.expect(201);
    assert_eq!(next_look(&shop).await, 1);
    assert_eq!(shop.units().await, [0_u32; 0]);
    assert_eq!(shop.database.number("select count(*) from idempotency").await, 0);
    assert_eq!(next_look(&shop).await, 0, "once");
    shop.database.check_event_numbers().await;
}

/// A restore of the user service's database brings the account back, under the next recovery epoch.
#[tokio::test]
async fn late_and_repeated_events_change_nothing_and_a_later_recovery_epoch_gives_the_cart_back() {
    let shop = Shop::open().await;
    let (chair, cancelled) = (shop.list_product(9), order());
    deliver(&shop, vec![erased(shop.me, 7), registered(shop.me, 0)]).await;
    deliver(&shop, vec![registered(shop.me, 0)]).await;
    let is_erased = "select count(*) from erased_cart where erased";
    assert_eq!(shop.database.number(is_erased).await, 1, "the account does not come back by an older event");
    deliver(&shop, vec![registered(shop.me, 1)]).await;
    assert_eq!(shop.database.number(is_erased).await, 0);
    shop.add(chair, 1).await.expect(201);
    shop.begin_checkout(cancelled).await.expect(200);
    shop.add(chair, 1).await.expect(201);
    // The erasure of the lost timeline is older than that.
    deliver(&shop, vec![erased(shop.me, 7)]).await;
    assert_eq!((shop.units().await, next_look(&shop).await), (vec![1], 0));
    deliver(&shop, vec![envelope(&OrderEvent::Cancelled(order_event(cancelled, true)))]).await;
    assert_eq!(shop.units().await, [2]);
}

#[tokio::test]
async fn the_sweep_deletes_erasures_after_30_days() {
    let shop = Shop::open().await;
    deliver(&shop, vec![erased(shop.me, 7)]).await;
    shop.database.execute("update erased_cart set erased_at = now() - interval '29 days'").await;
    assert_eq!(shop.service.sweep().await.unwrap(), 0);
    shop.database.execute("update erased_cart set erased_at = now() - interval '31 days'").await;
    assert_eq!(shop.service.sweep().await.unwrap(), 1);
}
