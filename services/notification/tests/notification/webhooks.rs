//! Webhooks: who receives which event, once, and what happens while a receiver does not take it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use agora_chassis::trace;
use agora_events::{
    Envelope,
    order::OrderEvent,
    user::{PasswordReset, Preferences, UserEvent},
};
use agora_outbound::foreign::{AddressPolicy, AllowedPorts};
use agora_testkit::refused;
use agora_vocab::PasswordResetId;
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};

use crate::{
    receiver::{Behaviour, Receiver},
    shop::{ENCRYPTION_KEY, Options, Shop, account, envelope, fresh, order, placed, user},
};

const WEBHOOKS: &str = "/api/v1/admin/webhooks";
/// Deliveries that are sent in one go are far fewer.
const ROUNDS_MAX: usize = 200;

/// An endpoint that was created by the API.
pub struct Hook {
    pub id: String,
    pub secret: String,
}

impl Shop {
    pub async fn hook(&self, url: &str, types: &[&str]) -> Hook {
        let body = json!({"url": url, "eventTypes": types, "description": "ERP"});
        let created = self.public.post(WEBHOOKS, body).with(&self.admin).await.expect(201).body;
        let text = |name: &str| created[name].as_str().unwrap().to_owned();
        Hook { id: text("id"), secret: text("secret") }
    }

    /// An order that was paid.
    pub async fn pay(&self) {
        self.deliver(&OrderEvent::Paid(order(user()))).await;
    }

    /// Sends every delivery that is due.
    pub async fn send_webhooks(&self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "deliveries are due without end");
            if self.service.webhooks().send_due().await.unwrap() == 0 {
                break;
            }
        }
    }

    /// Makes every waiting delivery due now.
    pub async fn skip_webhook_waits(&self) {
        self.execute("update webhook_delivery set due_at = now() - interval '1 second' where state = 'waiting'").await;
    }

    pub async fn hook_state(&self, hook: &Hook) -> Value {
        self.public.get(&format!("{WEBHOOKS}/{}", hook.id)).with(&self.admin).await.expect(200).body
    }

    /// The log of an endpoint, newest first.
    pub async fn log(&self, hook: &Hook, query: &str) -> Vec<Value> {
        let path = format!("{WEBHOOKS}/{}/deliveries{query}", hook.id);
        let body = self.public.get(&path).with(&self.admin).await.expect(200).body;
        body["items"].as_array().unwrap().clone()
    }

    /// Seconds until the only waiting delivery is due.
    async fn wait_seconds(&self) -> i64 {
        self.number(
            "select round(extract(epoch from due_at - now()))::bigint from webhook_delivery where state = 'waiting'",
        )
        .await
    }
}

#[tokio::test]
async fn de14_the_trace_of_an_event_goes_on_in_its_mail_and_in_its_webhook() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    shop.hook(&receiver.url(), &["order.placed"]).await;
    let ada = shop.register("Ada").await;
    let placed = envelope(&placed(ada), 1);
    let traces = BTreeMap::from([(placed.id, TRACE.to_owned())]);
    trace::follow_all(traces, tracing::Span::none(), shop.deliver_all(vec![placed])).await;
    shop.send().await;
    shop.send_webhooks().await;
    let mail = shop.mails_to("ada@example.com")[1].header("traceparent");
    let webhook = receiver.received()[0].headers["traceparent"].clone();
    for sent in [mail, webhook] {
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent != TRACE, "{sent}");
    }
}

#[tokio::test]
async fn an_event_reaches_every_endpoint_of_its_type_once_signed_and_without_personal_data() {
    let shop = Shop::open().await;
    let (all, paid) = (Receiver::start().await, Receiver::start().await);
    let hook = shop.hook(&all.url(), &["*"]).await;
    shop.hook(&paid.url(), &["order.paid"]).await;
    let ada = shop.register("Ada").await;
    shop.deliver(&placed(ada)).await;
    shop.pay().await;
    let reset = PasswordReset {
        user_id: ada,
        email: "ada@example.com".into(),
        reset_id: PasswordResetId::new(fresh()),
        expires_at: datetime!(2030-01-01 00:00 UTC),
    };
    shop.deliver(&UserEvent::PasswordResetRequested(reset)).await;
    shop.send_webhooks().await;
    shop.send_webhooks().await;
    let types = |receiver: &Receiver| {
        let of = |received: &crate::receiver::Received| received.json()["type"].as_str().unwrap().to_owned();
        receiver.received().iter().map(of).collect::<BTreeSet<_>>()
    };
    assert_eq!(types(&all), BTreeSet::from(["order.paid", "order.placed", "user.registered"].map(str::to_owned)));
    assert_eq!((all.received().len(), paid.received().len()), (3, 1));
    for received in all.received() {
        assert_eq!(received.signatures(&hook.secret), (1, true));
        assert_eq!(received.headers["content-type"], "application/json");
        assert!(!received.body.contains('@') && !received.body.contains("Ada"), "{}", received.body);
        assert!(received.json()["timestamp"].is_string() && received.json()["data"]["userId"].is_string());
    }
    assert_eq!(paid.received()[0].json()["data"]["total"], json!({"amount": 3998, "currency": "EUR"}));
    assert_ne!(paid.ids()[0], all.ids()[0]);
}

