//! `/graphql` on the whole router: what it asks the services, what it refuses, and the schema.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use agora_chassis::WatchedFile;
use agora_gateway::{Documents, GraphQlSettings, Introspection, LegacyAliases, PersistedDocuments, sha256};
use agora_testkit::{Request, TestResponse};
use agora_web::Problem;
use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use axum::{
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::{
    Gateway, SERVICES, before, gateway_with,
    upstream::{Call, Upstream},
};

const FOREIGN: &str = "0192f0c1-0000-7000-8000-00000000dead";
const CALLER: &str = "00000000-0000-0000-0000-000000000007";
const TIME: &str = "2026-01-02T03:04:05Z";

/// Calls of services that a product page may need: the figure that the GraphQL API is made for.
const CALLS_OF_A_PRODUCT_PAGE_MAX: usize = 4;

fn id(number: usize) -> String {
    format!("0192f0c1-0000-7000-8000-{number:012}")
}

fn money(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "EUR" })
}

fn product(id: &str) -> Value {
    json!({
        "id": id, "name": format!("Product {id}"), "description": "Light", "sku": null, "price": money(1999), "stock": 5,
        "category": "Lighting", "brand": null, "supplier": null, "imageUrl": null, "sellerId": FOREIGN, "version": 3,
        "createdAt": TIME, "updatedAt": TIME,
    })
}

fn variant(product: &str) -> Value {
    json!({
        "id": FOREIGN, "productId": product, "name": "Large", "sku": null, "price": money(2099), "ownPrice": money(2099),
        "options": { "size": "L" }, "stock": 2, "version": 1, "createdAt": TIME, "updatedAt": TIME,
    })
}

/// An order with two lines of two products.
fn order(number: usize) -> Value {
    let line = |product: String| {
        json!({
            "productId": product, "variant": "", "name": "Lamp", "quantity": 2, "price": money(1999), "total": money(3998),
            "brand": null, "category": "Lighting", "supplier": null, "sellerId": FOREIGN,
        })
    };
    json!({
        "id": id(number), "number": format!("A-{}", 1_000_001 + number), "userId": CALLER, "status": "pending",
        "paymentStatus": "unpaid", "paymentId": null, "items": [line(id(number)), line(id(number + 1))],
        "total": money(7996), "shippingAddress": null, "version": 1, "expiresAt": TIME, "createdAt": TIME,
        "updatedAt": TIME,
    })
}

fn payment(number: usize) -> Value {
    json!({
        "id": id(number), "orderId": id(number), "orderStatus": null, "userId": CALLER, "status": "captured",
        "amount": money(7996), "authorised": money(7996), "captured": money(7996), "refunded": money(0), "method": "card",
        "captureMethod": "automatic", "nextAction": null, "referenceId": null, "authorizationCode": null,
        "responseCode": null, "responseMessage": null, "createdAt": TIME, "updatedAt": TIME,
    })
}

fn user() -> Value {
    json!({
        "id": CALLER, "email": "ada@example.com", "firstname": null, "lastname": null, "username": null, "name": "Ada",
        "phone": null, "roles": ["customer"], "status": "active", "createdAt": TIME, "updatedAt": TIME,
        "preferences": { "promotions": false, "orderUpdates": true, "recommendations": true },
    })
}

fn recommendation(number: usize) -> Value {
    json!({
        "productId": id(number), "name": "Lamp", "price": money(1999), "category": null, "imageUrl": null,
        "feedbackStats": { "positiveCount": 7, "negativeCount": 1 },
        "reason": { "type": "bestSeller", "text": "It sells best." },
    })
}

