//! The GraphQL API: what graphql-cop looks for, and what belongs to others by its fields. Most of it must be refused before
//! a service is asked.

use std::fmt::Write as _;

use agora_vocab::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    family::Family,
    world::{self, World, text_of},
};

/// Something that no message to a client contains.
const INTERNALS: [&str; 8] =
    ["exception", "stack", "panick", ".rs", "async-graphql", "async_graphql", "sqlx", "127.0.0.1"];

pub async fn attack(world: &World) -> Family {
    let mut family = Family::new("GraphQL");
    for (attack, body, code) in refused() {
        let (status, answer) = world::answer(post(world, &world.attacker).json(&body)).await;
        let seen = text_of(&answer["errors"][0]["extensions"]["code"]).to_owned();
        family.expect(attack, (400, code.to_owned(), true), (status, seen, answer.get("data").is_none()));
    }
    transports(world, &mut family).await;
    messages(world, &mut family).await;
    others(world, &mut family).await;
    roles(world, &mut family).await;
    guesses(world, &mut family).await;
    family
}

fn post(world: &World, token: &str) -> RequestBuilder {
    world.request(Method::POST, "/graphql").bearer_auth(token)
}

/// `count` repetitions of what a number becomes.
fn repeated(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut all, number| {
        let _ = write!(all, "{} ", one(number));
        all
    })
}

/// Bodies that nothing is executed of, and the code of the refusal.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let query = |text: String| json!({ "query": text });
    let aliases = |count| repeated(count, |number| format!("alias{number}: __typename"));
    let signin = |number: usize| {
        format!("s{number}: signin(input: {{ email: \"admin@example.com\", password: \"{number}\" }}) {{ tokenType }}")
    };
    let circle = format!("{{ __schema {{ types {{ {}name{} }} }} }}", "fields { type { ".repeat(4), " } }".repeat(4));
    let spread = |number: usize| format!("fragment F{number} on User {{ ...F{0} ...F{0} }}", number + 1);
    let bomb = format!("{{ me {{ ...F0 }} }} {} fragment F40 on User {{ id }}", repeated(40, spread));
    let lines = "{ items { items { product { variants { items { id } } } } } }";
    let ids = repeated(2_000, |number| format!("\"{number}\""));
    vec![
        ("alias overloading", query(format!("query cop {{ {} }}", aliases(101))), "TOO_MANY_ALIASES"),
        ("one alias too many", query(format!("{{ {} }}", aliases(21))), "TOO_MANY_ALIASES"),
        ("field duplication", query(format!("query cop {{ {} }}", "__typename ".repeat(500))), "TOO_MANY_FIELDS"),
        (
            "directive overloading",
            query(format!("query cop {{ __typename {} }}", "@aa".repeat(10))),
            "TOO_MANY_DIRECTIVES",
        ),
        (
            "array-based batching",
            json!(vec![json!({ "query": "query cop { __typename }" }); 10]),
            "BATCHING_NOT_SUPPORTED",
        ),
        ("an empty batch", json!([]), "BATCHING_NOT_SUPPORTED"),
        (
            "introspection",
            query("query cop { __schema { types { name fields { name } } } }".into()),
            "INTROSPECTION_DISABLED",
        ),
        (
            "introspection of a type",
            query("{ __type(name: \"User\") { fields { name } } }".into()),
            "INTROSPECTION_DISABLED",
        ),
        (
            "introspection in a fragment",
            query("{ ...S } fragment S on Query { __schema { types { name } } }".into()),
            "INTROSPECTION_DISABLED",
        ),
        ("circular introspection", query(circle), "INTROSPECTION_DISABLED"),
        ("field suggestions", query("query cop { produkt }".into()), "INVALID_QUERY"),
        (
            "fragments in a circle",
            query("{ me { ...A } } fragment A on User { ...B } fragment B on User { ...A }".into()),
            "INVALID_QUERY",
        ),
        ("two operations without a name", query("query A { me { id } } query B { me { id } }".into()), "INVALID_QUERY"),
        ("a document without an end", query("{ me { id ".into()), "INVALID_QUERY"),
        (
            "depth",
            query(
                "{ orders { items { items { product { variants { items { price { amount { x } } } } } } } } }".into(),
            ),
            "QUERY_TOO_DEEP",
        ),
        ("many fields by fragments", query(bomb), "TOO_MANY_FIELDS"),
        ("large pages in each other", query(format!("{{ orders(limit: 100) {lines} }}")), "QUERY_TOO_COMPLEX"),
        ("a negative page", query(format!("{{ orders(limit: -1) {lines} }}")), "QUERY_TOO_COMPLEX"),
        (
            "a large page in a variable",
            json!({ "query": format!("query Q($n: Int!) {{ orders(limit: $n) {lines} }}"), "variables": { "n": 100 } }),
            "QUERY_TOO_COMPLEX",
        ),
        (
            "guesses of a password in one request",
            query(format!("mutation {{ {} }}", repeated(2, signin))),
            "QUERY_TOO_COMPLEX",
        ),
        ("many ids", query(format!("{{ stock(ids: [{ids}]) {{ items {{ stock }} }} }}")), "DOCUMENT_TOO_LARGE"),
        (
            "deep brackets",
            query(format!("{{ stock(ids: {}) {{ items {{ stock }} }} }}", "[".repeat(40))),
            "DOCUMENT_TOO_LARGE",
        ),
        ("an unknown member", json!({ "query": "{ me { id } }", "batch": 1 }), "INVALID_REQUEST"),
        (
            "an invented document",
            json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "ab" } } }),
            "PERSISTED_QUERY_NOT_FOUND",
        ),
    ]
}