#[tokio::test]
async fn a_delivery_that_failed_is_repeated_by_the_schedule_under_the_same_id() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    receiver.behave([500, 404, 301].map(Behaviour::Answer));
    shop.pay().await;
    for (wait, code) in [(5..=6, 500), (300..=360, 404), (1_800..=2_160, 301)] {
        shop.send_webhooks().await;
        assert!(wait.contains(&shop.wait_seconds().await), "{code}");
        let log = shop.log(&hook, "?status=waiting").await;
        assert_eq!((&log[0]["statusCode"], &log[0]["answer"]), (&json!(code), &json!(format!("answered {code}"))));
        assert!(log[0]["error"].as_str().unwrap().contains(&code.to_string()) && log[0]["nextAttemptAt"].is_string());
        shop.skip_webhook_waits().await;
    }
    assert!(shop.hook_state(&hook).await["failingSince"].is_string());
    shop.send_webhooks().await;
    let ids = receiver.ids();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (4, 1));
    let log = shop.log(&hook, "?status=delivered").await;
    assert_eq!(
        (&log[0]["attempts"], &log[0]["error"], &log[0]["messageId"]),
        (&json!(4), &Value::Null, &json!(ids[0]))
    );
    assert_eq!(shop.hook_state(&hook).await["failingSince"], Value::Null);
}

#[tokio::test]
async fn a_receiver_that_is_slow_or_away_or_loses_its_answer_is_tried_again_and_delays_no_other() {
    let shop = Shop::open().await;
    let (slow, losing, healthy) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    slow.behave([Behaviour::Slow(Duration::from_secs(30))]);
    losing.behave([Behaviour::Lose]);
    let away = format!("http://127.0.0.1:{}/", agora_testkit::free_port());
    let mut hooks = Vec::new();
    for url in [slow.url(), losing.url(), away] {
        hooks.push(shop.hook(&url, &["order.paid"]).await);
    }
    shop.hook(&healthy.url(), &["order.paid"]).await;
    shop.pay().await;
    shop.send_webhooks().await;
    assert_eq!(healthy.received().len(), 1);
    for hook in &hooks {
        let log = shop.log(hook, "").await;
        assert_eq!((&log[0]["status"], &log[0]["statusCode"]), (&json!("waiting"), &Value::Null));
        assert!(log[0]["error"].is_string(), "{log:?}");
    }
    shop.skip_webhook_waits().await;
    shop.send_webhooks().await;
    // The lost answer was a success: the receiver recognises the repetition by its id.
    for receiver in [&slow, &losing] {
        let ids = receiver.ids();
        assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    }
}

#[tokio::test]
async fn a_receiver_may_ask_for_a_longer_wait_of_at_most_a_day() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    shop.hook(&receiver.url(), &["order.paid"]).await;
    shop.pay().await;
    for (asked, expected) in [("3600", 3_590..=3_600), ("9999999", 86_390..=86_400), ("0", 1_800..=2_160)] {
        receiver.behave([Behaviour::AnswerWith(503, "Retry-After", asked.to_owned())]);
        shop.send_webhooks().await;
        let found = shop.wait_seconds().await;
        assert!(expected.contains(&found), "{asked}: {found}");
        shop.skip_webhook_waits().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_disabled_until_an_admin_enables_it() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    receiver.behave([Behaviour::Answer(410)]);
    shop.pay().await;
    shop.send_webhooks().await;
    let state = shop.hook_state(&hook).await;
    assert_eq!((&state["active"], &state["disabled"]["reason"]), (&json!(false), &json!("gone")));
    assert_eq!(shop.log(&hook, "?status=failed").await.len(), 1);
    shop.pay().await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 1);
    let path = format!("{WEBHOOKS}/{}", hook.id);
    let enabled = shop.public.patch(&path, json!({"active": true})).with(&shop.admin).await.expect(200).body;
    assert_eq!((&enabled["active"], &enabled["disabled"]), (&json!(true), &Value::Null));
    shop.pay().await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 2, "what happened in between is not sent later");
}

