//! Mails: who gets which, once, and what happens while the mail server does not take them.

use agora_chassis::telemetry::{metrics_handle, series_value};
use agora_events::{
    cart::{Cart, CartEvent},
    cart_line::{CartLineEvent, RemovedProduct, RepricedLine},
    order::OrderEvent,
    payment::{Payment, PaymentEvent, Refund},
    user::{EmailChange, Login, PasswordReset, Preferences, Revocation, UserEvent},
};
use agora_notification::{
    clients::smtp::Encryption,
    domain::{Bucket, MailFailure, Priority, RateLimits, Rendered},
    ports::OutgoingMail,
};
use agora_testkit::Behaviour;
use agora_vocab::{
    CartId, CommandId, NotificationId, OrderId, PasswordResetId, PaymentId, ProductId, RefundId, SessionId, UserId,
};
use agora_web::verify_derived_token;
use serde_json::json;
use time::macros::datetime;
use uuid::Uuid;

use crate::shop::{
    GENEROUS, Options, SECRET, Shop, account, address, envelope, eur, fresh, mailer, order, placed, recommended, user,
};

/// Defect of B (docs/DEFECTS.md): every mail went to one address in the source text.
#[tokio::test]
async fn no1_mail_reaches_the_recipients_own_address() {
    let shop = Shop::open().await;
    let (ada, ben) = (shop.register("Ada").await, shop.register("Ben").await);
    shop.deliver(&placed(ben)).await;
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome"]);
    assert_eq!(shop.subjects("ben@example.com"), ["Welcome", "We received order A-1000001"]);
    let mail = &shop.mails_to("ben@example.com")[1];
    assert_eq!((mail.from.as_str(), mail.header("from").as_str()), ("shop@shop.example", "Shop <shop@shop.example>"));
    assert_eq!(mail.header("to"), "Ben <ben@example.com>");
    assert!(mail.header("message-id").ends_with("@shop.example>"));
    for part in [mail.part("text/plain"), mail.part("text/html")] {
        assert!(part.contains("Hello Ben,") && part.contains('2') && part.contains("39.98 EUR"), "{part}");
    }
    // The address of now, not of the event.
    shop.deliver_all(vec![
        envelope(&placed(ada), 1),
        envelope(&UserEvent::Updated(account(ada, "Countess", Preferences::default())), 2),
    ])
    .await;
    shop.send().await;
    assert_eq!(shop.subjects("countess@example.com").len(), 2);
    assert_eq!(shop.subjects("ada@example.com").len(), 1);
}

#[tokio::test]
async fn no3_standard_mails_that_wait_delay_no_critical_one() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    for _ in 0..20 {
        shop.deliver(&recommended(ada)).await;
    }
    shop.deliver(&placed(ada)).await;
    assert_eq!(shop.service.send_due(Priority::Critical).await.unwrap(), 1);
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome", "We received order A-1000001"]);
    assert_eq!(shop.service.send_due(Priority::Standard).await.unwrap(), 4);
    let groups = agora_notification::consumer::GROUPS;
    assert!(groups[0].1.iter().all(|topic| !groups[1].1.contains(topic)));
}

