//! Erased users: what is deleted, what is not stored again, and changes of addresses, whose mails name two of them.

use agora_events::{
    Envelope,
    order::OrderEvent,
    user::{EmailChange, EmailChangeRequest, Erasure, Login, Preferences, UserEvent},
};
use agora_testkit::Behaviour;
use agora_vocab::{EmailChangeId, Secret, SessionId, UserId};
use agora_web::verify_derived_token;
use serde_json::json;
use sqlx::AssertSqlSafe;
use time::macros::datetime;

use crate::shop::{SECRET, Shop, account, address, envelope, fresh, order, placed, recommended, user};

/// All rows of all tables as text, in lower case.
async fn dump(shop: &Shop) -> String {
    let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables
        where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')";
    let mut dump = String::new();
    for table in shop.texts(tables).await {
        let rows = format!("select t::text from {table} as t");
        let mut connection = shop.db.acquire().await.unwrap();
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *connection).await.unwrap();
        dump.extend(rows.into_iter().map(|row| format!("{table}: {}\n", row.to_lowercase())));
    }
    dump
}

fn erased(user_id: UserId, seq: i64) -> Envelope {
    envelope(&UserEvent::Erased(Erasure { user_id }), seq)
}

fn asked(user_id: UserId) -> EmailChangeRequest {
    EmailChangeRequest {
        user_id,
        email: address("Ada"),
        new_email: address("Countess"),
        change_id: EmailChangeId::new(fresh()),
        expires_at: datetime!(2030-01-01 00:00 UTC),
    }
}

/// The life of an account before its erasure, with an order.
fn history(ada: UserId) -> Vec<Envelope> {
    let users = [
        UserEvent::Registered(account(ada, "Ada", Preferences::default())),
        UserEvent::Login(Login {
            user_id: ada,
            email: address("Ada"),
            session_id: SessionId::new(fresh()),
            login_method: "password".into(),
        }),
        UserEvent::EmailChangeRequested(asked(ada)),
        UserEvent::EmailChanged(EmailChange {
            user_id: ada,
            previous_email: address("Ada"),
            email: address("Countess"),
        }),
        UserEvent::Updated(account(ada, "Countess", Preferences::default())),
    ];
    let users = users.iter().zip(1..).map(|(event, seq)| envelope(event, seq));
    users.chain([envelope(&placed(ada), 1)]).collect()
}

#[tokio::test]
async fn a_change_of_the_address_is_confirmed_at_the_new_one_and_noticed_at_the_present_one() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let request = asked(ada);
    let event = envelope(&UserEvent::EmailChangeRequested(request.clone()), 2);
    for _ in 0..3 {
        shop.deliver_all(vec![event.clone()]).await;
    }
    shop.send().await;
    assert_eq!(shop.subjects(&address("Ada")), ["Welcome", "A change of your e-mail address was requested"]);
    assert_eq!(shop.subjects(&address("Countess")), ["Confirm your e-mail address"]);
    let [mail] = <[_; 1]>::try_from(shop.mails_to(&address("Countess"))).unwrap();
    let text = mail.part("text/plain");
    let token = text.split("token=").nth(1).unwrap().split_whitespace().next().unwrap();
    let known = verify_derived_token(&Secret::new(SECRET), "email-change", token);
    assert_eq!(known, Some(request.change_id.uuid()));
    // A name would carry a text of one person's choice to another one.
    assert!(text.contains("Hello,") && !mail.part("text/html").contains("Ada"), "{}", mail.raw);
    assert_eq!(mail.header("to"), address("Countess"));
    let notice = shop.mails_to(&address("Ada")).remove(1);
    assert!(notice.part("text/plain").contains(&address("Countess")), "{}", notice.raw);
    assert!(!notice.part("text/html").contains("token="), "the link goes to the new address alone");
    assert!(!dump(&shop).await.contains(&token.to_lowercase()), "no token is stored");

    let change = EmailChange { user_id: ada, previous_email: address("Ada"), email: address("Countess") };
    shop.deliver_all(vec![envelope(&UserEvent::EmailChanged(change), 3)]).await;
    shop.send().await;
    assert_eq!(shop.subjects(&address("Ada"))[2], "Your e-mail address was changed");
    shop.deliver(&placed(ada)).await;
    shop.send().await;
    assert_eq!(shop.subjects(&address("Countess")).len(), 2, "the mails go there from now on");
}

