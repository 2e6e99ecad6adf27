//! The list of a user's notifications, marking them as read, and what admins create and see.

use agora_testkit::refused;
use agora_vocab::{Role, UserId};
use serde_json::{Value, json};

use crate::shop::{Shop, fresh, placed, user};

fn ids(list: &Value) -> Vec<String> {
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(id).collect()
}

async fn create(shop: &Shop, user: UserId, content: &str) -> Value {
    let body = json!({"userId": user, "type": "EMAIL", "content": content, "metadata": {"n": content}});
    shop.public.post("/api/v1/admin/notifications", body).with(&shop.admin).await.expect(201).body
}

#[tokio::test]
async fn no12_a_user_lists_own_notifications_by_filters_and_pages() {
    let shop = Shop::open().await;
    let (ada, ben) = (shop.register("Ada").await, shop.register("Ben").await);
    for n in 0..24 {
        create(&shop, ada, &format!("message {n}")).await;
    }
    create(&shop, ben, "for Ben").await;
    let first = shop.list(ada, "?limit=10").await;
    assert_eq!((first["total"].as_u64(), ids(&first).len()), (Some(25), 10));
    assert_eq!(first["items"][0]["content"], "message 23");
    let mut by_cursor = ids(&first);
    let mut next = first["nextCursor"].clone();
    while let Some(cursor) = next.as_str() {
        let page = shop.list(ada, &format!("?limit=10&cursor={cursor}")).await;
        by_cursor.extend(ids(&page));
        next = page["nextCursor"].clone();
    }
    let mut by_page = Vec::new();
    for page in 1..=3 {
        by_page.extend(ids(&shop.list(ada, &format!("?limit=10&page={page}")).await));
    }
    assert_eq!(by_cursor.len(), 25);
    assert_eq!(by_cursor, by_page);
    assert_eq!(ids(&shop.list(ada, "?limit=10&offset=20").await), by_page[20..]);
    assert_eq!(ids(&shop.list(ada, "?priority=critical").await).len(), 1);
    assert_eq!(ids(&shop.list(ada, "?type=USER_UPDATE&read=false").await).len(), 1);
    assert_eq!(ids(&shop.list(ada, "?read=true").await).len(), 0);
    for (query, status, field) in [
        ("?limit=101", 422, "limit"),
        ("?page=0", 422, "page"),
        ("?page=x", 400, "page"),
        ("?page=2000&limit=100", 422, "offset"),
        ("?page=1&offset=3", 422, "page"),
        ("?type=NEWS", 422, "type"),
        ("?priority=urgent", 422, "priority"),
        ("?cursor=x", 400, "cursor"),
    ] {
        let answer = shop.public.get(&format!("/api/v1/notifications{query}")).with(&shop.token(ada)).await;
        assert_eq!((answer.status, answer.body["details"][0]["field"].as_str()), (status, Some(field)), "{query}");
    }
    for query in ["?read=maybe", "?userId=x", "?unknown=1"] {
        let answer = shop.public.get(&format!("/api/v1/notifications{query}")).with(&shop.token(ada)).await;
        assert_eq!(answer.status, 400, "{query}");
    }
}

#[tokio::test]
async fn no13_marking_as_read_is_for_ones_own_and_idempotent() {
    let shop = Shop::open().await;
    let (ada, ben) = (shop.register("Ada").await, shop.register("Ben").await);
    let mut made = Vec::new();
    for n in 0..4 {
        made.push(create(&shop, ada, &format!("message {n}")).await["id"].as_str().unwrap().to_owned());
    }
    let path = format!("/api/v1/notifications/{}/read", made[0]);
    let mark = |token: String| shop.public.patch(&path, json!({})).with(&token);
    refused(&mark(shop.token(ben)).await, 404, "NOT_FOUND", &[]);
    refused(&mark(shop.admin.clone()).await, 404, "NOT_FOUND", &[]);
    let first = mark(shop.token(ada)).await.expect(200).body;
    assert_eq!((first["read"].as_bool(), first["readAt"].is_string()), (Some(true), true));
    assert_eq!(mark(shop.token(ada)).await.expect(200).body, first);

    let many =
        |user: UserId, body: Value| shop.public.patch("/api/v1/notifications/read", body).with(&shop.token(user));
    let some = many(ada, json!({"notificationIds": [made[0], made[1], fresh()]})).await.expect(200).body;
    assert_eq!(some["updatedCount"], 1);
    assert_eq!(many(ben, json!({"notificationIds": [made[2]]})).await.expect(200).body["updatedCount"], 0);
    assert_eq!(many(ada, json!({"priority": "critical"})).await.expect(200).body["updatedCount"], 1);
    assert_eq!(many(ada, json!({})).await.expect(200).body["updatedCount"], 2);
    assert_eq!(shop.list(ada, "?read=false").await["total"], 0);
    assert_eq!(shop.list(ben, "?read=false").await["total"], 1);
    refused(
        &many(ada, json!({"notificationIds": vec![fresh(); 101]})).await,
        422,
        "VALIDATION_FAILED",
        &["notificationIds"],
    );
    refused(&many(ada, json!({"priority": "x"})).await, 422, "VALIDATION_FAILED", &["priority"]);
}