#[tokio::test]
async fn an_endpoint_at_which_nothing_succeeds_for_120_hours_is_disabled_and_what_waits_is_sent_later() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    receiver.behave([500; 3].map(Behaviour::Answer));
    shop.pay().await;
    for (hours, active) in [(0, true), (119, true), (120, false)] {
        let age = format!("now() - interval '{hours} hours'");
        shop.execute(&format!("update webhook_endpoint set failing_since = {age} where failing_since is not null"))
            .await;
        shop.skip_webhook_waits().await;
        shop.send_webhooks().await;
        assert_eq!(shop.hook_state(&hook).await["active"], active, "{hours}");
    }
    assert_eq!(shop.hook_state(&hook).await["disabled"]["reason"], "failing");
    shop.skip_webhook_waits().await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 3);
    let path = format!("{WEBHOOKS}/{}", hook.id);
    shop.public.patch(&path, json!({"active": true})).with(&shop.admin).await.expect(200);
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 4);
    assert_eq!(shop.log(&hook, "?status=delivered").await.len(), 1);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_a_failure_and_not_followed() {
    let (shop, receiver, private) = (Shop::open().await, Receiver::start().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    receiver.behave([302, 307].map(|status| Behaviour::AnswerWith(status, "Location", private.url())));
    shop.pay().await;
    for _ in 0..2 {
        shop.send_webhooks().await;
        shop.skip_webhook_waits().await;
    }
    assert_eq!((receiver.received().len(), private.received().len()), (2, 0));
    assert_eq!(shop.log(&hook, "").await[0]["statusCode"], 307);
}

#[tokio::test]
async fn a_private_address_is_refused_at_creation_and_gets_no_connection_by_its_name() {
    let webhooks = AddressPolicy { plain_http: true, private_addresses: false, ports: AllowedPorts::Any };
    let shop = Shop::open_with(Options { webhooks, ..Options::default() }).await;
    let receiver = Receiver::start().await;
    let port = receiver.url().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "[::1]", "169.254.169.254", "2130706433", "0x7f.1", "user@example.com"] {
        let body = json!({"url": format!("http://{host}:{port}"), "eventTypes": ["*"]});
        refused(&shop.public.post(WEBHOOKS, body).with(&shop.admin).await, 422, "VALIDATION_FAILED", &["url"]);
    }
    let hook = shop.hook(&format!("http://localhost:{port}"), &["order.paid"]).await;
    shop.pay().await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 0);
    let error = shop.log(&hook, "").await[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("no public address"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_send_each_delivery_exactly_once() {
    const ORDERS: usize = 40;
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    shop.hook(&receiver.url(), &["order.paid"]).await;
    for _ in 0..ORDERS {
        shop.pay().await;
    }
    let (one, other) = (shop.service.webhooks().clone(), shop.replica(ENCRYPTION_KEY, None));
    let work = async |webhooks: agora_notification::service::WebhookService| {
        // A replica that finds nothing may have met the limit of the endpoint.
        for _ in 0..ROUNDS_MAX {
            webhooks.send_due().await.unwrap();
            if webhooks.waiting().await.unwrap() == 0 {
                break;
            }
        }
    };
    tokio::join!(work(one), work(other));
    let ids = receiver.ids();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (ORDERS, ORDERS));
    assert_eq!(
        shop.number("select count(*) from webhook_delivery where state = 'delivered' and attempts = 1").await,
        40
    );
}

/// At least once: a process that is too slow, or ends after the answer, leads to a repetition under the same id.
#[tokio::test]
async fn a_delivery_whose_lease_ended_is_sent_again_under_the_same_id_and_its_late_end_changes_nothing() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    shop.pay().await;
    let slow = shop.replica(ENCRYPTION_KEY, None);
    let leased = slow.lease(16).await.unwrap();
    assert_eq!((leased.len(), shop.service.webhooks().send_due().await.unwrap()), (1, 0));
    shop.execute("update webhook_delivery set due_at = now(), leased_until = now()").await;
    shop.send_webhooks().await;
    receiver.behave([Behaviour::Answer(500)]);
    slow.deliver(&leased[0]).await.unwrap();
    let ids = receiver.ids();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    let log = shop.log(&hook, "").await;
    assert_eq!((&log[0]["status"], &log[0]["attempts"]), (&json!("delivered"), &json!(2)));
}