/// Defects of B (docs/DEFECTS.md): the mail of a login said that an account was created.
#[tokio::test]
async fn no4_orders_payments_and_security_are_reported_by_critical_mails() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let email = address("Ada");
    let reset_id = PasswordResetId::new(fresh());
    let security = [
        UserEvent::Login(Login {
            user_id: ada,
            email: email.clone(),
            session_id: SessionId::new(fresh()),
            login_method: "password".into(),
        }),
        UserEvent::PasswordResetRequested(PasswordReset {
            user_id: ada,
            email: email.clone(),
            reset_id,
            expires_at: datetime!(2030-01-01 00:00 UTC),
        }),
        UserEvent::Revoked(Revocation { user_id: ada, session_id: None, reason: "refresh-token-reused".into() }),
        UserEvent::EmailChanged(EmailChange {
            user_id: ada,
            previous_email: email.clone(),
            email: address("Countess"),
        }),
    ];
    for (event, seq) in security.iter().zip(2..) {
        shop.deliver_all(vec![envelope(event, seq)]).await;
        shop.send().await;
    }
    let expected = [
        "Welcome",
        "New sign-in to your account",
        "Set a new password",
        "You were signed out",
        "Your e-mail address was changed",
    ];
    assert_eq!(shop.subjects(&email), expected);
    let mail = shop.mails_to(&email)[2].part("text/plain");
    let token = mail.split("token=").nth(1).unwrap().split_whitespace().next().unwrap();
    let known = verify_derived_token(&agora_vocab::Secret::new(SECRET), "password-reset", token);
    assert_eq!(known, Some(reset_id.uuid()));

    let notified = mails_about_an_order(&shop, ada, &address("Countess")).await;
    let expected = [
        "We received order A-1000001",
        "Order A-1000001 is paid",
        "Order A-1000001 is being prepared",
        "Order A-1000001 is on its way",
        "Order A-1000001 is complete",
        "Order A-1000001 was cancelled",
        "Order A-1000001 has expired",
        "The payment of your order was declined",
        "The payment of your order failed",
        "A refund for your order",
    ];
    assert_eq!(notified, expected);
    assert_eq!(shop.number("select count(*) from notification where priority <> 'critical'").await, 0);
}

/// Every event of an order and of its payments; returns the subjects of the mails to an address.
async fn mails_about_an_order(shop: &Shop, user: UserId, address: &str) -> Vec<String> {
    let made = order(user);
    let steps: [fn(agora_events::order::Order) -> OrderEvent; 10] = [
        OrderEvent::Created,
        OrderEvent::Placed,
        OrderEvent::Paid,
        OrderEvent::Processing,
        OrderEvent::Shipped,
        OrderEvent::Completed,
        OrderEvent::Cancelled,
        OrderEvent::Rejected,
        OrderEvent::Expired,
        OrderEvent::Refunded,
    ];
    for step in steps {
        shop.deliver(&step(made.clone())).await;
        shop.send().await;
    }
    for event in payments(user) {
        shop.deliver(&event).await;
        shop.send().await;
    }
    shop.subjects(address)
}

fn payments(user_id: UserId) -> [PaymentEvent; 6] {
    let (payment_id, order_id) = (PaymentId::new(fresh()), OrderId::new(fresh()));
    let payment = Payment { payment_id, order_id, user_id, amount: eur(3998), result_id: CommandId::new(fresh()) };
    [
        PaymentEvent::Authorised(payment.clone()),
        PaymentEvent::Captured(payment.clone()),
        PaymentEvent::Declined(payment.clone()),
        PaymentEvent::Failed(payment.clone()),
        PaymentEvent::Voided(payment),
        PaymentEvent::Refunded(Refund {
            refund_id: RefundId::new(fresh()),
            payment_id,
            order_id,
            user_id,
            amount: eur(1000),
            refunded: eur(1000),
            captured: eur(3998),
            result_id: CommandId::new(fresh()),
        }),
    ]
}

