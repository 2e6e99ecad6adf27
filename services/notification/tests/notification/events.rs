//! Events under duplicates, in another order, late, malformed and unknown: the same rows as one clean delivery.

use agora_events::{
    Envelope,
    order::OrderEvent,
    user::{EmailChange, Login, Preferences, UserEvent},
};
use agora_notification::consumer::handle;
use agora_outbox::Failure;
use agora_vocab::{SessionId, UserId};
use serde_json::{json, value::to_raw_value};

use crate::shop::{Options, Shop, account, address, envelope, fresh, order, placed, user};

/// The life of an account and of an order.
fn history(ada: UserId) -> Vec<Envelope> {
    let quiet = Preferences { promotions: false, ..Preferences::default() };
    let made = order(ada);
    let users = [
        UserEvent::Registered(account(ada, "Ada", Preferences::default())),
        UserEvent::Login(Login {
            user_id: ada,
            email: address("Ada"),
            session_id: SessionId::new(fresh()),
            login_method: "password".into(),
        }),
        UserEvent::Updated(account(ada, "Ada", quiet)),
        UserEvent::EmailChanged(EmailChange {
            user_id: ada,
            previous_email: address("Ada"),
            email: address("Countess"),
        }),
    ];
    let orders = [OrderEvent::Created(made.clone()), OrderEvent::Placed(made.clone()), OrderEvent::Paid(made)];
    let users = users.iter().zip(1..).map(|(event, seq)| envelope(event, seq));
    users.chain(orders.iter().zip(1..).map(|(event, seq)| envelope(event, seq))).collect()
}

/// Every row that events write, without what time alone decides.
async fn rows(shop: &Shop) -> Vec<String> {
    let mut rows =
        shop.texts("select (to_jsonb(n) - 'sent_at' - 'mail_error')::text from notification as n order by id").await;
    rows.extend(shop.texts("select to_jsonb(r)::text from recipient as r order by user_id").await);
    rows.extend(
        shop.texts("select (to_jsonb(q) - 'due_at' - 'queued_at')::text from mail_queue as q order by 1").await,
    );
    rows
}

#[tokio::test]
async fn duplicates_another_order_and_a_replay_leave_the_rows_of_one_clean_delivery() {
    let events = history(user());
    let clean = Shop::open().await;
    for event in &events {
        clean.deliver_all(vec![event.clone()]).await;
    }
    let expected = rows(&clean).await;
    assert_eq!(expected.len(), 6 + 1 + 6);

    let tripled: Vec<Envelope> = events.iter().flat_map(|event| [event; 3]).cloned().collect();
    let backwards: Vec<Envelope> = events.iter().rev().cloned().collect();
    let replayed: Vec<Envelope> = events.iter().chain(&events).cloned().collect();
    for (what, deliveries) in [("three times", tripled), ("backwards", backwards), ("replayed", replayed)] {
        let (together, apart) = (Shop::open().await, Shop::open().await);
        together.deliver_all(deliveries.clone()).await;
        assert_eq!(rows(&together).await, expected, "{what}, in a batch");
        for event in deliveries {
            apart.deliver_all(vec![event]).await;
        }
        assert_eq!(rows(&apart).await, expected, "{what}, one by one");
    }
}

#[tokio::test]
async fn concurrent_deliveries_of_the_same_events_write_each_row_once_and_mail_once() {
    let (shop, ada) = (Shop::open().await, user());
    let events = history(ada);
    let deliveries = (0..8).map(|n| {
        let mut events = events.clone();
        let middle = n % events.len();
        events.rotate_left(middle);
        shop.deliver_all(events)
    });
    futures::future::join_all(deliveries).await;
    let sending = (0..4).map(|_| shop.send());
    futures::future::join_all(sending).await;
    shop.deliver_all(events).await;
    shop.send().await;
    assert_eq!(shop.smtp.mails().len(), 6);
    assert_eq!(shop.number("select count(*) from notification where mail = 'sent'").await, 6);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_poison_an_unknown_one_is_skipped_and_a_lost_database_is_waited_for() {
    let shop = Shop::open().await;
    let good = envelope(&placed(user()), 1);
    let malformed = Envelope { data: to_raw_value(&json!({"orderId": "\u{0}"})).unwrap(), ..good.clone() };
    let later = Envelope { version: 2, ..good.clone() };
    for bad in [malformed.clone(), later] {
        let result = handle(shop.service.clone(), vec![bad]).await;
        assert!(matches!(result, Err(Failure::Poison(_))), "{result:?}");
    }
    let mut nul = order(user());
    nul.items[0].name = "a\u{0}b".into();
    let unstorable = handle(shop.service.clone(), vec![envelope(&OrderEvent::Placed(nul), 1)]).await;
    assert!(matches!(unstorable, Err(Failure::Defect(_))), "{unstorable:?}");
    let no_address = account(user(), "no address", Preferences::default());
    let unusable = handle(shop.service.clone(), vec![envelope(&UserEvent::Registered(no_address), 1)]).await;
    assert!(matches!(unusable, Err(Failure::Poison(_))), "{unusable:?}");
    shop.deliver_all(vec![Envelope { kind: "order.teleported".into(), version: 9, ..malformed }]).await;
    assert_eq!(shop.number("select count(*) from notification").await, 0);

    shop.server.stop().await;
    let away = handle(shop.service.clone(), vec![good]).await;
    assert!(matches!(away, Err(Failure::Again(_))), "{away:?}");
}

#[tokio::test]
async fn no6_every_type_is_stored_under_its_name() {
    let shop = Shop::open_with(Options { mail: false, ..Options::default() }).await;
    let ada = shop.register("Ada").await;
    for kind in ["USER_UPDATE", "ORDER_UPDATE", "PROMOTION", "EMAIL", "RECOMMENDATION"] {
        let body = json!({"userId": ada, "type": kind, "content": "text"});
        let created = shop.public.post("/api/v1/admin/notifications", body).with(&shop.admin).await.expect(201).body;
        assert_eq!(created["type"], kind);
        let listed = shop.list(ada, &format!("?type={kind}")).await;
        assert!(listed["items"].as_array().unwrap().iter().all(|item| item["type"] == kind), "{listed}");
        assert_eq!(listed["total"], if kind == "USER_UPDATE" { 2 } else { 1 });
    }
}
