//! All services, in one process and in several, with real databases and a real broker: end-to-end orders, and consistency after the process
//! is killed.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

#[path = "whole_shop/prometheus.rs"]
mod prometheus;
#[path = "whole_shop/shop.rs"]
mod shop;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use agora_testkit::TestKeys;
use futures::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
use reqwest::Method;
use serde_json::{Value, json};
use shop::{ADMIN, FOUR_PROCESSES, PATIENCE, Plan, Process, Shop, comes_true};

/// Orders that are sent at once before the process is killed.
const ORDERS_PER_ROUND: usize = 24;

/// All services in one process, which call each other without sockets.
const ONE_PROCESS: &[&[&str]] = &[&["all"]];

impl Shop {
    async fn open() -> Self {
        Self::open_as(ONE_PROCESS).await
    }

    async fn open_as(layout: &'static [&'static [&'static str]]) -> Self {
        let plan = Plan { layout, settings: BTreeMap::new(), log: None };
        Self::open_with(&TestKeys::new(), plan).await
    }

    /// Checks the invoice of a paid order as a browser gets it: each policy permits the style of the page, and no script.
    async fn check_invoice(&self, order: &str, token: &str) {
        let invoice = self.http.get(format!("{}/api/v1{order}/invoice", self.gateway)).bearer_auth(token);
        let answer = invoice.send().await.unwrap().error_for_status().unwrap();
        let policies = answer.headers().get_all("content-security-policy").iter();
        let policies: Vec<String> = policies.map(|policy| policy.to_str().unwrap().to_owned()).collect();
        let page = answer.text().await.unwrap();
        let of_page = agora_web::page_policy(&page);
        let style = of_page.to_str().unwrap().rsplit("; ").next().unwrap();
        assert!(page.contains("<style>") && style.starts_with("style-src 'sha256-"), "{style}: {page}");
        assert_eq!(policies.len(), 2, "{policies:?}");
        for policy in policies {
            assert!(policy.starts_with("default-src 'none';") && policy.contains(style), "{policy} without {style}");
            assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
        }
    }

    /// The data of a GraphQL request; fails if there is any error.
    async fn graphql(&self, token: &str, key: &str, query: &str, variables: Value) -> Value {
        let answer = self.try_graphql(token, key, query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }

    async fn try_graphql(&self, token: &str, key: &str, query: &str, variables: Value) -> Value {
        let request = self.http.post(format!("{}/graphql", self.gateway)).header("idempotency-key", key);
        let request = request.json(&json!({ "query": query, "variables": variables }));
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        answer.json().await.unwrap()
    }

    /// Retries an order with the same key, like a client without a response, until it is paid, and returns its id. A payment
    /// whose charge never reached the provider is `failed`; its order is then paid by `POST /payments`.
    async fn insist(&self, token: &str, key: &str, body: &Value) -> String {
        let (begun, mut last) = (Instant::now(), None);
        loop {
            assert!(begun.elapsed() < PATIENCE, "{key} is not paid in spite of retries: {last:?}");
            last = self.try_send(Method::POST, "/orders", token, Some(key), Some(body)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let Some((201, order)) = &last else { continue };
            let path = format!("/orders/{}", order["id"].as_str().unwrap());
            let (_, order) = self.send(Method::GET, &path, token, None, None).await;
            if order["status"] == "paid" {
                return order["id"].as_str().unwrap().to_owned();
            }
            if order["paymentStatus"] == "failed" {
                last = self.try_send(Method::POST, "/payments", token, Some(key), Some(&pay(&order))).await;
            }
        }
    }

    async fn stock(&self, product: &str) -> i64 {
        self.send(Method::GET, &format!("/products/{product}"), "", None, None).await.1["stock"].as_i64().unwrap()
    }

    async fn books_agree(&self) {
        let kept = self
            .number("payment", "select coalesce(sum(captured_minor - refunded_minor), 0)::bigint from payment")
            .await;
        let owed = self
            .number(
                "payment",
                "select coalesce(-sum(amount_minor), 0)::bigint from ledger_entry where account = 'seller'",
            )
            .await;
        assert_eq!(owed, kept, "the sellers' balance = captured and not given back");
        let paid = self
            .number("order", "select coalesce(sum(total_minor), 0)::bigint from orders where status = 'paid'")
            .await;
        assert_eq!(kept, paid, "captured and not given back = totals of paid orders");
        let twice = self
            .number("payment", "select count(*) from (select order_id from payment where captured_minor > refunded_minor group by order_id having count(*) > 1) o")
            .await;
        assert_eq!(twice, 0, "an order is captured at most once");
        let broken =
            self.number("catalog", "select count(*) from stock where reserved < 0 or reserved > on_hand").await;
        assert_eq!(broken, 0);
    }
}

fn pay(order: &Value) -> Value {
    json!({ "orderId": order["id"], "method": "card", "token": "tok_ok" })
}

#[tokio::test]
async fn de7_a_shopper_buys_in_one_process_and_reads_the_order_paid() {
    buys_from_the_cart(&Shop::open_as(ONE_PROCESS).await).await;
}

#[tokio::test]
async fn gw10_a_shopper_buys_from_services_in_processes_with_the_keys_of_their_own_calls_alone() {
    buys_from_the_cart(&Shop::open_as(FOUR_PROCESSES).await).await;
}

#[tokio::test]
async fn rs3_a_process_that_is_asked_to_end_answers_what_was_sent_and_exits_with_success() {
    let mut shop = Shop::open().await;
    let (token, product) = (shop.shopper().await, shop.product(1000).await);
    let body = json!({ "items": [{ "productId": product, "quantity": 1 }] });
    let keys: Vec<_> = (0..ORDERS_PER_ROUND).map(|n| format!("order-{n}")).collect();
    let sent = join_all(keys.iter().map(|key| shop.try_send(Method::POST, "/orders", &token, Some(key), Some(&body))));
    let process = shop.processes[0].0.id().to_string();
    let asked = async {
        // The requests are under way.
        comes_true("an order is stored", async || shop.number("order", "select count(*) from orders").await > 0).await;
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
        // New requests are answered until load balancers know that the process ends.
        shop.try_send(Method::GET, "/products", "", None, None).await
    };
    let (answers, late) = tokio::join!(sent, asked);
    assert_eq!(late.map(|(status, _)| status), Some(200));
    let (mut ids, mut unfinished) = (BTreeSet::new(), 0);
    for answer in answers {
        let (status, order) = answer.expect("an answer to what was sent before");
        // `created`: its hold takes long, and follows.
        assert!(status == 201 && (order["status"] == "pending" || order["status"] == "created"), "{order}");
        ids.insert(order["id"].to_string());
        unfinished += i64::from(order["status"] == "created");
    }
    assert_eq!(ids.len(), ORDERS_PER_ROUND);
    let mut ended = shop.processes.remove(0);
    let mut status = None;
    comes_true("the process ends", async || {
        status = ended.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert!(status.unwrap().success(), "{status:?}");
    let left = shop.number("order", "select count(*) from outbox").await;
    assert!(left <= unfinished, "{left} events have not left, of {unfinished} orders under way");
    shop.start().await;
    let count = i64::try_from(ORDERS_PER_ROUND).unwrap();
    comes_true("every hold stands", async || shop.stock(&product).await == 1000 - count).await;
}

async fn buys_from_the_cart(shop: &Shop) {
    let (token, product) = (shop.shopper().await, shop.product(5).await);
    let line = json!({ "productId": product, "quantity": 2 });
    let (status, cart) = shop.send(Method::POST, "/cart/items", &token, None, Some(&line)).await;
    assert_eq!((status, &cart["total"]["amount"]), (201, &json!(3998)), "{cart}");
    let (status, order) = shop.send(Method::POST, "/orders", &token, Some("o"), Some(&json!({}))).await;
    assert_eq!((status, &order["status"]), (201, &json!("pending")), "{order}");
    assert_eq!(shop.stock(&product).await, 3, "stock falls with the hold");
    assert_eq!(shop.send(Method::GET, "/cart", &token, None, None).await.1["items"], json!([]));
    let (status, payment) = shop.send(Method::POST, "/payments", &token, Some("p"), Some(&pay(&order))).await;
    assert_eq!(
        (status, &payment["status"], &payment["orderStatus"]),
        (201, &json!("captured"), &json!("paid")),
        "{payment}"
    );
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    let (_, read) = shop.send(Method::GET, &path, &token, None, None).await;
    assert_eq!(
        (&read["status"], &read["paymentStatus"]),
        (&json!("paid"), &json!("paid")),
        "a user reads their own order at once"
    );
    assert!(read["number"].as_str().unwrap().starts_with("A-100000"), "{read}");
    shop.check_invoice(&path, &token).await;
    assert_eq!(
        shop.send(Method::POST, "/orders", &token, Some("o"), Some(&json!({}))).await,
        (201, order),
        "the same answer"
    );
    let number = read["number"].as_str().unwrap();
    comes_true("the mails about the order are sent", async || {
        let (_, list) = shop.send(Method::GET, "/notifications?type=ORDER_UPDATE", &token, None, None).await;
        let sent = list["items"].as_array().is_some_and(|items| items.iter().all(|item| item["mail"] == "sent"));
        list["total"] == 2 && sent
    })
    .await;
    let mails = shop.smtp.mails();
    for subject in [format!("We received order {number}"), format!("Order {number} is paid")] {
        assert_eq!(mails.iter().filter(|mail| mail.header("subject") == subject).count(), 1, "{subject}");
    }
    let stranger = shop.shopper().await;
    assert_eq!(shop.send(Method::GET, &path, &stranger, None, None).await.0, 404);
    let recommended = async || {
        let (status, list) = shop.send(Method::GET, "/recommendations", &stranger, None, None).await;
        assert_eq!(status, 200, "{list}");
        // A user has 100 requests a minute.
        tokio::time::sleep(Duration::from_secs(1)).await;
        list["items"][0]["productId"] == json!(product) && list["items"][0]["reason"]["type"] == "bestSeller"
    };
    comes_true("what one shopper bought is recommended to another", recommended).await;
    shop.books_agree().await;
}

/// The client's own data with every field that its types have.
const OWN: &str = "{
    me { _id id email firstname lastname username name phone roles status createdAt updatedAt
        preferences { promotions orderUpdates recommendations } }
    addresses { items { id recipient street city state postalCode country } total }
    sessions { items { id current ip userAgent issuedAt usedAt expiresAt } }
    cart { id version total { amount currency decimal } removed { productId variant name quantity reason price { amount } }
        items { id productId variant name imageUrl quantity available priceChanged price { amount } product { name } } }
    orders(limit: 5) { nextCursor items { _id id number userId status paymentStatus paymentId version expiresAt
        createdAt updatedAt total { amount } discount { amount } couponCode shippingMethod shippingPrice { amount }
        tax { country basisPoints included rounding amount { amount } } shippingAddress { street city country }
        shipments { id sellerId status carrier trackingNumber createdAt deliveredAt items { productId quantity } }
        returns { id status reason resellable amount { amount } items { variant quantity } createdAt updatedAt }
        items { _id productId variant name quantity price unitPrice { amount } total { amount } discount { amount }
            tax { amount } brand category supplier sellerId product { id stock } } } }
    payments(limit: 5) { items { order { number } id orderId orderStatus userId status method captureMethod referenceId
        authorizationCode responseCode responseMessage createdAt updatedAt nextAction { type url }
        amount { amount } authorised { amount } captured { amount } refunded { amount } } }
    recommendations { items { productId name category imageUrl price { amount } feedbackStats { positiveCount negativeCount }
        reason { type text category productId } } } }";

/// The public catalog with every field that its types have.
const CATALOG: &str = "query Catalog($id: ID!) {
    product(id: $id) { _id id name description sku price unitPrice { amount currency } stock quantity category brand supplier
        imageUrl sellerId version createdAt updatedAt
        variants { items { id productId name sku options stock version price { amount } ownPrice { amount } createdAt } } }
    products(filter: { category: \"Lighting\" }, sort: \"name\", limit: 5) { items { id } nextCursor total }
    stock(ids: [$id]) { items { productId stock } }
    categories { items { id name version createdAt updatedAt } }
    brands { items { id } } }";

/// What administrators read, with every field that its types have.
const ADMINISTRATION: &str = "query Administration($payment: ID!) {
    users(limit: 5) { items { id roles } nextCursor }
    allOrders(limit: 5) { items { id userId user { _id email } } }
    allNotifications(limit: 5) { items { id userId type priority subject content metadata read readAt mail sentAt openedAt
        createdAt } total }
    paymentLog(id: $payment) { items { at kind referenceId message amount { amount } } }
    topProducts { refreshedAt items { productId name units orders revenue { amount } product { name } } }
    coupons { items { code kind uses active } } shippingMethods { items { code name countries } }
    taxRules { items { country basisPoints rounding } } suppliers { items { name } } locations { items { name } }
    warehouses { items { id name priority locationId location version createdAt updatedAt } } }";

#[tokio::test]
async fn gw4_a_shopper_buys_over_graphql_in_one_process() {
    buys_over_graphql(&Shop::open_as(ONE_PROCESS).await).await;
}

#[tokio::test]
async fn gw4_a_shopper_buys_over_graphql_from_services_in_processes_of_their_own() {
    buys_over_graphql(&Shop::open_as(FOUR_PROCESSES).await).await;
}

async fn buys_over_graphql(shop: &Shop) {
    let admin = shop.login(ADMIN.0, ADMIN.1).await;
    let lamp =
        "mutation { addProduct(input: { name: \"Lamp\", price: 19.99, quantity: 5, category: \"Lighting\" }) { _id } }";
    let product = shop.graphql(&admin, "a", lamp, json!({})).await["addProduct"]["_id"].clone();
    let refused = shop.try_graphql("", "a", lamp, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "NO_TOKEN", "{refused}");

    let sign_up =
        "mutation S($email: String!) { signup(input: { name: \"Ada\", email: $email, password: \"correct horse\",
        preferences: { promotions: false } }) { access_token user { _id preferences { promotions orderUpdates } } } }";
    let signed_up = shop.graphql("", "s", sign_up, json!({ "email": "ada@example.com" })).await["signup"].clone();
    assert_eq!(signed_up["user"]["preferences"], json!({ "promotions": false, "orderUpdates": true }));
    let token = signed_up["access_token"].as_str().unwrap();

    let add = "mutation A($id: ID!) { addCartItem(input: { productId: $id, quantity: 2 }) { total { amount } } }";
    let added = shop.graphql(token, "c", add, json!({ "id": product })).await;
    assert_eq!(added["addCartItem"]["total"]["amount"], 3998);
    let create = "mutation { createOrder(input: {}) { id status total { amount } } }";
    let order = shop.graphql(token, "o", create, json!({})).await["createOrder"].clone();
    assert_eq!((&order["status"], &order["total"]["amount"]), (&json!("pending"), &json!(3998)));
    assert_eq!(shop.graphql(token, "o", create, json!({})).await["createOrder"], order, "the same key, the same order");
    let pay = "mutation P($id: ID!) { payOrder(input: { orderId: $id, method: \"card\", token: \"tok_ok\" }) {
        id status orderStatus } }";
    let paid = shop.graphql(token, "p", pay, json!({ "id": order["id"] })).await["payOrder"].clone();
    assert_eq!((&paid["status"], &paid["orderStatus"]), (&json!("captured"), &json!("paid")));

    let own = shop.graphql(token, "r", OWN, json!({})).await;
    assert_eq!(own["orders"]["items"][0]["items"][0]["product"], json!({ "id": product, "stock": 3 }));
    assert_eq!(own["orders"]["items"][0]["items"][0]["price"], 19.99);
    assert_eq!(own["me"]["_id"], signed_up["user"]["_id"]);
    let catalog = shop.graphql("", "r", CATALOG, json!({ "id": product })).await;
    assert_eq!((&catalog["product"]["quantity"], &catalog["stock"]["items"][0]["stock"]), (&json!(3), &json!(3)));
    shop.graphql(&admin, "r", ADMINISTRATION, json!({ "payment": paid["id"] })).await;
    let found = async || {
        let search = "{ search(filter: { q: \"lamp\" }) { total totalIsLowerBound nextCursor correctedQuery items { id }
            facets { inStock category { value count } brand { value } price { currency from below count } } }
            suggestions(q: \"lam\") { items { text kind productId } } products(filter: { q: \"lamp\" }) { items { id } } }";
        let answer = shop.try_graphql("", "r", search, json!({})).await;
        answer["data"]["search"]["items"][0]["id"] == product && answer.get("errors").is_none()
    };
    comes_true("the search finds the product", found).await;
    nothing_of_others_is_seen(shop, &[&order["id"], &paid["id"], &signed_up["user"]["_id"]]).await;
}