#[tokio::test]
async fn a_delivery_is_given_up_after_eight_attempts_and_sent_again_on_request() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    for _ in 0..2 {
        shop.pay().await;
    }
    receiver.behave(vec![Behaviour::Answer(500); 16]);
    for _ in 0..10 {
        shop.send_webhooks().await;
        shop.skip_webhook_waits().await;
    }
    assert_eq!(receiver.received().len(), 16);
    let failed = shop.log(&hook, "?status=failed").await;
    assert_eq!((failed.len(), &failed[0]["attempts"], &failed[0]["nextAttemptAt"]), (2, &json!(8), &Value::Null));
    let redeliver = format!("{WEBHOOKS}/{}/deliveries/{}/redeliver", hook.id, failed[0]["id"].as_str().unwrap());
    let waiting = shop.public.request(http::Method::POST, &redeliver).with(&shop.admin).await.expect(200).body;
    assert_eq!(waiting["status"], "waiting");
    // A redelivery has all attempts ahead of it.
    receiver.behave([Behaviour::Answer(500)]);
    shop.send_webhooks().await;
    assert!((5..=6).contains(&shop.wait_seconds().await));
    shop.skip_webhook_waits().await;
    shop.send_webhooks().await;
    assert_eq!(shop.log(&hook, "?status=delivered").await.len(), 1);

    let redrive = format!("{WEBHOOKS}/{}/redrive", hook.id);
    let times = |from: &str, to: &str| json!({"from": from, "to": to});
    let none = shop.public.post(&redrive, times("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")).with(&shop.admin);
    assert_eq!(none.await.expect(200).body, json!({"count": 0, "more": false}));
    let all = shop.public.post(&redrive, times("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")).with(&shop.admin);
    assert_eq!(all.await.expect(200).body, json!({"count": 1, "more": false}));
    shop.send_webhooks().await;
    assert_eq!(shop.log(&hook, "?status=delivered").await.len(), 2);
    let ids = receiver.ids();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 2);
    let wrong = shop.public.post(&redrive, times("2100-01-01T00:00:00Z", "2020-01-01T00:00:00Z")).with(&shop.admin);
    refused(&wrong.await, 422, "VALIDATION_FAILED", &["to"]);
}

/// A replay of a topic fills lists and sends nothing.
#[tokio::test]
async fn an_event_that_is_old_or_older_than_the_endpoint_is_not_sent() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let paid = |age: time::Duration| {
        let event = envelope(&OrderEvent::Paid(order(user())), 1);
        Envelope { time: event.time - age, ..event }
    };
    shop.hook(&receiver.url(), &["order.paid"]).await;
    shop.deliver_all(vec![paid(time::Duration::hours(1))]).await;
    shop.execute("update webhook_endpoint set created_at = now() - interval '1 year'").await;
    shop.deliver_all(vec![paid(time::Duration::days(15)), paid(time::Duration::days(13))]).await;
    shop.send_webhooks().await;
    let at = |received: &crate::receiver::Received| received.json()["timestamp"].as_str().unwrap().to_owned();
    let sent: Vec<String> = receiver.received().iter().map(at).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let sent = OffsetDateTime::parse(&sent[0], &time::format_description::well_known::Rfc3339).unwrap();
    assert_eq!((envelope(&placed(user()), 1).time - sent).whole_days(), 13);
}

#[tokio::test]
async fn one_endpoint_takes_at_most_four_places_of_a_process() {
    let shop = Shop::open().await;
    let (busy, other) = (Receiver::start().await, Receiver::start().await);
    let hook = shop.hook(&busy.url(), &["order.paid"]).await;
    for _ in 0..10 {
        shop.pay().await;
    }
    shop.hook(&other.url(), &["user.registered"]).await;
    shop.deliver(&UserEvent::Registered(account(user(), "Ada", Preferences::default()))).await;
    let webhooks = shop.service.webhooks();
    let leased = webhooks.lease(16).await.unwrap();
    let of_busy = leased.iter().filter(|due| due.endpoint.to_string() == hook.id).count();
    assert_eq!((of_busy, leased.len()), (4, 5));
    assert_eq!(webhooks.lease(16).await.unwrap().len(), 0, "until one of them has ended");
    webhooks.deliver(&leased[0]).await.unwrap();
    assert_eq!(webhooks.lease(16).await.unwrap().len(), 1);
}