#[tokio::test]
async fn no5_standard_mails_are_limited_per_recipient_and_overall_and_critical_ones_are_not() {
    let slow = |burst| Bucket { burst, per_second: 0.001 };
    let per_recipient = RateLimits { recipient: slow(2.0), ..GENEROUS };
    let shop = Shop::open_with(Options { limits: per_recipient, ..Options::default() }).await;
    let (ada, ben) = (shop.register("Ada").await, shop.register("Ben").await);
    for _ in 0..5 {
        shop.deliver(&recommended(ada)).await;
        shop.deliver(&placed(ada)).await;
    }
    shop.deliver(&recommended(ben)).await;
    shop.send().await;
    let count =
        |name: &str, subject: &str| shop.subjects(&address(name)).iter().filter(|found| *found == subject).count();
    assert_eq!(count("Ada", "Recommended for you"), 2);
    assert_eq!(count("Ada", "We received order A-1000001"), 5);
    assert_eq!(count("Ben", "Recommended for you"), 1);
    // No attempt is used up by waiting for a token.
    assert_eq!(
        shop.number("select count(*) from mail_queue where attempts = 0 and due_at > now() + interval '10 minutes'")
            .await,
        3
    );

    let overall = RateLimits { overall: slow(3.0), ..GENEROUS };
    let shop = Shop::open_with(Options { limits: overall, ..Options::default() }).await;
    for name in ["Ada", "Ben", "Cleo", "Dora", "Emil"] {
        let user = shop.register(name).await;
        shop.deliver(&recommended(user)).await;
    }
    shop.send().await;
    let sent = shop.smtp.mails().iter().filter(|mail| mail.header("subject") == "Recommended for you").count();
    assert_eq!(sent, 3);
    // A token of a user whose mail found none of all users was not taken.
    assert_eq!(
        shop.number("select count(*) from mail_bucket where bucket_id <> '00000000-0000-0000-0000-000000000000'").await,
        3
    );
}

/// Defect of B (docs/DEFECTS.md): order mails ignored the preference `orderUpdates`.
#[tokio::test]
async fn no7_the_three_preferences_are_respected_and_security_and_order_mails_are_always_sent() {
    let shop = Shop::open().await;
    let none = Preferences { promotions: false, order_updates: false, recommendations: false };
    let ada = shop.register_with("Ada", none).await;
    let made = order(ada);
    for event in [OrderEvent::Placed(made.clone()), OrderEvent::Shipped(made.clone()), OrderEvent::Cancelled(made)] {
        shop.deliver(&event).await;
    }
    shop.deliver(&recommended(ada)).await;
    shop.send().await;
    let mut subjects = shop.subjects("ada@example.com");
    subjects.sort_unstable();
    assert_eq!(subjects, ["Order A-1000001 was cancelled", "We received order A-1000001", "Welcome"]);
    let states = shop.texts("select kind || ' ' || mail from notification where mail <> 'sent' order by kind").await;
    assert_eq!(states, ["ORDER_UPDATE opted_out", "RECOMMENDATION opted_out"]);
    // A preference that changes while the mail waits counts.
    shop.deliver(&recommended(ada)).await;
    shop.deliver_all(vec![envelope(&UserEvent::Updated(account(ada, "Ada", Preferences::default())), 2)]).await;
    shop.send().await;
    assert!(shop.subjects("ada@example.com").contains(&"Recommended for you".to_owned()));
}

#[tokio::test]
async fn ct9_a_product_that_left_a_cart_is_reported_once_and_by_mail_to_those_who_want_order_updates() {
    let shop = Shop::open().await;
    let quiet = Preferences { order_updates: false, ..Preferences::default() };
    let (ada, ben) = (shop.register("Ada").await, shop.register_with("Ben", quiet).await);
    let removed = |user_id: UserId, version: i64| {
        CartLineEvent::Removed(RemovedProduct {
            cart_id: CartId::new(user_id.uuid()),
            user_id,
            version,
            product_id: ProductId::new(Uuid::from_u128(7)),
            name: "Desk lamp".into(),
            reason: "deleted".into(),
        })
    };
    for user in [ada, ben] {
        shop.deliver(&removed(user, 2)).await;
        // The product came back, and left again: another event, the same notification.
        shop.deliver(&removed(user, 5)).await;
    }
    let cart = Cart { cart_id: CartId::new(ada.uuid()), user_id: ada, version: 6, items: Vec::new() };
    shop.deliver(&CartEvent::Updated(cart)).await;
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome", "A product left your cart"]);
    assert_eq!(shop.subjects("ben@example.com"), ["Welcome"]);
    for user in [ada, ben] {
        let listed = shop.list(user, "?type=ORDER_UPDATE").await;
        assert_eq!(listed["total"], 1, "{listed}");
        let text = "Desk lamp is no longer sold and was removed from your cart.";
        assert!(listed["items"][0].to_string().contains(text), "{listed}");
    }
}