/// Another user gets `NOT_FOUND` for ids of an order, a payment and a user, and the refusal of each list of administrators.
async fn nothing_of_others_is_seen(shop: &Shop, [order, payment, user]: &[&Value; 3]) {
    let stranger = shop.shopper().await;
    let foreign = "query F($order: ID!, $payment: ID!, $user: ID!) { order(id: $order) { id } payment(id: $payment) { id }
        fetchOrdersById(id: $order) { _id } fetchUserById(_id: $user) { _id } payments(orderId: $order) { items { id } } }";
    let variables = json!({ "order": order, "payment": payment, "user": user });
    let answer = shop.try_graphql(&stranger, "f", foreign, variables).await;
    let codes: BTreeMap<_, _> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["path"][0].as_str().unwrap(), error["extensions"]["code"].as_str().unwrap()))
        .collect();
    let expected = ["order", "payment", "fetchOrdersById", "fetchUserById"].map(|field| (field, "NOT_FOUND"));
    assert_eq!(codes, expected.into(), "{answer}");
    assert_eq!(answer["data"]["payments"]["items"], json!([]));

    let administration =
        "{ fetchAllUsers { _id } fetchAllOrders { _id } users { items { id } } allOrders { items { id } } }";
    let answer = shop.try_graphql(&stranger, "f", administration, json!({})).await;
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORBIDDEN"), "{answer}");
    let cancel = "mutation C($order: ID!) { cancelOrder(id: $order) { id } }";
    let answer = shop.try_graphql(&stranger, "f", cancel, json!({ "order": order })).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{answer}");
}

