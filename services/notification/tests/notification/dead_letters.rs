//! Dead letters by the API: mails here, messages of the broker in `broker.rs`.

use agora_chassis::telemetry::{metrics_handle, series_value};
use agora_events::{DeadLetter, DeadLetterEvent, DeadLetterMetadata};
use agora_notification::domain::Priority;
use agora_testkit::{Behaviour, Request, refused};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::shop::{Shop, envelope, placed};

async fn letters(shop: &Shop, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/dead-letters{query}");
    let body = shop.public.get(&path).with(&shop.admin).await.expect(200).body;
    body["items"].as_array().unwrap().clone()
}

fn decide(shop: &Shop, id: &Value, what: &str) -> Request {
    let path = format!("/api/v1/admin/dead-letters/{}/{what}", id.as_str().unwrap());
    shop.public.post(&path, json!({"reason": "the server is back"})).with(&shop.admin)
}

async fn give_up_a_mail(shop: &Shop) {
    for _ in 0..3 {
        shop.skip_waits().await;
        shop.service.send_due(Priority::Critical).await.unwrap();
    }
}

#[tokio::test]
async fn no10_an_admin_replays_a_mail_that_was_given_up_under_its_message_id() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    shop.smtp.behave(Behaviour::RejectRecipients);
    shop.deliver(&placed(ada)).await;
    give_up_a_mail(&shop).await;
    let id = letters(&shop, "?state=open").await[0]["id"].clone();
    // Given up again, it is the same letter, open again.
    decide(&shop, &id, "replay").await.expect(200);
    give_up_a_mail(&shop).await;
    assert_eq!(letters(&shop, "").await.len(), 1);
    shop.smtp.behave(Behaviour::Accept);
    let replayed = decide(&shop, &id, "replay").await.expect(200).body;
    assert_eq!((replayed["state"].as_str(), replayed["note"].as_str()), (Some("replayed"), Some("the server is back")));
    assert!(replayed["decidedBy"].is_string() && replayed["decidedAt"].is_string());
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com").len(), 2);
    let message_id = shop.mails_to("ada@example.com")[1].header("message-id");
    assert_eq!(message_id, format!("<{}@shop.example>", id.as_str().unwrap()));
    for what in ["replay", "discard"] {
        refused(&decide(&shop, &id, what).await, 409, "ALREADY_DECIDED", &[]);
    }
    shop.send().await;
    assert_eq!(shop.subjects("ada@example.com").len(), 2);
}

#[tokio::test]
async fn de10_the_open_dead_letters_are_measured() {
    metrics_handle();
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    shop.smtp.behave(Behaviour::RejectRecipients);
    shop.deliver(&placed(ada)).await;
    give_up_a_mail(&shop).await;
    shop.service.measure_dead_letters().await.unwrap();
    assert_eq!(series_value("dead_letter_open"), Some(1.0));
    let id = letters(&shop, "?state=open").await[0]["id"].clone();
    decide(&shop, &id, "discard").await.expect(200);
    shop.service.measure_dead_letters().await.unwrap();
    assert_eq!(series_value("dead_letter_open"), Some(0.0));
}

#[tokio::test]
async fn no10_a_discarded_letter_stays_and_a_reason_is_required() {
    let shop = Shop::open().await;
    let event = |payload: Option<&[u8]>, offset| {
        DeadLetterEvent::Dead(DeadLetter {
            original_message: payload.map(|payload| BASE64_STANDARD.encode(payload)),
            metadata: DeadLetterMetadata {
                consumer: "cart".into(),
                original_topic: "product-events".into(),
                partition: 2,
                offset,
                reason: "no envelope".into(),
                headers: [("traceparent".to_owned(), "00-1".to_owned())].into(),
            },
        })
    };
    shop.deliver(&event(Some(b"not json"), 41)).await;
    shop.deliver(&event(None, 42)).await;
    let open = letters(&shop, "?state=open").await;
    assert_eq!(open.len(), 2);
    let (large, junk) = (&open[0]["id"], &open[1]["id"]);
    let shown = shop.public.get(&format!("/api/v1/admin/dead-letters/{}", junk.as_str().unwrap())).with(&shop.admin);
    let shown = shown.await.expect(200).body;
    assert_eq!(shown["message"], "not json");
    assert_eq!(
        shown["origin"],
        json!({"topic": "product-events", "partition": 2, "offset": 41, "headers": {"traceparent": "00-1"}})
    );
    for id in [large, junk] {
        refused(&decide(&shop, id, "replay").await, 409, "NOT_REPLAYABLE", &[]);
    }
    let path = format!("/api/v1/admin/dead-letters/{}/discard", junk.as_str().unwrap());
    for reason in ["", " ", "a\u{0}", &"x".repeat(501)] {
        let answer = shop.public.post(&path, json!({"reason": reason})).with(&shop.admin).await;
        refused(&answer, 422, "VALIDATION_FAILED", &["reason"]);
    }
    assert_eq!(decide(&shop, junk, "discard").await.expect(200).body["state"], "discarded");
    assert_eq!((letters(&shop, "?state=open").await.len(), letters(&shop, "?state=discarded").await.len()), (1, 1));
    let unknown = shop.public.get(&format!("/api/v1/admin/dead-letters/{}", crate::shop::fresh())).with(&shop.admin);
    assert_eq!(unknown.await.status, 404);
    refused(
        &shop.public.get("/api/v1/admin/dead-letters?state=lost").with(&shop.admin).await,
        422,
        "VALIDATION_FAILED",
        &["state"],
    );
}

/// A broker that is away must not lose the letter.
#[tokio::test]
async fn no10_a_message_that_the_broker_does_not_take_stays_open() {
    let shop = Shop::open().await;
    let payload = serde_json::to_vec(&envelope(&placed(crate::shop::user()), 1)).unwrap();
    shop.deliver(&DeadLetterEvent::Dead(DeadLetter {
        original_message: Some(BASE64_STANDARD.encode(payload)),
        metadata: DeadLetterMetadata {
            consumer: "cart".into(),
            original_topic: "order-events".into(),
            partition: 0,
            offset: 7,
            reason: "a defect".into(),
            headers: std::collections::BTreeMap::new(),
        },
    }))
    .await;
    let id = letters(&shop, "").await[0]["id"].clone();
    let answer = decide(&shop, &id, "replay").await;
    refused(&answer, 503, "UNAVAILABLE", &[]);
    assert_eq!(letters(&shop, "?state=open").await.len(), 1);
}
