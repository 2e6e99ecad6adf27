//! Open tracking: off unless the shop turns it on.

use agora_notification::domain::Priority;
use serde_json::Value;

use crate::shop::{Options, Shop, fresh, placed};

const GIF_START: &[u8] = b"GIF89a\x01\x00\x01\x00";

/// Defect of B (docs/DEFECTS.md): path and id of the tracking address were wrong.
#[tokio::test]
async fn no14_opening_a_tracked_mail_is_noticed_once_by_the_picture_in_it() {
    let shop = Shop::open_with(Options { open_tracking: true, ..Options::default() }).await;
    let ada = shop.register("Ada").await;
    shop.deliver(&placed(ada)).await;
    shop.service.send_due(Priority::Critical).await.unwrap();
    let html = shop.mails_to("ada@example.com")[1].part("text/html");
    let path = html.split("src=\"https://shop.example").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let picture = shop.public.get(&path).await.expect(200);
    assert!(picture.bytes.starts_with(GIF_START));
    assert_eq!((picture.header("content-type"), picture.header("cache-control")), ("image/gif", "no-store"));
    let opened = |list: &Value| (list["items"][0]["openedAt"].clone(), list["items"][0]["read"].clone());
    let first = opened(&shop.list(ada, "?type=ORDER_UPDATE").await);
    assert!(first.0.is_string() && first.1 == true, "{first:?}");
    shop.public.get(&path).await.expect(200);
    assert_eq!(opened(&shop.list(ada, "?type=ORDER_UPDATE").await), first);
    assert_eq!(shop.number("select count(*) from notification where opened_at is not null").await, 1);
    // The id is random, not that of the notification; a list shows the address to admins alone.
    let listed = shop.list(ada, "").await.to_string();
    let id = path.rsplit('/').next().unwrap();
    assert!(!listed.contains(id) && !listed.contains("trackingUrl"), "{listed}");
    let all = shop.public.get("/api/v1/admin/notifications").with(&shop.admin).await.expect(200).body;
    assert!(all.to_string().contains(&path), "{all}");
}

#[tokio::test]
async fn no14_an_unknown_mail_a_malformed_id_and_a_lost_database_answer_the_same_picture() {
    let shop = Shop::open_with(Options { open_tracking: true, ..Options::default() }).await;
    let path = |id: &str| format!("/api/v1/notifications/track/{id}");
    let unknown = shop.public.get(&path(&fresh().to_string())).await.expect(200);
    let malformed = shop.public.get(&path("x")).await.expect(200);
    assert_eq!(unknown.bytes, malformed.bytes);
    shop.server.stop().await;
    assert_eq!(shop.public.get(&path(&fresh().to_string())).await.expect(200).bytes, unknown.bytes);
}

#[tokio::test]
async fn no14_a_shop_that_does_not_track_puts_no_picture_into_its_mails() {
    let shop = Shop::open().await;
    shop.register("Ada").await;
    assert!(!shop.mails_to("ada@example.com")[0].part("text/html").contains("<img"));
    assert_eq!(shop.number("select count(*) from notification where tracking_id is not null").await, 0);
}
