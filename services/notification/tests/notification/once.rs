//! Each event is one mail: under redelivery, across recovery epochs, and when a process ends in the middle.

use agora_events::{
    Envelope,
    user::{Preferences, UserEvent},
};
use agora_notification::domain::{Bucket, Priority, RateLimits};
use agora_testkit::Behaviour;

use crate::shop::{GENEROUS, Options, Shop, account, address, envelope, placed, recommended, until, user};

#[tokio::test]
async fn no1_an_event_that_arrives_three_times_is_one_mail() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let event = envelope(&placed(ada), 1);
    for _ in 0..3 {
        shop.deliver_all(vec![event.clone()]).await;
        shop.send().await;
    }
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome", "We received order A-1000001"]);
}

/// At least once: the mail that was taken is not known to be taken, and its repetition is recognised by its Message-ID.
#[tokio::test(flavor = "multi_thread")]
async fn no8_a_mail_whose_commit_was_lost_is_repeated_under_the_same_message_id() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    shop.deliver(&placed(ada)).await;
    let mut blocker = shop.db.begin().await.unwrap();
    sqlx::query("select id from notification for update").execute(&mut *blocker).await.unwrap();
    let crash = async {
        until("the server has taken the mail", async || shop.mails_to("ada@example.com").len() == 2).await;
        until("the session that would commit ends", async || {
            let end = "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity \
                where datname = current_database() and wait_event_type = 'Lock'";
            shop.number(end).await == 1
        })
        .await;
    };
    let (sent, ()) = tokio::join!(shop.service.send_due(Priority::Critical), crash);
    assert!(sent.is_err(), "{sent:?}");
    blocker.rollback().await.unwrap();
    let waiting = "select count(*) from mail_queue as q join notification as n on n.id = q.notification_id \
        where n.mail = 'pending' and q.attempts = 1 and q.due_at > now()";
    assert_eq!(shop.number(waiting).await, 1);
    // The lease ends.
    shop.skip_waits().await;
    shop.send().await;
    let mails = shop.mails_to("ada@example.com");
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[1].header("message-id"), mails[2].header("message-id"));
    assert_eq!(shop.number("select count(*) from notification where mail = 'sent'").await, 2);
    assert_eq!(shop.service.waiting_mails().await.unwrap(), 0);
}

#[tokio::test]
async fn no5_a_mail_that_is_repeated_takes_no_second_token() {
    let once = Bucket { burst: 1.0, per_second: 0.001 };
    let limits = RateLimits { recipient: once, ..GENEROUS };
    let shop = Shop::open_with(Options { limits, ..Options::default() }).await;
    let ada = shop.register("Ada").await;
    shop.smtp.behave(Behaviour::TryLater);
    shop.deliver(&recommended(ada)).await;
    for _ in 0..3 {
        shop.skip_waits().await;
        shop.send().await;
    }
    assert_eq!(shop.number("select count(*) from mail_queue where attempts = 3").await, 1);
    shop.smtp.behave(Behaviour::Accept);
    shop.skip_waits().await;
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome", "Recommended for you"]);
}

/// A restored user service numbers its events from a lower number on, in a later epoch.
#[tokio::test]
async fn no7_an_event_of_an_older_epoch_never_replaces_a_newer_address_or_preference() {
    let (shop, ada) = (Shop::open().await, user());
    let quiet = Preferences { promotions: false, order_updates: false, recommendations: false };
    let updated = |name: &str, preferences, epoch, seq| {
        let event = UserEvent::Updated(account(ada, name, preferences));
        Envelope { epoch, ..envelope(&event, seq) }
    };
    let events = [
        updated("Ada", Preferences::default(), 0, 8),
        updated("Countess", quiet, 1, 3),
        updated("Lost", Preferences::default(), 0, 9),
    ];
    let stored = "select email || ' ' || name || ' ' || promotions || ' ' || order_updates || ' ' || recommendations \
        from recipient";
    let expected = format!("{} Countess false false false", address("Countess"));
    shop.deliver_all(events.to_vec()).await;
    assert_eq!(shop.texts(stored).await, [expected.as_str()], "in a batch");
    shop.execute("delete from recipient").await;
    for event in events {
        shop.deliver_all(vec![event]).await;
    }
    assert_eq!(shop.texts(stored).await, [expected.as_str()], "one by one");
}