/// Other ways to send a request than the one that there is.
async fn transports(world: &World, family: &mut Family) {
    for path in ["/graphql?query={__typename}", "/graphql?query=mutation%20cop%20{__typename}", "/graphql"] {
        let get = world.request(Method::GET, path).bearer_auth(&world.attacker).header("accept", "text/html");
        family.expect(format!("GET {path}"), 426, world::answer(get).await.0);
    }
    for path in ["/graphiql", "/playground", "/console", "/altair", "/graphql/console"] {
        family.expect(path, 404, world::answer(world.request(Method::GET, path)).await.0);
    }
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
        let form = post(world, &world.attacker).header("content-type", kind);
        let form = form.body("query=query%20cop%20%7B__typename%7D");
        family.expect(format!("a form of {kind}"), 415, world::answer(form).await.0);
    }
    let large = json!({ "query": format!("{{ me {{ id }} }} # {}", "x".repeat(64 << 10)) });
    family.expect("a large document", 413, world::answer(post(world, &world.attacker).json(&large)).await.0);
    let forged = post(world, "forged").json(&json!({ "query": "{ me { id } }" }));
    family.expect("a forged token", 401, world::answer(forged).await.0);
}

/// Debug output, suggested names, and names of what is inside.
async fn messages(world: &World, family: &mut Family) {
    let traced = post(world, &world.attacker).header("x-apollo-tracing", "1");
    let traced = world::answer(traced.json(&json!({ "query": "query cop { __typename }" }))).await;
    family.expect("tracing", (200, json!({ "data": { "__typename": "Query" } })), traced);
    for body in [
        json!({ "query": "query cop { produkt }" }),
        json!({ "query": "query cop { product(id: 1) { nam } }" }),
        json!({ "query": "query cop { __typename" }),
        json!({ "qwerty": "abc" }),
        json!({}),
        json!({ "query": "query Q($id: ID!) { order(id: $id) { id } }", "variables": { "id": { "$ne": 1 } } }),
    ] {
        let answer = world::answer(post(world, &world.attacker).json(&body)).await.1.to_string();
        let lower = answer.to_lowercase();
        let found: Vec<_> = INTERNALS.iter().filter(|word| lower.contains(*word)).collect();
        family.expect(format!("what the answer to {body} reveals"), Vec::<&&str>::new(), found);
        family.expect(format!("a suggestion for {body}"), false, answer.contains("Did you mean"));
    }
}