#[tokio::test]
async fn ct8_a_changed_price_is_mailed_once_for_each_change_to_those_who_want_order_updates() {
    let shop = Shop::open().await;
    let quiet = Preferences { order_updates: false, ..Preferences::default() };
    let (ada, ben) = (shop.register("Ada").await, shop.register_with("Ben", quiet).await);
    let repriced = |user_id: UserId, version: i64, previous: i64, price: i64| {
        CartLineEvent::Repriced(RepricedLine {
            cart_id: CartId::new(user_id.uuid()),
            user_id,
            version,
            product_id: ProductId::new(Uuid::from_u128(7)),
            variant: "black".into(),
            name: "Desk <b>lamp</b>".into(),
            previous_price: eur(previous),
            price: eur(price),
        })
    };
    for user in [ada, ben] {
        let events = vec![envelope(&repriced(user, 2, 1999, 2199), 2), envelope(&repriced(user, 3, 2199, 1999), 3)];
        shop.deliver_all(events.clone()).await;
        // The broker delivers both once more.
        shop.deliver_all(events).await;
    }
    shop.send().await;
    let subject = "A price in your cart changed";
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome", subject, subject]);
    assert_eq!(shop.subjects("ben@example.com"), ["Welcome"]);
    let mut html: Vec<_> = shop.mails_to("ada@example.com")[1..].iter().map(|mail| mail.part("text/html")).collect();
    html.sort_unstable_by_key(|part| !part.contains("now costs 21.99 EUR"));
    assert!(html[0].contains("now costs 21.99 EUR. It cost 19.99 EUR before."), "{}", html[0]);
    assert!(html[1].contains("now costs 19.99 EUR. It cost 21.99 EUR before."), "{}", html[1]);
    assert!(html.iter().all(|part| !part.contains("<b>") && part.contains("lamp")), "{html:?}");
    for user in [ada, ben] {
        let listed = shop.list(user, "?type=ORDER_UPDATE").await;
        assert_eq!(listed["total"], 2, "{listed}");
    }
    let states = shop.texts("select mail from notification where kind = 'ORDER_UPDATE' order by mail").await;
    assert_eq!(states, ["opted_out", "opted_out", "sent", "sent"]);
}

/// Defect of B (docs/DEFECTS.md): a failed mail was never sent again.
#[tokio::test]
async fn no8_a_mail_that_the_server_does_not_take_waits_and_is_sent_once_the_server_does() {
    for behaviour in [Behaviour::Refuse, Behaviour::TryLater, Behaviour::RejectRecipients, Behaviour::TakeHalf] {
        let shop = Shop::open().await;
        let ada = shop.register("Ada").await;
        shop.smtp.behave(behaviour);
        shop.deliver(&placed(ada)).await;
        assert_eq!(shop.service.send_due(Priority::Critical).await.unwrap(), 1, "{behaviour:?}");
        assert_eq!(shop.smtp.mails().len(), 1, "{behaviour:?}");
        let waiting = "select count(*) from mail_queue where attempts = 1 and due_at > now() - interval '1 second'";
        assert_eq!(shop.number(waiting).await, 1, "{behaviour:?}");
        let error = shop.texts("select mail_error from notification where mail = 'pending'").await;
        assert!(error[0].contains("mail server"), "{behaviour:?}: {error:?}");
        shop.smtp.behave(Behaviour::Accept);
        shop.skip_waits().await;
        shop.send().await;
        assert_eq!(shop.subjects("ada@example.com"), ["Welcome", "We received order A-1000001"], "{behaviour:?}");
        let ended =
            "select count(*) from notification where mail = 'sent' and mail_error is null and sent_at is not null";
        assert_eq!(shop.number(ended).await, 2, "{behaviour:?}");
        assert_eq!(shop.service.waiting_mails().await.unwrap(), 0, "{behaviour:?}");
    }
}