#[tokio::test]
async fn te2_an_order_with_its_payment_is_paid_declined_or_refunded_by_cancelling() {
    let shop = Shop::open().await;
    let (token, product) = (shop.shopper().await, shop.product(5).await);
    let order = |card: &str| json!({ "items": [{ "productId": product, "quantity": 1 }], "payment": { "method": "card", "token": card } });
    let (status, paid) = shop.send(Method::POST, "/orders", &token, Some("paid"), Some(&order("tok_ok"))).await;
    assert_eq!((status, &paid["status"]), (201, &json!("paid")), "{paid}");
    let (status, declined) =
        shop.send(Method::POST, "/orders", &token, Some("declined"), Some(&order("tok_declined"))).await;
    assert_eq!(status, 402, "{declined}");
    assert!(declined["orderId"].is_string(), "{declined}");
    let path = format!("/orders/{}", paid["id"].as_str().unwrap());
    let (status, cancelled) = shop.send(Method::DELETE, &path, &token, None, None).await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")), "{cancelled}");
    let refunded = async || shop.send(Method::GET, &path, &token, None, None).await.1["paymentStatus"] == "refunded";
    comes_true("the money of a cancelled order goes back", refunded).await;
    comes_true("its stock goes back", async || shop.stock(&product).await == 4).await;
    shop.books_agree().await;
}