/// A shop that knows every product but `FOREIGN`, and all orders but that one.
fn shop(call: &Call) -> Option<Response> {
    let list = |items: Vec<Value>| json!({ "items": items });
    let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    let ids = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ids").map(|(_, ids)| ids.into_owned());
    let segments: Vec<&str> = path.strip_prefix("/api/v1/")?.split('/').collect();
    let (status, body) = match (&*call.method, &*segments) {
        (_, [.., FOREIGN]) => return Some(Problem::not_found().into_response()),
        ("GET", ["products"]) => (200, list(ids?.split(',').map(product).collect())),
        ("POST", ["products"]) => (201, product(&id(1))),
        (_, ["products", id]) => (200, product(id)),
        (_, ["products", id, "variants"]) => (200, list(vec![variant(id)])),
        (_, ["recommendations"]) => (200, list([1, 2, 3, 2].map(recommendation).to_vec())),
        ("POST", ["orders"]) => (201, order(1)),
        (_, ["orders"] | ["admin", "orders"]) => (200, list((0..20).map(order).collect())),
        (_, ["orders", _]) => (200, order(1)),
        (_, ["payments"]) => (200, list((0..20).map(payment).collect())),
        (_, ["admin", "users"]) => (200, list(vec![user()])),
        ("POST", ["auth", "register"]) => (201, user()),
        (_, ["auth", "login"]) => {
            let tokens = json!({ "accessToken": "access", "token": "access", "refreshToken": "refresh" });
            (200, merged(tokens, json!({ "tokenType": "Bearer", "expiresIn": 900, "user": user() })))
        }
        (_, ["users", ..]) => (200, user()),
        _ => return None,
    };
    Some((StatusCode::from_u16(status).unwrap(), agora_web::Json(body)).into_response())
}

fn merged(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

impl Gateway {
    fn ask(&self, query: &str) -> Request {
        self.app.post("/graphql", json!({ "query": query })).with(&self.token())
    }
}

async fn open() -> (Upstream, Gateway) {
    let upstream = Upstream::answering(shop).await;
    let gateway = before(&upstream);
    (upstream, gateway)
}

fn with_settings(upstream: &Upstream, graphql: GraphQlSettings) -> Gateway {
    gateway_with(SERVICES.map(|name| (name, upstream.address())).into(), LegacyAliases::Disabled, graphql)
}

fn introspecting(upstream: &Upstream) -> Gateway {
    let persisted = PersistedDocuments::open(None).unwrap();
    let settings = GraphQlSettings { introspection: Introspection::Enabled, documents: Documents::Any, persisted };
    with_settings(upstream, settings)
}

/// Asserts that nothing was executed, with this code for the only reason.
fn refused(answer: &TestResponse, code: &str) {
    let body = String::from_utf8_lossy(&answer.bytes);
    assert_eq!(answer.status, 400, "{body:.300}");
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{body:.300}");
    assert_eq!(errors[0]["extensions"]["code"], code, "{body:.300}");
    assert!(answer.body.get("data").is_none(), "{body:.300}");
}

#[test]
fn de17_the_committed_schema_is_the_one_that_is_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api");
    let files = BTreeMap::from([("schema.graphql".to_owned(), agora_gateway::sdl())]);
    agora_testkit::assert_generated(&folder, "schema.", &files);
}

/// Fields of the types and inputs of the schema.
fn fields() -> BTreeMap<String, BTreeSet<String>> {
    let document = parse_schema(agora_gateway::sdl()).unwrap();
    let definitions = document.definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    let named = definitions.map(|definition| {
        let names: BTreeSet<String> = match definition.kind {
            TypeKind::Object(object) => object.fields.iter().map(|field| field.node.name.node.to_string()).collect(),
            TypeKind::InputObject(input) => input.fields.iter().map(|field| field.node.name.node.to_string()).collect(),
            _ => BTreeSet::new(),
        };
        (definition.name.node.to_string(), names)
    });
    named.collect()
}

#[test]
fn gw4_the_schema_has_the_names_of_the_graphql_demo() {
    let fields = fields();
    for (name, expected) in [
        ("Query", "fetchAllUsers fetchUserById fetchAllProducts fetchProductById fetchAllOrders fetchOrdersById"),
        ("Mutation", "signup signin updateUserPreferences addProduct placeOrder"),
        ("User", "_id email name preferences createdAt updatedAt"),
        ("UserPreferences", "promotions orderUpdates recommendations"),
        ("Product", "_id name price quantity category"),
        ("Order", "_id userId products"),
        ("OrderProduct", "_id quantity name category price"),
        ("SignupResult", "access_token user"),
        ("SigninResult", "access_token user"),
        ("CreateUserInput", "name email password preferences"),
        ("SigninInput", "email password"),
        ("UserPreferencesInput", "promotions orderUpdates recommendations"),
        ("UpdateUserPreferencesInput", "promotions orderUpdates recommendations"),
        ("CreateProductInput", "name price quantity category"),
        ("OrderProductInput", "_id quantity"),
    ] {
        let found = fields.get(name).unwrap_or_else(|| panic!("there is no type {name}"));
        for field in expected.split(' ') {
            assert!(found.contains(field), "{name}.{field}");
        }
    }
}