#[tokio::test]
async fn no8_a_server_that_says_nothing_holds_up_one_attempt_and_no_event() {
    let (silent, ada) = (Shop::open().await, user());
    silent.smtp.behave(Behaviour::Hang);
    silent.deliver(&UserEvent::Registered(account(ada, "Ada", Preferences::default()))).await;
    let sending = silent.service.send_due(Priority::Critical);
    let deliveries = async {
        for _ in 0..20 {
            silent.deliver(&placed(ada)).await;
        }
    };
    let (sent, ()) = tokio::join!(sending, deliveries);
    // Which events came before the lease is left to the scheduler.
    let sent = i64::try_from(sent.unwrap()).unwrap();
    assert!(sent >= 1 && silent.smtp.mails().is_empty());
    assert_eq!(silent.number("select count(*) from mail_queue where attempts = 1").await, sent);
    assert_eq!(silent.number("select count(*) from mail_queue where attempts = 0").await, 21 - sent);
}

/// The one mail that an event may cause twice is recognised by its Message-ID.
#[tokio::test]
async fn no8_a_mail_whose_answer_was_lost_is_repeated_under_the_same_message_id() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    shop.smtp.behave(Behaviour::LoseAnswer);
    shop.deliver(&placed(ada)).await;
    shop.service.send_due(Priority::Critical).await.unwrap();
    shop.smtp.behave(Behaviour::Accept);
    shop.skip_waits().await;
    shop.send().await;
    let mails = shop.mails_to("ada@example.com");
    assert_eq!(mails.len(), 3);
    assert_eq!(mails[1].header("message-id"), mails[2].header("message-id"));
    assert_ne!(mails[0].header("message-id"), mails[1].header("message-id"));
}

/// Defect of B (docs/DEFECTS.md): failed mails were not in the dead letter queue.
#[tokio::test]
async fn no8_a_mail_is_given_up_after_its_bound_and_is_one_dead_letter() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    shop.smtp.behave(Behaviour::TryLater);
    shop.deliver(&placed(ada)).await;
    for _ in 0..25 {
        shop.skip_waits().await;
        shop.send().await;
    }
    assert_eq!(shop.service.waiting_mails().await.unwrap(), 0);
    let letters = shop.public.get("/api/v1/admin/dead-letters").with(&shop.admin).await.expect(200).body;
    assert_eq!(letters["items"].as_array().unwrap().len(), 1);
    let letter = &letters["items"][0];
    assert_eq!((letter["kind"].as_str(), letter["state"].as_str()), (Some("mail"), Some("open")));
    assert!(letter["reason"].as_str().unwrap().contains("451"), "{letter}");
    let events =
        shop.texts("select data::text from outbox where topic = 'dead-letter-queue' and kind = 'mail.dead'").await;
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("\"attempts\":20") && !events[0].contains('@'), "{events:?}");

    // Refusals for good are few.
    shop.smtp.behave(Behaviour::RejectRecipients);
    shop.deliver(&placed(ada)).await;
    for _ in 0..3 {
        shop.skip_waits().await;
        shop.service.send_due(Priority::Critical).await.unwrap();
    }
    assert_eq!(shop.number("select count(*) from notification where mail = 'failed'").await, 2);
}

#[tokio::test]
async fn de10_mails_their_failures_and_their_duration_are_counted() {
    metrics_handle();
    let names = [
        "email_delivery_failures_total{priority=\"critical\",reason=\"not_now\"}",
        "email_total{priority=\"critical\",outcome=\"sent\"}",
        "notification_processing_duration_seconds_count{priority=\"critical\"}",
    ];
    let counts = || names.map(|name| series_value(name).unwrap_or_default());
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let before = counts();
    shop.smtp.behave(Behaviour::TryLater);
    shop.deliver(&placed(ada)).await;
    shop.send().await;
    let failed = counts();
    shop.smtp.behave(Behaviour::Accept);
    shop.skip_waits().await;
    shop.send().await;

    // Other tests of this process send mails too.
    let after = counts();
    assert!(failed[0] > before[0], "{before:?} to {failed:?}");
    assert!(after[1] > before[1] && after[2] >= before[2] + 2.0, "{before:?} to {after:?}");
}