#[tokio::test]
async fn a_returned_unit_is_refunded_once_and_is_in_stock_again() {
    let shop = Shop::open().await;
    let (token, product) = (shop.shopper().await, shop.product(5).await);
    let admin = shop.login(ADMIN.0, ADMIN.1).await;
    let units = |units: u32| json!([{ "productId": product, "quantity": units }]);
    let body = json!({ "items": units(3), "payment": { "method": "card", "token": "tok_ok" } });
    let (_, order) = shop.send(Method::POST, "/orders", &token, Some("o"), Some(&body)).await;
    assert_eq!(order["status"], "paid", "{order}");
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    let parcel = json!({ "items": units(3), "carrier": "Parcel Post" });
    let (status, shipped) =
        shop.send(Method::POST, &format!("{path}/shipments"), &admin, Some("s"), Some(&parcel)).await;
    assert_eq!((status, &shipped["status"]), (201, &json!("shipped")), "{shipped}");
    let deliver = format!("{path}/shipments/{}/deliver", shipped["shipments"][0]["id"].as_str().unwrap());
    let (_, completed) = shop.send(Method::POST, &deliver, &admin, None, None).await;
    assert_eq!(completed["status"], "completed", "{completed}");
    let back = json!({ "items": units(1), "reason": "It is too bright" });
    let (status, requested) = shop.send(Method::POST, &format!("{path}/returns"), &token, Some("r"), Some(&back)).await;
    assert_eq!(status, 201, "{requested}");
    let id = requested["returns"][0]["id"].as_str().unwrap();
    let (status, _) = shop.send(Method::POST, &format!("{path}/returns/{id}/accept"), &admin, None, None).await;
    assert_eq!(status, 200);
    let receive = format!("{path}/returns/{id}/receive");
    let resellable = json!({ "resellable": true });
    for _ in 0..2 {
        assert_eq!(shop.send(Method::POST, &receive, &admin, None, Some(&resellable)).await.0, 200);
    }
    let refunded = async || {
        let (_, order) = shop.send(Method::GET, &path, &token, None, None).await;
        order["returns"][0]["status"] == "refunded" && order["paymentStatus"] == "partially_refunded"
    };
    comes_true("the price of the unit goes back and the order knows it", refunded).await;
    comes_true("the unit is in stock again", async || shop.stock(&product).await == 3).await;
    let kept = "select (captured_minor - refunded_minor)::bigint from payment";
    assert_eq!(shop.number("payment", kept).await, 2 * 1999, "one unit is refunded once");
    assert_eq!(shop.number("payment", "select count(*) from refund_attempt").await, 1);
    assert!(shop.command(&["verify", "orders"]).status().unwrap().success());
}