#[tokio::test]
async fn gw4_the_operations_of_the_graphql_demo_are_answered_with_its_fields() {
    let (upstream, gateway) = open().await;
    let queries = format!(
        "{{ fetchAllUsers {{ _id email name createdAt updatedAt
                preferences {{ promotions orderUpdates recommendations }} }}
            fetchUserById(_id: \"{CALLER}\") {{ _id }}
            fetchProductById(id: \"{0}\") {{ _id name price quantity category }}
            fetchOrdersById(id: \"{0}\") {{ _id userId products {{ _id quantity name category price }} }} }}",
        id(1)
    );
    let answer = gateway.ask(&queries).await.expect(200);
    assert!(answer.body.get("errors").is_none(), "{}", answer.body);
    let data = &answer.body["data"];
    assert_eq!(data["fetchAllUsers"][0]["updatedAt"], TIME);
    assert_eq!(data["fetchUserById"]["_id"], CALLER);
    assert_eq!(data["fetchProductById"]["price"], 19.99);
    assert_eq!(data["fetchProductById"]["quantity"], 5);
    assert_eq!(data["fetchOrdersById"]["products"][0]["price"], 19.99);
    assert_eq!(data["fetchOrdersById"]["products"][0]["_id"], id(1));
    upstream.take();
    let answer = gateway.ask("{ fetchAllOrders { _id userId products { _id quantity } } }").await.expect(200);
    assert_eq!(answer.body["data"]["fetchAllOrders"].as_array().unwrap().len(), 20);
    assert_eq!(upstream.take(), ["GET /api/v1/admin/orders?limit=100"]);

    let signup = "mutation { signup(input: { name: \"Ada\", email: \"ada@example.com\", password: \"pass word\" }) {
        access_token user { _id } } }";
    let answer = gateway.ask(signup).await.expect(200);
    assert_eq!(answer.body["data"]["signup"], json!({ "access_token": "access", "user": { "_id": CALLER } }));
    assert_eq!(upstream.take(), ["POST /api/v1/auth/register", "POST /api/v1/auth/login"]);

    let changes = format!(
        "mutation {{ addProduct(input: {{ name: \"Lamp\", price: 19.99, quantity: 5, category: \"Lighting\" }}) {{ _id }}
            placeOrder(products: [{{ _id: \"{}\", quantity: 2 }}]) {{ _id }}
            updateUserPreferences(id: \"{CALLER}\", preferences: {{ promotions: false }}) {{ _id }} }}",
        id(1)
    );
    gateway.ask(&changes).await.expect(200);
    let calls = upstream.calls();
    let bodies: Vec<Value> = calls.iter().map(|call| serde_json::from_str(&call.body).unwrap()).collect();
    assert_eq!(
        bodies[0],
        json!({ "name": "Lamp", "price": money(1999), "stock": 5, "category": "Lighting" }),
        "the price is exact"
    );
    assert_eq!(bodies[1], json!({ "items": [{ "productId": id(1), "quantity": 2, "variant": null }] }));
    assert!(!calls[1].header("idempotency-key").is_empty(), "an order needs a key");
    assert_eq!(bodies[2]["promotions"], false);
}

#[tokio::test]
async fn gw3_a_product_page_needs_four_calls_of_services() {
    let (upstream, gateway) = open().await;
    let page = format!(
        "{{ product(id: \"{}\") {{ name unitPrice {{ amount currency decimal }} stock
                variants {{ items {{ name options }} }} }}
            recommendations {{ items {{ reason {{ text }} product {{ id name price }} }} }} }}",
        id(9)
    );
    let answer = gateway.ask(&page).await.expect(200);
    assert!(answer.body.get("errors").is_none(), "{}", answer.body);
    let data = &answer.body["data"];
    assert_eq!(data["product"]["unitPrice"], json!({ "amount": 1999, "currency": "EUR", "decimal": 19.99 }));
    assert_eq!(data["product"]["variants"]["items"][0]["options"]["size"], "L");
    assert_eq!(data["recommendations"]["items"][3]["product"]["id"], id(2));
    let calls = upstream.take();
    assert!(calls.len() <= CALLS_OF_A_PRODUCT_PAGE_MAX, "{calls:?}");
}

