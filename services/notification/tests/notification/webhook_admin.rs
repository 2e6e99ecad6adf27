//! Webhooks as admins manage them: endpoints, secrets, tests, and the deletion of what is old.

use agora_events::user::{Preferences, UserEvent};
use agora_testkit::refused;
use agora_vocab::Role;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    shop::{ENCRYPTION_KEY, Shop, account, fresh, user},
    webhooks::Hook,
};

const WEBHOOKS: &str = "/api/v1/admin/webhooks";
const URL: &str = "https://erp.example/hook";
/// 32 other bytes in Base64.
const NEXT_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

async fn post(shop: &Shop, path: &str) -> agora_testkit::TestResponse {
    shop.public.request(Method::POST, path).with(&shop.admin).await
}

async fn rotate(shop: &Shop, hook: &Hook) -> String {
    let path = format!("{WEBHOOKS}/{}/rotate-secret", hook.id);
    post(shop, &path).await.expect(200).body["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_secret_is_shown_once_and_stored_encrypted() {
    let shop = Shop::open().await;
    let body = json!({"url": URL, "description": "ERP", "eventTypes": ["order.paid"]});
    let created = shop.public.post(WEBHOOKS, body.clone()).key("k1").with(&shop.admin).await.expect(201);
    let secret = created.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
    let id = created.body["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{WEBHOOKS}/{id}"));
    let again = shop.public.post(WEBHOOKS, body).key("k1").with(&shop.admin).await.expect(201);
    assert_eq!(again.body, created.body, "the same request has the same answer");
    let read = shop.public.get(&format!("{WEBHOOKS}/{id}")).with(&shop.admin).await.expect(200).body;
    let listed = shop.public.get(WEBHOOKS).with(&shop.admin).await.expect(200).body;
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]), (1, &read));
    assert!(read.get("secret").is_none() && !read.to_string().contains("whsec_"));
    let stored = "select encode(sealed, 'escape') from webhook_secret";
    assert!(shop.texts(stored).await.iter().all(|sealed| !sealed.contains(&secret[6..20])));
}

#[tokio::test]
async fn a_replaced_secret_stays_valid_for_a_day_and_both_sign() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    let next = rotate(&shop, &hook).await;
    assert_ne!(next, hook.secret);
    shop.pay().await;
    shop.send_webhooks().await;
    for secret in [&next, &hook.secret] {
        assert_eq!(receiver.received()[0].signatures(secret), (2, true));
    }
    shop.execute("update webhook_secret set expires_at = expires_at - interval '24 hours'").await;
    shop.pay().await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received()[1].signatures(&next), (1, true));
    assert_eq!(receiver.received()[1].signatures(&hook.secret), (1, false));
}

#[tokio::test]
async fn a_repeated_rotation_replaces_once_and_at_most_five_secrets_are_valid() {
    let shop = Shop::open().await;
    let hook = shop.hook(URL, &["*"]).await;
    let path = format!("{WEBHOOKS}/{}/rotate-secret", hook.id);
    let rotate_once = || shop.public.request(Method::POST, &path).key("k1").with(&shop.admin);
    let first = rotate_once().await.expect(200).body;
    assert_eq!(rotate_once().await.expect(200).body["secret"], first["secret"]);
    assert_eq!(shop.number("select count(*) from webhook_secret").await, 2);
    for _ in 0..3 {
        rotate(&shop, &hook).await;
    }
    refused(&post(&shop, &path).await, 409, "TOO_MANY_SECRETS", &[]);
    assert_eq!(post(&shop, &format!("{WEBHOOKS}/{}/rotate-secret", fresh())).await.status, 404);
}

#[tokio::test]
async fn pa7_secrets_stay_readable_and_are_sealed_again_when_the_key_of_the_service_rotates() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    let next = rotate(&shop, &hook).await;
    let (during, after) = (shop.replica(NEXT_KEY, Some(ENCRYPTION_KEY)), shop.replica(NEXT_KEY, None));
    shop.pay().await;
    during.send_due().await.unwrap();
    assert_eq!((during.rewrap_secrets().await.unwrap(), during.rewrap_secrets().await.unwrap()), (2, 0));
    shop.pay().await;
    after.send_due().await.unwrap();
    assert_eq!(receiver.received().len(), 2, "sent during the rotation and after it");
    for received in receiver.received() {
        for secret in [&next, &hook.secret] {
            assert_eq!(received.signatures(secret), (2, true));
        }
    }
    // A process without the key sends nothing unsigned.
    shop.pay().await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 2);
    assert!(shop.log(&hook, "?status=waiting").await[0]["error"].as_str().unwrap().contains("not readable"));
}