#[tokio::test]
async fn te2_forty_buyers_of_ten_units_buy_exactly_ten() {
    let shop = Shop::open().await;
    let product = shop.product(10).await;
    let mut tokens = Vec::new();
    for _ in 0..40 {
        tokens.push(shop.shopper().await);
    }
    let body = json!({ "items": [{ "productId": product, "quantity": 1 }], "payment": { "method": "card", "token": "tok_ok" } });
    let answers =
        join_all(tokens.iter().map(|token| shop.send(Method::POST, "/orders", token, Some("k"), Some(&body)))).await;
    let sold = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(sold, 10, "{answers:?}");
    assert!(
        answers
            .iter()
            .filter(|(status, _)| *status != 201)
            .all(|(status, body)| *status == 409 && body["code"] == "INSUFFICIENT_QUANTITY")
    );
    assert_eq!(shop.stock(&product).await, 0);
    comes_true("all ten are paid", async || {
        shop.number("order", "select count(*) from orders where status = 'paid'").await == 10
    })
    .await;
    shop.books_agree().await;
}

#[tokio::test]
async fn te2_repeated_kills_lose_and_duplicate_nothing() {
    let mut shop = Shop::open().await;
    let product = shop.product(1000).await;
    let mut tokens = Vec::new();
    for _ in 0..6 {
        tokens.push(shop.shopper().await);
    }
    let body = json!({ "items": [{ "productId": product, "quantity": 1 }], "payment": { "method": "card", "token": "tok_ok" } });
    for (round, acknowledged_before_the_kill) in [1, ORDERS_PER_ROUND / 4, ORDERS_PER_ROUND / 2].into_iter().enumerate()
    {
        let processes = mem::take(&mut shop.processes);
        let orders: Vec<(usize, String)> =
            (0..ORDERS_PER_ROUND).map(|n| (n % tokens.len(), format!("order-{round}-{n}"))).collect();
        let requests = orders.iter().map(|(who, key)| {
            let sent = shop.try_send(Method::POST, "/orders", &tokens[*who], Some(key), Some(&body));
            sent.map(move |answer| (key, answer))
        });
        let mut sending: FuturesUnordered<_> = requests.collect();
        let mut acknowledged = BTreeMap::new();
        while acknowledged.len() < acknowledged_before_the_kill {
            let (key, answer) = sending.next().await.expect("more orders than acknowledgements");
            if let Some((201, order)) = answer {
                acknowledged.insert(key, order["id"].as_str().unwrap().to_owned());
            }
        }
        drop(processes);
        drop(sending);
        shop.start().await;
        for (who, key) in &orders {
            let id = shop.insist(&tokens[*who], key, &body).await;
            assert!(acknowledged.get(key).is_none_or(|before| *before == id), "{key} is another order after the kill");
        }
    }
    comes_true("nothing is left under way", async || {
        shop.number("order", "select count(*) from orders where status not in ('paid', 'rejected', 'cancelled')").await
            == 0
            && shop.number("payment", "select count(*) from payment where status = 'pending'").await == 0
    })
    .await;
    let orders = i64::try_from(3 * ORDERS_PER_ROUND).unwrap();
    let paid = shop.number("order", "select count(*) from orders where status = 'paid'").await;
    assert_eq!(paid, orders, "one order a key");
    assert_eq!(shop.stock(&product).await, 1000 - orders);
    assert_eq!(shop.number("catalog", "select sum(reserved)::bigint from stock").await, 0, "every hold is committed");
    shop.books_agree().await;
    let verify = || shop.command(&["verify", "orders"]).stdout(Stdio::piped()).output().unwrap();
    let verified = verify();
    assert!(verified.status.success(), "{verified:?}");
    assert!(String::from_utf8_lossy(&verified.stdout).ends_with(" orders equal their histories\n"), "{verified:?}");
    let changed =
        "update orders set total_minor = 1 where id = (select min(id::text)::uuid from orders) returning 1::bigint";
    shop.number("order", changed).await;
    let verified = verify();
    let printed = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    assert!(printed.lines().count() == 1 && printed.ends_with(": other values in the row: total\n"), "{printed}");
}