#[tokio::test]
async fn no11_an_admin_creates_a_notification_once_per_key() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let body = json!({"userId": ada, "type": "EMAIL", "content": "We are closed on Monday.\nThank you.", "subject": "Opening hours"});
    let post = |body: &Value| shop.public.post("/api/v1/admin/notifications", body.clone()).with(&shop.admin);
    let first = post(&body).key("k").await.expect(201).body;
    assert_eq!(post(&body).key("k").await.expect(201).body["id"], first["id"]);
    let other = json!({"userId": ada, "type": "EMAIL", "content": "other"});
    refused(&post(&other).key("k").await, 422, "IDEMPOTENCY_KEY_REUSED", &[]);
    shop.send().await;
    let mail = &shop.mails_to("ada@example.com")[1];
    assert_eq!(mail.header("subject"), "Opening hours");
    assert!(mail.part("text/html").contains("<p>We are closed on Monday.</p>"));
    assert_eq!(shop.mails_to("ada@example.com").len(), 2);

    refused(&post(&json!({"userId": user(), "type": "EMAIL", "content": "x"})).await, 422, "UNKNOWN_USER", &["userId"]);
    let wrong = json!({"userId": ada, "type": "SMS", "content": "", "subject": "a\nb", "priority": "x", "metadata": {"a": "b".repeat(5000)}});
    refused(&post(&wrong).await, 422, "VALIDATION_FAILED", &["type", "priority", "content", "subject", "metadata"]);
    refused(
        &post(&json!({"userId": ada, "type": "EMAIL", "content": "x", "to": "y"})).await,
        422,
        "VALIDATION_FAILED",
        &["to"],
    );
    let shopper = shop.keys.token(ada, &[Role::Customer]);
    for request in [
        shop.public.post("/api/v1/admin/notifications", body),
        shop.public.get("/api/v1/admin/notifications"),
        shop.public.get("/api/v1/admin/notifications/preview/generic"),
        shop.public.get("/api/v1/admin/dead-letters"),
        shop.public.get(&format!("/api/v1/admin/dead-letters/{}", fresh())),
        shop.public.post(&format!("/api/v1/admin/dead-letters/{}/replay", fresh()), json!({"reason": "x"})),
        shop.public.post(&format!("/api/v1/admin/dead-letters/{}/discard", fresh()), json!({"reason": "x"})),
    ] {
        assert_eq!(request.clone().await.status, 401);
        refused(&request.with(&shopper).await, 403, "FORBIDDEN", &[]);
    }
    assert_eq!(shop.public.get("/api/v1/notifications").await.status, 401);
}

#[tokio::test]
async fn no17_notifications_are_found_by_words_and_listed_for_admins() {
    let shop = Shop::open().await;
    let (ada, ben) = (shop.register("Ada").await, shop.register("Ben").await);
    create(&shop, ada, "Your parcel waits at the station").await;
    create(&shop, ben, "The station is closed").await;
    shop.deliver(&placed(ada)).await;
    let found = shop.list(ada, "?q=STATION%20parcel").await;
    assert_eq!(
        (found["total"].as_u64(), found["items"][0]["metadata"]["n"].as_str()),
        (Some(1), Some("Your parcel waits at the station"))
    );
    assert_eq!(shop.list(ada, "?q=A-1000001").await["items"][0]["metadata"]["orderNumber"], "A-1000001");
    assert_eq!(shop.list(ada, "?q=%22%27%20%7C%20!").await["items"].as_array().unwrap().len(), 0);
    let admin = |query: &str| shop.public.get(&format!("/api/v1/admin/notifications{query}")).with(&shop.admin);
    assert_eq!(ids(&admin("?q=station").await.expect(200).body).len(), 2);
    assert_eq!(ids(&admin(&format!("?q=station&userId={ben}")).await.expect(200).body).len(), 1);
    let first = admin("?limit=3").await.expect(200).body;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = admin(&format!("?limit=3&cursor={cursor}")).await.expect(200).body;
    assert_eq!((ids(&first).len(), ids(&second).len()), (3, 2));
    assert!(ids(&first).iter().all(|id| !ids(&second).contains(id)));
    assert_eq!(admin(&format!("?userId={}&type=EMAIL", user())).await.expect(200).body["total"], 0);
}

#[tokio::test]
async fn no2_admins_preview_every_template() {
    let shop = Shop::open().await;
    let preview = |name: &str, query: &str| {
        shop.public.get(&format!("/api/v1/admin/notifications/preview/{name}{query}")).with(&shop.admin)
    };
    for name in ["userUpdate", "orderUpdate", "promotion", "generic", "recommendation", "priceChange"] {
        let html = preview(name, "").await.expect(200);
        assert_eq!(html.header("content-type"), "text/html; charset=utf-8");
        let policy = html.header("content-security-policy").to_owned();
        let page = String::from_utf8(html.bytes).unwrap();
        assert!(page.contains("Hello Ada,") && !page.contains(" style="), "{page}");
        assert!(page.matches("<style>").count() == 1 && policy.contains("style-src 'sha256-"), "{policy}");
        assert_eq!(policy, agora_web::page_policy(&page).to_str().unwrap(), "it permits the style of this page");
        let text = preview(name, "?format=text").await.expect(200);
        assert!(String::from_utf8(text.bytes).unwrap().starts_with("Hello Ada,"), "{name}");
    }
    assert_eq!(preview("newsletter", "").await.status, 404);
    assert_eq!(preview("generic", "?format=pdf").await.status, 422);
}

#[tokio::test]
async fn old_notifications_are_deleted_unless_their_mail_waits() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    create(&shop, ada, "young").await;
    shop.execute("update notification set created_at = now() - interval '91 days' where kind = 'USER_UPDATE'").await;
    create(&shop, ada, "waits").await;
    shop.execute("update notification set created_at = now() - interval '91 days' where summary = 'waits'").await;
    shop.execute("insert into mail_bucket (bucket_id, tokens, updated_at) values (gen_random_uuid(), 1, now() - interval '3 days')").await;
    assert_eq!(shop.service.sweep().await.unwrap(), 2);
    assert_eq!(shop.texts("select summary from notification order by summary").await, ["waits", "young"]);
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.public.assert_serves_its_document().await;
}