/// Ids of the victim in fields, in lists and in changes.
async fn others(world: &World, family: &mut Family) {
    let victim = &world.victim;
    let variables =
        json!({ "order": victim.order, "payment": victim.payment, "user": victim.id, "line": victim.cart_line });
    for (field, declared) in [
        ("order(id: $order) { id }", "$order: ID!"),
        ("payment(id: $payment) { id }", "$payment: ID!"),
        ("fetchOrdersById(id: $order) { _id }", "$order: ID!"),
        ("fetchUserById(_id: $user) { _id }", "$user: ID!"),
    ] {
        let body = json!({ "query": format!("query F({declared}) {{ it: {field} }}"), "variables": variables });
        let answer = world::answer(post(world, &world.attacker).json(&body)).await;
        family.expect(field, (200, "NOT_FOUND".to_owned(), Value::Null), seen(answer));
        let anonymous = world::answer(world.request(Method::POST, "/graphql").json(&body)).await;
        family.expect(format!("{field} without a token"), (200, "NO_TOKEN".to_owned(), Value::Null), seen(anonymous));
    }
    for (field, declared) in [("cancelOrder(id: $order) { id }", "$order: ID!")] {
        let body = json!({ "query": format!("mutation F({declared}) {{ it: {field} }}"), "variables": variables });
        let answer = world::answer(post(world, &world.attacker).json(&body)).await;
        family.expect(field, (200, "NOT_FOUND".to_owned(), Value::Null), seen(answer));
    }
    let list = "query F($order: ID!) { it: payments(orderId: $order) { items { id } } }";
    let list = json!({ "query": list, "variables": variables });
    let (_, answer) = world::answer(post(world, &world.attacker).json(&list)).await;
    family.expect("payments of the victim's order", json!([]), answer["data"]["it"]["items"].clone());
    for id in ["../../auth/validate", "..", "%2e%2e", "a/b", "?x=1", "' or 1=1 --"] {
        let body = json!({ "query": "query Q($id: ID!) { it: order(id: $id) { number } }", "variables": { "id": id } });
        let (status, _, data) = seen(world::answer(post(world, &world.attacker).json(&body)).await);
        family.expect(format!("{id} for an id"), (200, Value::Null), (status, data));
    }
}

/// Status, code of the first error, and what the field `it` has.
fn seen((status, answer): (u16, Value)) -> (u16, String, Value) {
    let code = text_of(&answer["errors"][0]["extensions"]["code"]).to_owned();
    (status, code, answer["data"]["it"].clone())
}

/// Fields of employees, asked by customers and by the role that has least to do with them.
async fn roles(world: &World, family: &mut Family) {
    for field in [
        "users { items { id } }",
        "fetchAllUsers { _id }",
        "allOrders { items { id } }",
        "fetchAllOrders { _id }",
        "allNotifications { items { id } }",
        "topProducts { items { productId } }",
        "coupons { items { code } }",
        "shippingMethods { items { code } }",
        "taxRules { items { country } }",
        "suppliers { items { name } }",
        "locations { items { name } }",
        "warehouses { items { name } }",
    ] {
        let body = json!({ "query": format!("{{ it: {field} }}") });
        for (who, token) in
            [("a customer", world.attacker.clone()), ("no role", world.keys.token(world.attacker_id, &[]))]
        {
            let answer = world::answer(post(world, &token).json(&body)).await;
            family.expect(format!("{field} as {who}"), (200, "FORBIDDEN".to_owned(), Value::Null), seen(answer));
        }
    }
    let add = "mutation { it: addProduct(input: { name: \"Evil\", price: 1, quantity: 1, category: \"X\" }) { _id } }";
    for role in [Role::Customer, Role::Support, Role::Warehouse, Role::Finance] {
        let answer = world::answer(post(world, &world.staff(role)).json(&json!({ "query": add }))).await;
        family.expect(
            format!("a product of {}", role.as_str()),
            (200, "FORBIDDEN".to_owned(), Value::Null),
            seen(answer),
        );
    }
}

/// A guess by GraphQL is one of the account's guesses, and answers as REST does.
async fn guesses(world: &World, family: &mut Family) {
    let guess = |email: &str| {
        let input = format!("{{ email: \"{email}\", password: \"wrong horse battery\" }}");
        json!({ "query": format!("mutation {{ it: signin(input: {input}) {{ tokenType }} }}") })
    };
    for email in ["shopper-0@example.com", "nobody@example.com"] {
        let answer = world::answer(world.request(Method::POST, "/graphql").json(&guess(email))).await;
        let expected = (200, "INVALID_CREDENTIALS".to_owned(), Value::Null);
        family.expect(format!("a guess for {email}"), expected, seen(answer));
    }
}