#[tokio::test]
async fn da3_seeding_fills_a_catalog_with_believable_products_and_a_repetition_changes_nothing() {
    let shop = Shop::open().await;
    let seed = || {
        let seeded = shop.command(&["seed", "--url", &shop.gateway]).status().unwrap();
        assert!(seeded.success());
    };
    let catalog = async || {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/products?limit=100&sort=name{cursor}");
            let (status, page) = shop.send(Method::GET, &path, "", None, None).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["nextCursor"].as_str() else { return all };
            cursor = format!("&cursor={next}");
        }
    };
    seed();
    let first = catalog().await;
    let distinct = |field: &str| first.iter().map(|product| product[field].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!((first.len(), distinct("sku"), distinct("name"), distinct("category")), (500, 500, 500, 10));
    for product in &first {
        let texts = ["name", "description", "sku", "category", "brand", "supplier"];
        assert!(texts.iter().all(|field| product[field].as_str().is_some_and(|text| text.len() > 2)), "{product}");
        assert!(
            product["price"]["amount"].as_i64().unwrap() > 0 && product["stock"].as_i64().unwrap() > 0,
            "{product}"
        );
    }
    let path = format!("{}/api/v1/products/{}?currency=USD", shop.gateway, first[0]["id"].as_str().unwrap());
    let localized = shop.http.get(&path).header("accept-language", "de").send().await.unwrap();
    assert_eq!(localized.headers()["content-language"], "de");
    let localized: Value = localized.json().await.unwrap();
    assert_ne!((&localized["name"], &localized["price"]), (&first[0]["name"], &first[0]["price"]));
    let picture = format!("{}/api/v1/products/{}/image.svg", shop.gateway, first[0]["id"].as_str().unwrap());
    let picture = shop.http.get(&picture).send().await.unwrap();
    assert_eq!(
        (picture.status().as_u16(), &picture.headers()["content-type"]),
        (200, &"image/svg+xml".parse().unwrap())
    );
    seed();
    assert_eq!(catalog().await, first);

    // What an admin removed is back, as it was; nothing else is touched.
    let (admin, gone) = (shop.login(ADMIN.0, ADMIN.1).await, &first[17]);
    let path = format!("/products/{}", gone["id"].as_str().unwrap());
    let deleted = shop.send(Method::DELETE, &path, &admin, None, None).await;
    assert_eq!(deleted.0, 204, "{}", deleted.1);
    seed();
    let mut again = catalog().await;
    for field in ["id", "createdAt", "updatedAt"] {
        again[17][field] = gone[field].clone();
    }
    assert_eq!(again, first);
}