#[tokio::test]
async fn gw3_the_products_of_all_lines_are_read_with_one_call() {
    let (upstream, gateway) = open().await;
    let answer = gateway.ask("{ orders { items { number items { product { id stock } } } } }").await.expect(200);
    assert!(answer.body.get("errors").is_none(), "{}", answer.body);
    assert_eq!(answer.body["data"]["orders"]["items"][19]["items"][1]["product"], json!({ "id": id(20), "stock": 5 }));
    let calls = upstream.take();
    assert_eq!(calls.len(), 2, "{calls:?}");
    let ids = calls[1].strip_prefix("GET /api/v1/products?ids=").unwrap().split("%2C");
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 21, "each product once");

    gateway.ask("{ orders { items { items { product { id } } } } }").await.expect(200);
    assert_eq!(upstream.take().len(), 2, "nothing is kept for another request");
}

#[tokio::test]
async fn gw3_the_orders_of_payments_and_the_users_of_orders_are_read_with_one_call() {
    let (upstream, gateway) = open().await;
    let ids = (0..20).map(id).collect::<Vec<_>>();
    let answer = gateway.ask("{ payments { items { order { id } } } }").await.expect(200);
    let orders: Vec<_> = ids.iter().map(|id| json!({ "order": { "id": id } })).collect();
    assert_eq!(answer.body, json!({ "data": { "payments": { "items": orders } } }));
    let calls = upstream.take();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[1].starts_with("GET /api/v1/orders?ids="), "{calls:?}");

    let answer = gateway.ask("{ allOrders { items { user { email } } } }").await.expect(200);
    let users = vec![json!({ "user": { "email": "ada@example.com" } }); 20];
    assert_eq!(answer.body, json!({ "data": { "allOrders": { "items": users } } }));
    let calls = upstream.take();
    assert_eq!(calls[1..], [format!("GET /api/v1/admin/users?ids={CALLER}")]);
}

