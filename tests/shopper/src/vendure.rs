//! Client of a Vendure shop on this machine, for the comparison of `cargo xtask bench peer`: the same visit as in
//! Agora, over Vendure's GraphQL shop API. Must not be used for anything else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Url, redirect::Policy};
use serde_json::{Value, json};

use crate::{
    buy::nonce,
    random::Random,
    rush::{BuyerOutcome, RushResult, start_together, summed},
};

const ANSWER_SECONDS_MAX: u64 = 120;
/// Time limit per buyer of a rush.
const RUSH_TIMEOUT: Duration = Duration::from_mins(3);
const IDLE_CONNECTIONS_MAX: usize = 128;
/// Concurrent registrations; password hashing is expensive.
const REGISTRATIONS_AT_ONCE: usize = 2;
/// Products of a page, the most that Vendure returns, and the most pages that are read.
const PAGE_PRODUCTS: usize = 100;
const PAGES_MAX: usize = 100;
const TOKEN_HEADER: &str = "vendure-auth-token";
const PAYMENT_METHOD: &str = "dummy";
/// Codes of errors that mean that the stock did not suffice.
const SHORT: [&str; 3] = ["INSUFFICIENT_STOCK_ERROR", "ORDER_STATE_TRANSITION_ERROR", "ORDER_PAYMENT_STATE_ERROR"];

const LIST: &str =
    "query { products(options: { take: 20 }) { items { id name slug variants { id price stockLevel } } } }";
const ADD: &str = "mutation ($variant: ID!) { addItemToOrder(productVariantId: $variant, quantity: 1) \
    { __typename ... on Order { id code totalWithTax } ... on ErrorResult { errorCode message } } }";
const CUSTOMER: &str = "mutation ($email: String!) { setCustomerForOrder(input: { firstName: \"Ada\", lastName: \"Lovelace\", \
    emailAddress: $email }) { __typename ... on ErrorResult { errorCode message } } }";
/// Address, shipping method and the order's state in one request: Agora's `POST /orders` is one request, too.
const ORDER: &str = "mutation ($address: CreateAddressInput!, $method: [ID!]!) { \
    setOrderShippingAddress(input: $address) { __typename ... on ErrorResult { errorCode message } } \
    setOrderShippingMethod(shippingMethodId: $method) { __typename ... on ErrorResult { errorCode message } } \
    transitionOrderToState(state: \"ArrangingPayment\") { __typename ... on Order { state } ... on ErrorResult { errorCode message } } }";
const PAY: &str = "mutation ($method: String!) { addPaymentToOrder(input: { method: $method, metadata: {} }) \
    { __typename ... on Order { code state } ... on ErrorResult { errorCode message } } }";
const READ: &str = "query ($code: String!) { orderByCode(code: $code) { code state totalWithTax \
    lines { quantity productVariant { id name } } payments { state amount } } }";
const RESET: &str = "mutation { transitionOrderToState(state: \"AddingItems\") { __typename } \
    removeAllOrderLines { __typename } }";
const REGISTER: &str = "mutation ($email: String!, $password: String!) { registerCustomerAccount(input: { \
    emailAddress: $email, password: $password }) { __typename ... on ErrorResult { errorCode message } } }";
const LOGIN: &str = "mutation ($email: String!, $password: String!) { login(username: $email, password: $password) \
    { __typename ... on ErrorResult { errorCode message } } }";
const SHIPPING: &str = "query { activeShippingMethods { id } }";
const VARIANTS: &str = "query ($skip: Int!, $take: Int!) { products(options: { skip: $skip, take: $take }) \
    { items { variants { id sku } } } }";