/// Neither a password nor a mail goes in the clear to a server that has to encrypt.
#[tokio::test]
async fn no1_a_server_that_does_not_encrypt_gets_no_mail_where_encryption_is_required() {
    let shop = Shop::open().await;
    let mailer = mailer(&shop.smtp, Encryption::StartTls, &shop.process);
    let rendered = Rendered { subject: "Hello".into(), html: "<p>Hello</p>".into(), text: "Hello".into() };
    let mail = OutgoingMail { id: NotificationId::new(fresh()), to: address("Ada"), name: None, rendered };
    let result = mailer.send(&mail).await;
    assert!(matches!(result, Err(MailFailure::NotNow(_))), "{result:?}");
    assert!(shop.smtp.connections() > 0 && shop.smtp.mails().is_empty());
}

/// Orders may arrive before their user: the topics are read apart.
#[tokio::test]
async fn no1_a_mail_waits_for_the_address_of_its_user() {
    let shop = Shop::open().await;
    let ada = user();
    shop.deliver(&placed(ada)).await;
    shop.send().await;
    assert!(shop.smtp.mails().is_empty());
    shop.deliver(&UserEvent::Registered(account(ada, "Ada", Preferences::default()))).await;
    shop.skip_waits().await;
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com").len(), 2);
}

#[tokio::test]
async fn a_shop_without_a_mail_server_lists_its_notifications_and_sends_none() {
    let shop = Shop::open_with(Options { mail: false, ..Options::default() }).await;
    let ada = shop.register("Ada").await;
    shop.deliver(&placed(ada)).await;
    shop.send().await;
    assert_eq!(shop.smtp.connections(), 0);
    let list = shop.list(ada, "").await;
    assert_eq!((list["total"].as_u64(), list["items"][0]["mail"].as_str()), (Some(2), Some("suppressed")));
    assert_eq!(shop.service.waiting_mails().await.unwrap(), 0);
}

/// A replay of last week's events must not mail.
#[tokio::test]
async fn an_event_that_comes_days_late_is_listed_and_not_mailed() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let fresh_event = envelope(&placed(ada), 1);
    let old =
        agora_events::Envelope { time: fresh_event.time - time::Duration::hours(49), ..envelope(&placed(ada), 1) };
    let late =
        agora_events::Envelope { time: fresh_event.time - time::Duration::hours(47), ..envelope(&placed(ada), 1) };
    shop.deliver_all(vec![old, late, fresh_event]).await;
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com").len(), 3);
    assert_eq!(shop.number("select count(*) from notification where mail = 'expired'").await, 1);
}

#[tokio::test]
async fn a_name_or_a_text_cannot_add_a_header_or_a_recipient() {
    let shop = Shop::open().await;
    let ada = user();
    let evil = "Ada\r\nBcc: eve@example.com";
    let account =
        agora_events::user::Account { name: Some(evil.into()), ..account(ada, "Ada", Preferences::default()) };
    shop.deliver(&UserEvent::Registered(account)).await;
    let body = json!({"userId": ada, "type": "EMAIL", "content": "hi\r\n.\r\nMAIL FROM:<x@y.z>", "subject": "ok"});
    shop.public.post("/api/v1/admin/notifications", body).with(&shop.admin).await.expect(201);
    shop.send().await;
    let mails = shop.smtp.mails();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert_eq!(
            (mail.to.as_slice(), mail.header("bcc").as_str()),
            (&["ada@example.com".to_owned()][..], ""),
            "{}",
            mail.raw
        );
    }
}