#[tokio::test]
async fn pa7_secrets_that_no_key_reads_hold_up_no_others_when_the_key_rotates() {
    let shop = Shop::open().await;
    let hook = shop.hook(URL, &["*"]).await;
    // Their ids come first.
    let lost = format!(
        "insert into webhook_secret (id, endpoint_id, sealed, expires_at) \
        select lpad(n::text, 32, '0')::uuid, '{}'::uuid, '\\x01'::bytea, now() + interval '1 hour' from generate_series(1, 249) as n",
        hook.id
    );
    shop.execute(&lost).await;
    assert_eq!(shop.replica(NEXT_KEY, Some(ENCRYPTION_KEY)).rewrap_secrets().await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_not_acceptable_is_named_with_the_remedy() {
    let shop = Shop::open().await;
    let create = |body: Value| shop.public.post(WEBHOOKS, body).with(&shop.admin);
    let long = "x".repeat(201);
    for (body, fields) in [
        (json!({"url": "ftp://erp.example"}), &["url"][..]),
        (json!({"url": "https://user:password@erp.example"}), &["url"]),
        (json!({"url": URL, "eventTypes": []}), &["eventTypes"]),
        (json!({"url": URL, "eventTypes": ["user.login"]}), &["eventTypes"]),
        (json!({"url": URL, "description": "a\nb"}), &["description"]),
        (json!({"url": "", "description": long, "eventTypes": ["x"]}), &["url", "description", "eventTypes"]),
    ] {
        refused(&create(body).await, 422, "VALIDATION_FAILED", fields);
    }
    let unknown = shop.public.get(&format!("{WEBHOOKS}/{}", fresh())).with(&shop.admin).await;
    refused(&unknown, 404, "NOT_FOUND", &[]);
    let hook = shop.hook(URL, &["*"]).await;
    let status = shop.public.get(&format!("{WEBHOOKS}/{}/deliveries?status=lost", hook.id)).with(&shop.admin).await;
    refused(&status, 422, "VALIDATION_FAILED", &["status"]);
}

#[tokio::test]
async fn only_admins_manage_webhooks() {
    let shop = Shop::open().await;
    let hook = shop.hook(URL, &["*"]).await;
    let (customer, one) = (shop.keys.token(user(), &[Role::Customer]), format!("{WEBHOOKS}/{}", hook.id));
    let delivery = fresh();
    let routes = [
        (Method::GET, WEBHOOKS.to_owned()),
        (Method::POST, WEBHOOKS.to_owned()),
        (Method::GET, one.clone()),
        (Method::PATCH, one.clone()),
        (Method::DELETE, one.clone()),
        (Method::POST, format!("{one}/rotate-secret")),
        (Method::POST, format!("{one}/test")),
        (Method::POST, format!("{one}/redrive")),
        (Method::GET, format!("{one}/deliveries")),
        (Method::POST, format!("{one}/deliveries/{delivery}/redeliver")),
    ];
    for (method, path) in routes {
        assert_eq!(shop.public.request(method.clone(), &path).await.status, 401, "{method} {path}");
        assert_eq!(shop.public.request(method.clone(), &path).with(&customer).await.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn a_shop_has_at_most_fifty_endpoints() {
    let shop = Shop::open().await;
    let create = || shop.public.post(WEBHOOKS, json!({"url": URL})).with(&shop.admin).into_future();
    let mut answers = Vec::new();
    // As many at a time as the pool of a test can serve.
    for _ in 0..15 {
        answers.extend(futures::future::join_all((0..4).map(|_| create())).await);
    }
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 50);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        refused(answer, 409, "TOO_MANY_WEBHOOKS", &[]);
    }
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name() {
    let shop = Shop::open().await;
    let hook = shop.hook(URL, &["order.paid"]).await;
    let path = format!("{WEBHOOKS}/{}", hook.id);
    let change = async |body: Value| shop.public.patch(&path, body).with(&shop.admin).await.expect(200).body;
    let changed = change(json!({"eventTypes": ["*"], "active": false})).await;
    let expected = (&json!(["*"]), &json!(false), &json!(URL), &json!("ERP"));
    assert_eq!((&changed["eventTypes"], &changed["active"], &changed["url"], &changed["description"]), expected);
    let changed = change(json!({"url": "https://other.example/", "description": ""})).await;
    let expected = (&json!("https://other.example/"), &json!(""), &json!(["*"]));
    assert_eq!((&changed["url"], &changed["description"], &changed["eventTypes"]), expected);
    shop.pay().await;
    assert_eq!(shop.number("select count(*) from webhook_delivery").await, 0, "an inactive endpoint receives nothing");
}

#[tokio::test]
async fn a_test_event_reaches_an_active_endpoint_whatever_its_types() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    let path = format!("{WEBHOOKS}/{}/test", hook.id);
    let test = || shop.public.request(Method::POST, &path).key("k1").with(&shop.admin);
    let first = test().await.expect(200).body;
    assert_eq!((&first["type"], &test().await.expect(200).body["id"]), (&json!("webhook.test"), &first["id"]));
    shop.send_webhooks().await;
    let deliveries = receiver.received();
    assert_eq!((deliveries.len(), deliveries[0].json()["type"].as_str()), (1, Some("webhook.test")));
    assert_eq!(deliveries[0].signatures(&hook.secret), (1, true));
    let inactive = json!({"active": false});
    shop.public.patch(&format!("{WEBHOOKS}/{}", hook.id), inactive).with(&shop.admin).await.expect(200);
    refused(&post(&shop, &path).await, 409, "WEBHOOK_INACTIVE", &[]);
    let redeliver = format!("{WEBHOOKS}/{}/deliveries/{}/redeliver", hook.id, first["id"].as_str().unwrap());
    refused(&post(&shop, &redeliver).await, 409, "WEBHOOK_INACTIVE", &[]);
}

#[tokio::test]
async fn the_log_has_pages_without_gaps_and_repetitions() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["order.paid"]).await;
    for _ in 0..5 {
        shop.pay().await;
    }
    shop.send_webhooks().await;
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{WEBHOOKS}/{}/deliveries?status=delivered&limit=2{cursor}", hook.id);
        let page = shop.public.get(&path).with(&shop.admin).await.expect(200).body;
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let all: Vec<_> = shop.log(&hook, "").await.iter().map(|item| item["id"].to_string()).collect();
    assert_eq!((ids.len(), ids), (5, all));
}

#[tokio::test]
async fn a_deleted_endpoint_receives_nothing_and_is_deleted_with_its_log_in_batches() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["*"]).await;
    shop.pay().await;
    let path = format!("{WEBHOOKS}/{}", hook.id);
    for _ in 0..2 {
        assert_eq!(shop.public.delete(&path).with(&shop.admin).await.status, 204);
    }
    assert_eq!(shop.public.get(&path).with(&shop.admin).await.status, 404);
    assert_eq!(shop.public.get(&format!("{path}/deliveries")).with(&shop.admin).await.status, 404);
    shop.deliver(&UserEvent::Registered(account(user(), "Ada", Preferences::default()))).await;
    shop.send_webhooks().await;
    assert_eq!(receiver.received().len(), 0);
    assert_eq!(shop.number("select count(*) from webhook_secret").await, 0);
    shop.service.webhooks().sweep().await.unwrap();
    assert_eq!(shop.number("select count(*) from webhook_delivery").await, 0);
    assert_eq!(shop.number("select count(*) from webhook_endpoint").await, 1);
    shop.execute("update webhook_endpoint set deleted_at = now() - interval '2 hours'").await;
    shop.service.webhooks().sweep().await.unwrap();
    assert_eq!(shop.number("select count(*) from webhook_endpoint").await, 0);
}

#[tokio::test]
async fn deliveries_are_deleted_after_30_days() {
    let (shop, receiver) = (Shop::open().await, Receiver::start().await);
    let hook = shop.hook(&receiver.url(), &["*"]).await;
    for _ in 0..3 {
        shop.pay().await;
    }
    shop.send_webhooks().await;
    shop.execute("update webhook_event set created_at = now() - interval '31 days' where id <> (select id from webhook_event limit 1)")
        .await;
    assert_eq!(shop.service.webhooks().sweep().await.unwrap(), 2);
    assert_eq!(shop.log(&hook, "").await.len(), 1);
}
