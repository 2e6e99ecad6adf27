//! Tests of the HTTP clients against a stub server with the responses of the real services.

use std::sync::Arc;

use agora_chassis::{Process, WatchedSecret};
use agora_order::{
    clients::{cart::CartClient, catalog::CatalogClient, payment::PaymentClient, user::UserClient},
    domain::{PayWith, PaymentOutcome, RequestedLine, Shortage},
    ports::{
        Addresses as _, Carts as _, Catalog as _, CheckoutError, NewHold, Payable, Payments as _, Reserving,
        ReturnedUnits,
    },
};
use agora_outbound::{Client, InternalSigner};
use agora_vocab::{
    AddressId, CartId, CommandId, Currency, Money, OrderId, PaymentId, ProductId, Quantity, ReturnId, UserId, Variant,
};
use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

const COMMAND: CommandId = CommandId::new(Uuid::from_u128(1));
const ORDER: OrderId = OrderId::new(Uuid::from_u128(2));
const ADA: UserId = UserId::new(Uuid::from_u128(3));
const LAMP: ProductId = ProductId::new(Uuid::from_u128(4));
const PAYMENT: PaymentId = PaymentId::new(Uuid::from_u128(5));

/// A client of a service that gives one answer, to a request with the token and, for a command, its id.
async fn client(callee: &'static str, status: u16, body: Value) -> Client {
    let process = Process::for_test("order");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(body.to_string());
    let router = Router::new().fallback(move |request: Request| {
        let answer = answer.clone();
        async move { reply(&request, status, &answer) }
    });
    process.spawn("server", async move { Ok(axum::serve(listener, router).await?) });
    let signer = InternalSigner::new(WatchedSecret::fixed("an internal secret of sufficient length"), "order");
    Client::new(callee, &url, signer, &process)
}

fn reply(request: &Request, status: u16, body: &str) -> Response {
    let has = |name: &str| request.headers().contains_key(name);
    let query = request.uri().path().ends_with("/quote") || request.method() == Method::GET;
    if !has("x-internal-token") || !(query || has("x-command-id")) {
        return StatusCode::IM_A_TEAPOT.into_response();
    }
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_owned()).into_response()
}

fn problem(status: u16, code: &str) -> Value {
    json!({ "type": "about:blank", "title": code, "status": status, "code": code })
}

fn hold() -> NewHold {
    let line = RequestedLine { product: LAMP, variant: Variant::default(), quantity: Quantity::ONE };
    NewHold { order: ORDER, hold: 1, lines: vec![line], seconds: 1800 }
}

fn payable() -> Payable {
    Payable { payment: PAYMENT, order: ORDER, user: ADA, total: Money { amount: 100, currency: Currency::EUR } }
}

#[tokio::test]
async fn a_quote_returns_existing_products() {
    let product = json!({ "id": LAMP, "name": "Lamp", "description": "", "sku": null, "stock": 3, "category": "Lighting",
        "price": { "amount": 1999, "currency": "EUR" }, "brand": null, "supplier": null, "imageUrl": null, "version": 1,
        "sellerId": Uuid::from_u128(1), "createdAt": "2026-01-02T03:04:05Z", "updatedAt": "2026-01-02T03:04:05Z" });
    let red = json!({ "productId": LAMP, "variant": "red", "stock": 1 });
    let gold =
        json!({ "productId": LAMP, "variant": "gold", "stock": 1, "price": { "amount": 9900, "currency": "EUR" } });
    let quote = json!({ "items": [product], "unknown": [], "variants": [red, gold] });
    let catalog = CatalogClient(client("catalog", 200, quote).await);
    let quoted = catalog.quote(&[LAMP]).await.unwrap();
    let own_price = |name| quoted[0].variants[&Variant::parse(name).unwrap()].map(|price| price.amount);
    assert_eq!((own_price("red"), own_price("gold")), (None, Some(9900)));
    assert_eq!((quoted[0].name.as_str(), quoted[0].price.amount), ("Lamp", 1999));
}

#[tokio::test]
async fn a_reservation_succeeds_is_short_or_fails() {
    let reserve =
        async |status, body| CatalogClient(client("catalog", status, body).await).reserve(COMMAND, &hold()).await;
    let held = json!({ "orderId": ORDER, "hold": 1, "expiresAt": "2026-01-02T03:04:05Z" });
    assert_eq!(reserve(200, held).await.unwrap(), Reserving::Held);
    let mut short = problem(409, "INSUFFICIENT_QUANTITY");
    (short["productId"], short["requested"], short["available"]) = (json!(LAMP), json!(2), json!(1));
    let shortage = Shortage { product: Some(LAMP), requested: 2, available: 1 };
    assert_eq!(reserve(409, short).await.unwrap(), Reserving::Short(shortage));
    let undone = Shortage { product: None, requested: 0, available: 0 };
    assert_eq!(reserve(409, problem(409, "CANCELLED")).await.unwrap(), Reserving::Short(undone));
    for (status, code) in [(404, "NOT_FOUND"), (409, "REQUEST_IN_PROGRESS"), (409, "CONFLICT")] {
        assert!(reserve(status, problem(status, code)).await.is_err(), "{code} is no shortage");
    }
    assert!(reserve(401, problem(401, "INVALID_INTERNAL_TOKEN")).await.is_err());
    assert!(reserve(503, problem(503, "UNAVAILABLE")).await.is_err());
}