/// A Vendure shop; clones share connections and failure counts.
#[derive(Clone, Debug)]
pub struct Vendure {
    http: reqwest::Client,
    url: Url,
    failures: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A registered, logged-in shopper.
#[derive(Clone, Debug)]
pub struct VendureShopper {
    shop: Vendure,
    token: String,
    catalog: Arc<Catalog>,
}

/// What a storefront knows about the shop before a visit.
#[derive(Debug)]
struct Catalog {
    shipping: Value,
    /// Id and SKU of all variants.
    variants: Vec<(Value, String)>,
}

impl Vendure {
    /// A client for a URL such as `http://127.0.0.1:30090/shop-api`. Any other host is an error.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url).with_context(|| format!("{url} is not a URL"))?;
        if url.scheme() != "http" || url.host_str() != Some("127.0.0.1") {
            bail!("only a shop at http://127.0.0.1 is accepted, not {url}");
        }
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, url, failures: Arc::default() })
    }

    /// Registers and logs in `shoppers` customers.
    pub async fn register_all(&self, shoppers: u32) -> anyhow::Result<Vec<VendureShopper>> {
        let (catalog, name) = (Arc::new(self.catalog().await?), nonce());
        futures::stream::iter(0..shoppers)
            .map(|nth| self.register(format!("{name}-{nth}"), Arc::clone(&catalog)))
            .buffer_unordered(REGISTRATIONS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Counts of failed visits and their reasons.
    pub fn failures(&self) -> BTreeMap<String, usize> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn register(&self, name: String, catalog: Arc<Catalog>) -> anyhow::Result<VendureShopper> {
        let login = json!({ "email": format!("shopper-{name}@example.com"), "password": format!("pass-{name}") });
        self.ask(None, REGISTER, login.clone()).await.map_err(anyhow::Error::msg).context("registering a customer")?;
        let (_, token) = self.ask(None, LOGIN, login).await.map_err(anyhow::Error::msg).context("logging in")?;
        let token = token.context("the response to the login has no token")?;
        Ok(VendureShopper { shop: self.clone(), token, catalog })
    }

    async fn catalog(&self) -> anyhow::Result<Catalog> {
        let read = |query: &'static str, variables| async move {
            self.ask(None, query, variables).await.map(|(data, _)| data).map_err(anyhow::Error::msg)
        };
        let shipping = read(SHIPPING, json!({})).await?["activeShippingMethods"][0]["id"].clone();
        let mut variants = Vec::new();
        for page in 0..PAGES_MAX {
            let found = read(VARIANTS, json!({ "skip": page * PAGE_PRODUCTS, "take": PAGE_PRODUCTS })).await?;
            let products = found["products"]["items"].as_array().cloned().unwrap_or_default();
            let of_page = products.iter().flat_map(|product| product["variants"].as_array().into_iter().flatten());
            variants.extend(
                of_page.map(|variant| (variant["id"].clone(), variant["sku"].as_str().unwrap_or_default().to_owned())),
            );
            if products.len() < PAGE_PRODUCTS {
                break;
            }
        }
        if variants.is_empty() || shipping.is_null() {
            bail!("the shop has no products or no shipping method");
        }
        Ok(Catalog { shipping, variants })
    }

    /// Sends a query. Returns its data and the session token that the response sets; the error is the code of the first
    /// failure, which may be an HTTP status, a GraphQL error or an `ErrorResult`.
    async fn ask(&self, token: Option<&str>, query: &str, variables: Value) -> Result<(Value, Option<String>), String> {
        let mut request = self.http.post(self.url.clone()).json(&json!({ "query": query, "variables": variables }));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer =
            request.send().await.map_err(|error| if error.is_timeout() { "timeout" } else { "no response" })?;
        let status = answer.status();
        let token = answer.headers().get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body: Value = answer.json().await.map_err(|_| format!("HTTP {status} without JSON"))?;
        match failure(&body) {
            Some(code) => Err(code),
            None => Ok((body["data"].clone(), token)),
        }
    }
}

impl VendureShopper {
    /// The shortest complete purchase: list products, add one, order, pay, read the order. Returns whether it is paid.
    pub async fn visit(&self, random: &mut Random) -> bool {
        let variants = &self.catalog.variants;
        // The rush has its own product.
        let on_sale: Vec<_> = variants.iter().filter(|(_, sku)| !sku.starts_with("RUSH")).collect();
        let Some((variant, _)) = on_sale.get(random.below(on_sale.len())) else { return false };
        match self.buy(variant).await {
            Ok(()) => true,
            Err(code) => {
                *self.shop.failures.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
                let _ = self.shop.ask(Some(&self.token), RESET, json!({})).await;
                false
            }
        }
    }

    async fn buy(&self, variant: &Value) -> Result<(), String> {
        let ask = |query, variables| self.shop.ask(Some(&self.token), query, variables);
        ask(LIST, json!({})).await?;
        ask(ADD, json!({ "variant": variant })).await?;
        ask(ORDER, order_variables(&self.catalog)).await?;
        let (paid, _) = ask(PAY, json!({ "method": PAYMENT_METHOD })).await?;
        let (order, _) = ask(READ, json!({ "code": paid["addPaymentToOrder"]["code"] })).await?;
        settled(&order["orderByCode"])
    }
}