#[tokio::test]
async fn an_erased_user_leaves_nothing_personal_and_gets_no_mail_any_more() {
    let shop = Shop::open().await;
    let (ada, ben) = (user(), shop.register("Ben").await);
    shop.deliver_all(history(ada)).await;
    shop.deliver(&recommended(ada)).await;
    shop.smtp.behave(Behaviour::RejectRecipients);
    for _ in 0..3 {
        shop.skip_waits().await;
        shop.send().await;
    }
    assert!(shop.number("select count(*) from dead_letter_entry").await > 0, "mails were given up");
    shop.smtp.behave(Behaviour::Accept);
    shop.deliver(&placed(ada)).await;
    let before = dump(&shop).await;
    for personal in ["ada@example.com", "countess", "desk lamp"] {
        assert!(before.contains(personal), "{personal} is not stored: the test shows nothing");
    }
    let sent = shop.smtp.mails().len();
    for _ in 0..3 {
        shop.deliver_all(vec![erased(ada, 6)]).await;
    }
    let after = dump(&shop).await;
    for personal in ["ada@example.com", "countess", "desk lamp"] {
        assert!(!after.contains(personal), "{personal} is left");
    }
    for table in ["notification where subject <> 'Welcome'", "mail_queue", "dead_letter_entry"] {
        assert_eq!(shop.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    // The order goes on without mails.
    shop.deliver(&OrderEvent::Shipped(order(ada))).await;
    shop.deliver(&recommended(ada)).await;
    shop.send().await;
    assert_eq!(shop.smtp.mails().len(), sent);
    assert_eq!(shop.list(ada, "").await["items"], json!([]));
    let body = json!({ "userId": ada, "type": "EMAIL", "content": "text" });
    let unknown = shop.public.post("/api/v1/admin/notifications", body).with(&shop.admin).await.expect(422);
    assert_eq!(unknown.body["code"], "UNKNOWN_USER");
    shop.deliver(&placed(ben)).await;
    shop.send().await;
    assert_eq!(shop.subjects("ben@example.com").len(), 2, "other users are as before");
}

#[tokio::test]
async fn an_erasure_is_the_same_in_any_order_of_the_events_and_after_a_replay() {
    let ada = user();
    let mut events = history(ada);
    events.push(erased(ada, 6));
    let backwards: Vec<Envelope> = events.iter().rev().cloned().collect();
    let replayed: Vec<Envelope> = events.iter().chain(&events).cloned().collect();
    let mut middle = events.clone();
    middle.rotate_left(3);
    for (what, deliveries) in
        [("in order", events), ("backwards", backwards), ("replayed", replayed), ("mixed", middle)]
    {
        let (together, apart) = (Shop::open().await, Shop::open().await);
        together.deliver_all(deliveries.clone()).await;
        for event in deliveries {
            apart.deliver_all(vec![event]).await;
        }
        for shop in [together, apart] {
            assert_eq!(shop.number("select count(*) from notification").await, 0, "{what}");
            assert_eq!(shop.number("select count(*) from mail_queue").await, 0, "{what}");
            let left = shop.texts("select coalesce(email, name, '-') from recipient").await;
            assert_eq!(left, ["-"], "{what}");
        }
    }
}

/// A restore of the user service's database brings the account back, under the next recovery epoch.
#[tokio::test]
async fn a_user_of_a_later_recovery_epoch_is_no_longer_erased() {
    let shop = Shop::open().await;
    let ada = user();
    shop.deliver_all(history(ada)).await;
    shop.deliver_all(vec![erased(ada, 6)]).await;
    let updated = UserEvent::Updated(account(ada, "Ada", Preferences::default()));
    shop.deliver_all(vec![Envelope { epoch: 1, ..envelope(&updated, 4) }]).await;
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com"), ["Your account details were changed"]);
    // The erasure of the lost timeline is older than that.
    shop.deliver_all(vec![erased(ada, 6)]).await;
    assert_eq!(shop.number("select count(*) from recipient where email is not null").await, 1);
    assert_eq!(shop.number("select count(*) from notification").await, 1);
}