#[tokio::test]
async fn da9_lists_are_pages_of_a_bounded_number_of_rows() {
    let shop = Shop::open().await;
    let admin = shop.login(ADMIN.0, ADMIN.1).await;
    for _ in 0..3 {
        let (shopper, product) = (shop.shopper().await, shop.product(5).await);
        let order = json!({ "items": [{ "productId": product, "quantity": 1 }], "payment": { "method": "card", "token": "tok_ok" } });
        let (status, order) = shop.send(Method::POST, "/orders", &shopper, Some("o"), Some(&order)).await;
        assert_eq!((status, &order["status"]), (201, &json!("paid")), "{order}");
    }
    let get = async |path: &str| shop.send(Method::GET, path, &admin, None, None).await;
    for list in ["/products", "/orders", "/admin/orders", "/payments", "/admin/users", "/recommendations"] {
        let (status, refused) = get(&format!("{list}?limit=101")).await;
        assert_eq!((status, &refused["details"][0]["field"]), (422, &json!("limit")), "{list}: {refused}");
    }
    // Pages follow each other by key: a row that is added meanwhile moves none of them.
    for list in ["/products", "/admin/orders", "/admin/users"] {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        for _ in 0..3 {
            let (status, page) = get(&format!("{list}?limit=1{cursor}")).await;
            assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1), "{list}: {page}");
            ids.push(page["items"][0]["id"].to_string());
            cursor = page["nextCursor"].as_str().map(|next| format!("&cursor={next}")).unwrap_or_default();
            shop.product(1).await;
        }
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{list}: {ids:?}");
    }
}