#[tokio::test]
async fn a_commit_returns_whether_the_reservation_exists() {
    let commit =
        async |status, body| CatalogClient(client("catalog", status, body).await).commit(COMMAND, ORDER, 1).await;
    assert!(commit(200, json!({ "state": "committed" })).await.unwrap());
    for state in ["released", "expired", "tombstone"] {
        assert!(!commit(200, json!({ "state": state })).await.unwrap());
    }
    for (status, code) in [(404, "NOT_FOUND"), (409, "REQUEST_IN_PROGRESS"), (409, "CANCELLED"), (401, "INVALID_TOKEN")]
    {
        assert!(commit(status, problem(status, code)).await.is_err(), "{code} says nothing of the reservation");
    }
    assert!(commit(500, json!({})).await.is_err());
    let catalog = CatalogClient(client("catalog", 200, json!({ "state": "tombstone" })).await);
    catalog.release(COMMAND, ORDER, 1).await.unwrap();
}

#[tokio::test]
async fn a_checkout_begins_or_reports_an_empty_or_cancelled_one() {
    let begin_checkout =
        async |status, body| CartClient(client("cart", status, body).await).begin_checkout(COMMAND, ORDER, ADA).await;
    let line = json!({ "productId": LAMP, "variant": "", "quantity": 2 });
    let cart = CartId::new(Uuid::from_u128(6));
    let checkout = begin_checkout(200, json!({ "cartId": cart, "cartVersion": 7, "lines": [line] })).await.unwrap();
    assert_eq!((checkout.cart.id, checkout.cart.version, checkout.lines[0].quantity.get()), (cart, 7, 2));
    assert!(matches!(begin_checkout(422, problem(422, "EMPTY_CART")).await, Err(CheckoutError::Empty)));
    assert!(matches!(begin_checkout(409, problem(409, "CANCELLED")).await, Err(CheckoutError::Cancelled)));
    assert!(matches!(begin_checkout(503, problem(503, "UNAVAILABLE")).await, Err(CheckoutError::Failed(_))));
    let carts = CartClient(client("cart", 200, json!({ "state": "returned" })).await);
    carts.cancel_checkout(COMMAND, ORDER).await.unwrap();
}

#[tokio::test]
async fn a_payment_is_final_pending_or_rejected() {
    let PayWith { method, token } = PayWith::parse("card", "tok_ok").unwrap();
    let pay = async |status, body| {
        let payments = PaymentClient(client("payment", status, body).await);
        payments.pay(COMMAND, &payable(), (method, &token)).await.map(|report| report.outcome)
    };
    let state = |status: &str| json!({ "paymentId": PAYMENT, "status": status, "resultId": Uuid::from_u128(8) });
    assert_eq!(pay(200, state("captured")).await.unwrap(), Some(PaymentOutcome::Captured));
    assert_eq!(pay(200, state("pending")).await.unwrap(), None);
    assert_eq!(pay(402, problem(402, "PAYMENT_DECLINED")).await.unwrap(), Some(PaymentOutcome::Declined));
    assert_eq!(pay(409, problem(409, "CANCELLED")).await.unwrap(), Some(PaymentOutcome::Voided));
    assert_eq!(pay(409, problem(409, "NO_PROVIDER")).await.unwrap(), Some(PaymentOutcome::Failed));
    assert!(pay(200, state("banana")).await.is_err());
    assert!(pay(404, problem(404, "NOT_FOUND")).await.is_err());
    assert!(pay(409, problem(409, "CONFLICT")).await.is_err(), "no decision of the payment service");
    let payments = PaymentClient(client("payment", 200, state("voided")).await);
    assert_eq!(payments.settle(COMMAND, &payable()).await.unwrap().outcome, Some(PaymentOutcome::Voided));
    assert_eq!(payments.void(COMMAND, &payable()).await.unwrap().outcome, Some(PaymentOutcome::Voided));
    let payments = PaymentClient(client("payment", 200, state("refunded")).await);
    let report = payments.refund(COMMAND, &payable()).await.unwrap();
    assert_eq!(report.outcome, Some(PaymentOutcome::Refunded));
    assert_eq!(report.result, Some(CommandId::new(Uuid::from_u128(8))));
}

#[tokio::test]
async fn a_refund_of_a_part_is_done_pending_or_failed() {
    let part = (ReturnId::new(Uuid::from_u128(9)), payable().total);
    let refund = async |status: u16, body| {
        PaymentClient(client("payment", status, body).await).refund_part(COMMAND, &payable(), part).await
    };
    let state = |status: &str| json!({ "refundId": part.0, "status": status });
    for (status, done) in [("succeeded", true), ("nothing_left", true), ("pending", false)] {
        assert_eq!(refund(200, state(status)).await.unwrap(), done, "{status}");
    }
    assert!(refund(200, state("failed")).await.is_err());
    assert!(refund(409, problem(409, "PAYMENT_MISMATCH")).await.is_err());
}

#[tokio::test]
async fn returned_units_are_taken_back_or_the_call_failed() {
    let units = ReturnedUnits { order: ORDER, hold: 1, id: ReturnId::new(Uuid::from_u128(9)), lines: hold().lines };
    let take =
        async |status: u16, body| CatalogClient(client("catalog", status, body).await).take_back(COMMAND, &units).await;
    take(200, json!({ "units": 2 })).await.unwrap();
    assert!(take(503, problem(503, "UNAVAILABLE")).await.is_err());
}

#[tokio::test]
async fn an_address_is_found_or_not() {
    let find = async |status, body| {
        UserClient(client("user", status, body).await).find(ADA, AddressId::new(Uuid::from_u128(9))).await
    };
    let entry = json!({ "id": Uuid::from_u128(9), "street": "Unter den Linden 1", "city": "Berlin", "country": "DE" });
    assert_eq!(find(200, entry).await.unwrap().unwrap().city, "Berlin");
    assert_eq!(find(404, problem(404, "NOT_FOUND")).await.unwrap(), None);
    assert!(find(403, problem(403, "FORBIDDEN")).await.is_err());
}