/// Lets `buyers` guests buy one unit of the variant with this SKU at the same moment.
pub async fn rush(shop: &Vendure, sku: &str, buyers: u32, units: u32) -> anyhow::Result<RushResult> {
    let (catalog, name) = (Arc::new(shop.catalog().await?), nonce());
    let variant = catalog.variants.iter().find(|(_, of)| of == sku);
    let variant = variant.with_context(|| format!("no variant has the SKU {sku}"))?.0.clone();
    let all = (0..buyers).map(|nth| {
        let (shop, catalog, variant) = (shop.clone(), Arc::clone(&catalog), variant.clone());
        let email = format!("guest-{name}-{nth}@example.com");
        async move {
            match buy_as_guest(&shop, &catalog, &variant, &email).await {
                Ok(()) => BuyerOutcome::Paid,
                Err(code) if SHORT.contains(&code.as_str()) => BuyerOutcome::TooLate,
                Err(code) => BuyerOutcome::Other(code),
            }
        }
    });
    let ends = start_together(all.collect(), RUSH_TIMEOUT).await;
    Ok(summed(ends, RushResult { buyers, units, left: -1, ..RushResult::default() }))
}

async fn buy_as_guest(shop: &Vendure, catalog: &Catalog, variant: &Value, email: &str) -> Result<(), String> {
    let (_, token) = shop.ask(None, ADD, json!({ "variant": variant })).await?;
    let token = token.ok_or("no session token")?;
    let ask = |query, variables| shop.ask(Some(&token), query, variables);
    ask(CUSTOMER, json!({ "email": email })).await?;
    ask(ORDER, order_variables(catalog)).await?;
    let (paid, _) = ask(PAY, json!({ "method": PAYMENT_METHOD })).await?;
    settled(&paid["addPaymentToOrder"])
}

fn order_variables(Catalog { shipping, .. }: &Catalog) -> Value {
    let address = json!({
        "fullName": "Ada Lovelace", "streetLine1": "12 St James's Square", "city": "London", "postalCode": "SW1Y 4JH",
        "countryCode": "GB",
    });
    json!({ "address": address, "method": [shipping] })
}

fn settled(order: &Value) -> Result<(), String> {
    match order["state"].as_str() {
        Some("PaymentSettled") => Ok(()),
        state => Err(format!("the order is {}", state.unwrap_or("unknown"))),
    }
}

/// The code of the first GraphQL error or `ErrorResult` in a response.
fn failure(body: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    if let Some(error) = body["errors"].get(0) {
        let code = &error["extensions"]["code"];
        return Some(if code.is_string() {
            format!("{}: {}", text(code), text(&error["message"]))
        } else {
            text(&error["message"])
        });
    }
    let results = body["data"].as_object()?.values();
    results.filter_map(|result| result.get("errorCode")).map(text).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_local_shop_is_accepted() {
        assert!(Vendure::at("http://127.0.0.1:30090/shop-api").is_ok());
        assert!(Vendure::at("http://127.0.0.1.example.com/shop-api").is_err());
        assert!(Vendure::at("https://127.0.0.1/shop-api").is_err());
    }

    #[test]
    fn an_error_result_and_a_graphql_error_are_failures() {
        let fine = json!({ "data": { "addPaymentToOrder": { "__typename": "Order", "state": "PaymentSettled" } } });
        assert_eq!(failure(&fine), None);
        let short =
            json!({ "data": { "a": { "__typename": "Order" }, "b": { "errorCode": "INSUFFICIENT_STOCK_ERROR" } } });
        assert_eq!(failure(&short).as_deref(), Some("INSUFFICIENT_STOCK_ERROR"));
        let broken = json!({ "errors": [{ "message": "no", "extensions": { "code": "FORBIDDEN" } }], "data": null });
        assert_eq!(failure(&broken).as_deref(), Some("FORBIDDEN: no"));
    }

    #[test]
    fn only_a_settled_payment_is_a_purchase() {
        assert!(settled(&json!({ "state": "PaymentSettled" })).is_ok());
        assert!(settled(&json!({ "state": "ArrangingPayment" })).is_err());
        assert!(settled(&Value::Null).is_err());
    }
}