#[tokio::test]
async fn gw4_services_are_asked_with_the_clients_identity_and_nothing_else_of_it() {
    let (upstream, gateway) = open().await;
    let token = gateway.token();
    let request = gateway.ask(&format!("{{ order(id: \"{}\") {{ id }} }}", id(1)));
    let sent = ["x-user-id", "x-internal-token", "if-match", "if-none-match", "cookie"]
        .iter()
        .fold(request, |request, name| request.header(name, "forged"));
    sent.header("accept-language", "de").header("x-request-id", "r-1").await.expect(200);
    let [call] = <[_; 1]>::try_from(upstream.calls()).unwrap();
    assert_eq!(call.target, format!("/api/v1/orders/{}", id(1)));
    assert_eq!(call.header("authorization"), format!("Bearer {token}"));
    assert_eq!((call.header("accept-language"), call.header("x-request-id")), ("de", "r-1"));
    assert!(call.headers.values().all(|value| value != "forged"), "{:?}", call.headers);
    upstream.take();

    gateway.app.post("/graphql", json!({ "query": "{ me { id } }" })).await.expect(200);
    assert_eq!(upstream.calls()[0].header("authorization"), "", "the service decides what needs a token");
    gateway.app.post("/graphql", json!({ "query": "{ me { id } }" })).with("forged").await.expect(401);
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn gw4_each_change_of_a_repeated_request_has_the_same_key_of_its_own() {
    let (upstream, gateway) = open().await;
    let orders = "mutation { one: createOrder(input: {}) { id } two: createOrder(input: {}) { id } }";
    let keys = async |key: &str| -> Vec<String> {
        gateway.ask(orders).key(key).await.expect(200);
        let keys = upstream.calls().iter().map(|call| call.header("idempotency-key").to_owned()).collect();
        upstream.take();
        keys
    };
    let [one, two] = <[_; 2]>::try_from(keys("k-1").await).unwrap();
    assert!(!one.is_empty() && !two.is_empty() && one != two);
    assert_eq!(keys("k-1").await, [one.clone(), two]);
    assert_ne!(keys("k-2").await[0], one);
    gateway.ask(orders).await.expect(200);
    assert_eq!(upstream.calls()[0].header("idempotency-key"), "", "the order service refuses an order without a key");
}

#[tokio::test]
async fn gw4_a_foreign_id_is_not_found_at_its_path_and_the_other_fields_are_answered() {
    let (upstream, gateway) = open().await;
    let query = format!(
        "{{ me {{ id }} mine: order(id: \"{}\") {{ number }} foreign: order(id: \"{FOREIGN}\") {{ number }} }}",
        id(1)
    );
    let answer = gateway.ask(&query).await.expect(200);
    let data = json!({ "me": { "id": CALLER }, "mine": { "number": "A-1000002" }, "foreign": null });
    assert_eq!(answer.body["data"], data);
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["path"], json!(["foreign"]));
    assert_eq!(
        (&errors[0]["extensions"]["code"], &errors[0]["extensions"]["status"]),
        (&json!("NOT_FOUND"), &json!(404))
    );
    assert_eq!(upstream.take().len(), 3);

    for path in ["../../auth/validate", "..", "%2e%2e", "a/b", "?x=1", ""] {
        let body = json!({ "query": "query Q($id: ID!) { order(id: $id) { number } }", "variables": { "id": path } });
        gateway.app.post("/graphql", body).with(&gateway.token()).await.expect(200);
        for call in upstream.take() {
            let rest = call.strip_prefix("GET /api/v1/orders/").unwrap_or_else(|| panic!("{path} became {call}"));
            assert!(!rest.contains(['/', '?', '.']), "{path} became {call}");
        }
    }
}

#[tokio::test]
async fn gw4_an_error_shows_no_internals() {
    let broken: crate::upstream::Answer =
        |_| Some((StatusCode::BAD_GATEWAY, "panicked at 10.0.0.7:5432").into_response());
    let upstream = Upstream::answering(broken).await;
    let gateway = before(&upstream);
    let answer = gateway.ask("{ me { id } }").await.expect(200);
    assert_eq!(answer.body["errors"][0]["extensions"]["code"], "INTERNAL");
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("10.0.0.7"), "{}", answer.body);
    let away = with_addresses("http://127.0.0.1:1");
    let answer = away.ask("{ me { id } }").await.expect(200);
    let error = &answer.body["errors"][0];
    assert_eq!((&error["extensions"]["code"], &error["path"]), (&json!("UPSTREAM_UNAVAILABLE"), &json!(["me"])));
    assert!(!String::from_utf8_lossy(&answer.bytes).contains("127.0.0.1"), "{}", answer.body);
}

fn with_addresses(address: &str) -> Gateway {
    crate::gateway(SERVICES.map(|name| (name, address.to_owned())).into(), LegacyAliases::Disabled)
}

