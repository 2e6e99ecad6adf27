//! Tests of invoices: when an order has one, who sees it, and what it contains.

use agora_testkit::Request;
use agora_vocab::{OrderId, UserId};
use serde_json::json;
use uuid::Uuid;

use super::{
    coupons::with_coupon,
    shipping::to,
    shop::{Shop, id, two},
};

impl Shop {
    fn invoice(&self, order: OrderId) -> Request {
        self.get(&format!("/api/v1/orders/{order}/invoice"))
    }

    async fn page(&self, order: OrderId) -> String {
        String::from_utf8(self.invoice(order).await.expect(200).bytes).unwrap()
    }
}

#[tokio::test]
async fn a_paid_order_has_an_invoice_of_everything_that_it_cost() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(1190, 50);
    shop.add_tax(json!({ "country": "DE", "basisPoints": 1900 })).await.expect(201);
    shop.shipping("standard", 490, json!({})).await;
    shop.percent("HALF", 5000, json!({})).await;
    let mut body = to(with_coupon(lamp, 2, "HALF"), "DE");
    body["payment"] = json!({ "method": "card", "token": "tok_ok" });
    let order = shop.order("k", body).await.expect(201).body;
    let answer = shop.invoice(id(&order)).await.expect(200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    let page = shop.page(id(&order)).await;
    // Of the page as it is sent, not of its template.
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, agora_web::page_policy(&page).to_str().unwrap());
    assert!(page.matches("<style>").count() == 1 && policy.contains("style-src 'sha256-"), "{policy}");
    let (number, day) = (order["number"].as_str().unwrap(), &order["createdAt"].as_str().unwrap()[..10]);
    for part in [
        number,
        day,
        "Lamp 1",
        "11.90 EUR",
        "23.80 EUR",
        "HALF",
        "−11.90 EUR",
        "Parcel standard",
        "4.90 EUR",
        "16.80 EUR",
        "19 %",
        "1.90 EUR",
        "Street 1",
        "DE",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    shop.cancel(id(&order)).await.expect(200);
    shop.settle().await;
    assert!(shop.page(id(&order)).await.contains("The amount was refunded."), "it was paid once");
}

#[tokio::test]
async fn an_order_has_no_invoice_before_its_payment() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.pending("k", lamp, 1).await;
    assert_eq!(shop.invoice(order).await.expect(409).body["code"], "NOT_PAID");
    shop.begin(order, 1).await.expect(200);
    assert_eq!(shop.invoice(order).await.expect(409).body["code"], "NOT_PAID");
    shop.result(order, 1, (7, "captured")).await.expect(200);
    assert_eq!(shop.status(order).await, two("paid", "paid"));
    let page = shop.page(order).await;
    assert!(page.contains("1.00 EUR") && !page.contains("Discount") && !page.contains("Shipping"), "{page}");
    let cancelled = shop.pending("c", lamp, 1).await;
    shop.cancel(cancelled).await.expect(200);
    shop.invoice(cancelled).await.expect(409);
}

#[tokio::test]
async fn an_invoice_is_seen_by_the_owner_of_the_order_and_admins_alone() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    let order = shop.paid("k", &[(lamp, 1)]).await;
    let path = format!("/api/v1/orders/{order}/invoice");
    shop.app().get(&path).await.expect(401);
    shop.app().get(&path).with(&shop.token(UserId::new(Uuid::from_u128(66)))).await.expect(404);
    shop.app().get(&path).with(&shop.admin()).await.expect(200);
    shop.app().get(&format!("/api/v1/orders/{}/invoice", Uuid::from_u128(404))).with(&shop.admin()).await.expect(404);
}

#[tokio::test]
async fn what_users_and_admins_wrote_is_escaped() {
    let shop = Shop::open().await;
    let lamp = shop.fakes.catalog.offer(100, 50);
    shop.fakes.catalog.change(lamp, "<script>alert('lamp')</script>", 100);
    shop.shipping("standard", 490, json!({ "name": "<b>Parcel</b>" })).await;
    let mut body = super::shop::items(lamp, 1);
    body["shippingAddress"] =
        json!({ "recipient": "<img src=x>", "street": "\"Street\" & Co", "city": "C", "country": "DE" });
    body["payment"] = json!({ "method": "card", "token": "tok_ok" });
    let page = shop.page(id(&shop.order("k", body).await.expect(201).body)).await;
    for raw in ["<script>", "<b>", "<img", "\"Street\" &"] {
        assert!(!page.contains(raw), "{raw} in {page}");
    }
    assert!(page.contains("alert(") && page.contains("Street"));
}