#[tokio::test]
async fn gw4_what_costs_too_much_is_refused_before_a_service_is_asked() {
    let (upstream, gateway) = open().await;
    let nested = "{ orders { items { items { product { variants { items { price { amount { x } } } } } } } } }";
    let aliases: String = (0..21).map(|number| format!("a{number}: me {{ id }} ")).collect();
    let signin = |number: usize| {
        format!("s{number}: signin(input: {{ email: \"a@b.c\", password: \"{number}\" }}) {{ tokenType }} ")
    };
    let signins: String = (0..2).map(signin).collect();
    let selected = "{ items { items { product { variants { items { id } } } } } }";
    let lines_of = |limit: &str| format!("{{ orders(limit: {limit}) {selected} }}");
    let ids: String = (0..2_000).map(|number| format!("\"{number}\" ")).collect();
    for (query, code) in [
        (nested.to_owned(), "QUERY_TOO_DEEP"),
        (format!("{{ {aliases} }}"), "TOO_MANY_ALIASES"),
        (format!("mutation {{ {signins} }}"), "QUERY_TOO_COMPLEX"),
        (lines_of("100"), "QUERY_TOO_COMPLEX"),
        (lines_of("-1"), "QUERY_TOO_COMPLEX"),
        (format!("{{ stock(ids: [{ids}]) {{ items {{ stock }} }} }}"), "DOCUMENT_TOO_LARGE"),
        (format!("{{ stock(ids: {}) {{ items {{ stock }} }} }}", "[".repeat(40)), "DOCUMENT_TOO_LARGE"),
        ("{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A }".to_owned(), "INVALID_QUERY"),
        ("{ me { id ".to_owned(), "INVALID_QUERY"),
        ("query A { me { id } } query B { me { id } }".to_owned(), "INVALID_QUERY"),
    ] {
        refused(&gateway.ask(&query).await, code);
    }
    let query = format!("query Q($n: Int!) {}", lines_of("$n"));
    let variables = json!({ "query": query, "variables": { "n": 100 } });
    refused(&gateway.app.post("/graphql", variables).with(&gateway.token()).await, "QUERY_TOO_COMPLEX");
    let large = json!({ "query": format!("{{ me {{ id }} }} # {}", "x".repeat(64 << 10)) });
    gateway.app.post("/graphql", large).with(&gateway.token()).await.expect(413);
    assert_eq!(upstream.calls().len(), 0);
}

/// What graphql-cop looks for: each is refused, or tells nothing.
#[tokio::test]
async fn gw4_the_checks_of_graphql_cop_find_nothing() {
    let (upstream, gateway) = open().await;
    let post = |body: Value| gateway.app.post("/graphql", body).with(&gateway.token());
    // Alias overloading, field duplication, directive overloading.
    let aliases: String = (0..101).map(|number| format!("alias{number}: __typename ")).collect();
    refused(&gateway.ask(&format!("query cop {{ {aliases} }}")).await, "TOO_MANY_ALIASES");
    refused(&gateway.ask(&format!("query cop {{ {} }}", "__typename ".repeat(500))).await, "TOO_MANY_FIELDS");
    refused(&gateway.ask(&format!("query cop {{ __typename {} }}", "@aa".repeat(10))).await, "TOO_MANY_DIRECTIVES");
    // Array-based batching.
    let one = json!({ "query": "query cop { __typename }" });
    refused(&post(json!(vec![one.clone(); 10])).await, "BATCHING_NOT_SUPPORTED");
    // Introspection, and in a circle where it is on.
    let (opened, closed) = ("fields { type { ".repeat(4), " } }".repeat(4));
    let circle = format!("query cop {{ __schema {{ types {{ {opened}name{closed} }} }} }}");
    refused(&gateway.ask("query cop { __schema { types { name fields { name } } } }").await, "INTROSPECTION_DISABLED");
    refused(&gateway.ask(&circle).await, "INTROSPECTION_DISABLED");
    refused(&introspecting(&upstream).ask(&circle).await, "QUERY_TOO_DEEP");
    // Queries and mutations by GET, and a page to type them in.
    for path in ["/graphql?query={__typename}", "/graphql?query=mutation%20cop%20{__typename}", "/graphql"] {
        let answer = gateway.app.get(path).header("accept", "text/html").with(&gateway.token()).await.expect(426);
        assert_eq!(answer.body["code"], "UPGRADE_REQUIRED", "a GET opens a WebSocket alone");
    }
    for path in ["/graphiql", "/playground", "/console", "/altair", "/graphql/console"] {
        gateway.app.get(path).await.expect(404);
    }
    // A form that a page of another origin may send.
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
        let form = gateway.app.request(Method::POST, "/graphql").header("content-type", kind);
        form.raw("query=query%20cop%20%7B__typename%7D").await.expect(415);
    }
    // Suggested names.
    let misspelt = gateway.ask("query cop { produkt }").await;
    refused(&misspelt, "INVALID_QUERY");
    assert!(!String::from_utf8_lossy(&misspelt.bytes).contains("Did you mean"), "{}", misspelt.body);
    // Tracing and debug output.
    let traced = post(json!({ "query": "query cop { __typename }" })).header("x-apollo-tracing", "1").await.expect(200);
    assert_eq!(traced.body, json!({ "data": { "__typename": "Query" } }));
    for body in [json!({ "query": "query cop { __typename", "variables": {} }), json!({ "qwerty": "abc" }), json!({})] {
        let answer = post(body).await.expect(400);
        let text = String::from_utf8_lossy(&answer.bytes).to_lowercase();
        for internal in ["exception", "stack", "panick", ".rs", "async-graphql", "async_graphql"] {
            assert!(!text.contains(internal), "{text}");
        }
    }
    assert_eq!(upstream.calls().len(), 0);
}

#[tokio::test]
async fn gw4_the_schema_can_be_asked_for_where_introspection_is_on() {
    let upstream = Upstream::answering(shop).await;
    let gateway = introspecting(&upstream);
    // The query that tools send, with the same depth and lists.
    let of_types = format!("{}kind name{}", "kind name ofType { ".repeat(9), " }".repeat(9));
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }} types {{ ...FullType }}
            directives {{ name description locations args {{ ...InputValue }} }} }} }}
        fragment FullType on __Type {{ kind name description inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
            fields(includeDeprecated: true) {{ name args {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated }}
            enumValues(includeDeprecated: true) {{ name isDeprecated }} possibleTypes {{ ...TypeRef }} }}
        fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
        fragment TypeRef on __Type {{ {of_types} }}"
    );
    let answer = gateway.ask(&query).await.expect(200);
    assert!(answer.body.get("errors").is_none(), "{}", answer.body["errors"]);
    let types = answer.body["data"]["__schema"]["types"].as_array().unwrap();
    assert!(types.iter().any(|found| found["name"] == "OrderProduct"));
}

#[tokio::test]
async fn gw4_where_only_listed_documents_are_executed_others_are_refused() {
    let upstream = Upstream::answering(shop).await;
    let known = "{ me { id } }";
    let list = WatchedFile::fixed(json!({ sha256(known): known }).to_string());
    let settings = |documents| GraphQlSettings {
        introspection: Introspection::Disabled,
        documents,
        persisted: PersistedDocuments::open(Some(list.clone())).unwrap(),
    };
    let only_listed = with_settings(&upstream, settings(Documents::Persisted));
    let any = with_settings(&upstream, settings(Documents::Any));
    let named = |hash: String| json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } });
    let send = |gateway: &Gateway, body: Value| gateway.app.post("/graphql", body).with(&gateway.token());
    for gateway in [&only_listed, &any] {
        let by_hash = send(gateway, named(sha256(known))).await.expect(200);
        assert_eq!(by_hash.body["data"]["me"]["id"], CALLER);
        gateway.ask(known).await.expect(200);
        refused(&send(gateway, named(sha256("{ cart { id } }"))).await, "PERSISTED_QUERY_NOT_FOUND");
        let other = merged(named(sha256(known)), json!({ "query": "{ cart { id } }" }));
        refused(&send(gateway, other).await, "PERSISTED_QUERY_HASH_MISMATCH");
    }
    upstream.take();
    refused(&only_listed.ask("{ me { id email } }").await, "PERSISTED_QUERY_REQUIRED");
    assert_eq!(upstream.calls().len(), 0);
    any.ask("{ me { id email } }").await.expect(200);
}

#[tokio::test]
async fn gw4_an_answer_has_the_media_type_that_the_client_accepts_and_is_stored_nowhere() {
    let (_upstream, gateway) = open().await;
    let anonymous = || gateway.app.post("/graphql", json!({ "query": "{ __typename }" }));
    let plain = anonymous().await.expect(200);
    assert_eq!((plain.header("content-type"), plain.header("cache-control")), ("application/json", "no-store"));
    let accepted = "application/graphql-response+json; charset=utf-8, application/json;q=0.9";
    let new = anonymous().header("accept", accepted).await.expect(200);
    assert_eq!(new.header("content-type"), "application/graphql-response+json");
    assert!(!new.header("x-request-id").is_empty());
}
