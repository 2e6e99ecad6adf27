//! A payment provider with Stripe's HTTP interface on loopback, as slow and forgetful as a real one may be.
//!
//! Knows payment intents, refunds, balance transactions, idempotency keys and signed events; must not know who calls.

mod charges;
mod http;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// The API key that the provider accepts.
pub const STRIPE_API_KEY: &str = "sk_test_agora";
/// The secret that signs its events.
pub const STRIPE_WEBHOOK_SECRET: &str = "whsec_agora";

/// What happens to the next request that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeFault {
    /// It is executed, and the answer is lost.
    LoseAnswer,
    /// It is executed when [`StripeServer::release`] is called, whether or not the caller still waits.
    Slow,
    /// It is not executed; the answer has this status.
    Status(u16),
}

/// The provider. Clones are the same server, which ends with the runtime of the test.
#[derive(Clone, Debug)]
pub struct StripeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Closed when what is slow may go on.
    released: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    objects: u64,
    intents: BTreeMap<String, Value>,
    refunds: BTreeMap<String, Value>,
    transactions: Vec<Value>,
    /// The body of the request and its answer, `None` while it is executed, by idempotency key.
    keys: BTreeMap<String, (String, Option<(u16, Value)>)>,
    faults: VecDeque<StripeFault>,
    /// Path and idempotency key of each request that changes something, in the order of arrival.
    requests: Vec<(String, String)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StripeServer {
    /// Starts the provider.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), released: Semaphore::new(0) });
        let address = http::serve(shared.clone()).await;
        Self { address, shared }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The faults of the next requests that change something, in their order.
    pub fn fail(&self, faults: &[StripeFault]) {
        self.shared.state().faults.extend(faults);
    }

    /// Executes what waits because of [`StripeFault::Slow`], now and later.
    pub fn release(&self) {
        self.shared.released.close();
    }

    /// Path and idempotency key of each request that changed something or tried to, in the order of arrival.
    pub fn requests(&self) -> Vec<(String, String)> {
        self.shared.state().requests.clone()
    }

    /// The payment intents, oldest first.
    pub fn intents(&self) -> Vec<Value> {
        self.shared.state().intents.values().cloned().collect()
    }

    /// The sum of captured amounts less refunds, in minor units.
    pub fn balance(&self) -> i64 {
        self.shared.state().transactions.iter().filter_map(|transaction| transaction["amount"].as_i64()).sum()
    }

    /// Forgets every idempotency key, as providers do after a day.
    pub fn forget_keys(&self) {
        self.shared.state().keys.clear();
    }

    /// The payer confirms, or fails to confirm, a payment intent that requires an action.
    pub fn act(&self, intent: &str, confirmed: bool) {
        charges::act(&mut self.shared.state(), intent, confirmed);
    }

    /// Captures at the provider, as a person may do in its console.
    pub fn capture(&self, intent: &str, amount: i64) {
        charges::capture(&mut self.shared.state(), intent, Some(amount)).expect("an authorised payment intent");
    }

    /// An event about a payment intent as it is now: the signature, made at a Unix time, and the body.
    pub fn event(&self, id: &str, kind: &str, intent: &str, time: i64) -> (String, String) {
        let object = self.shared.state().intents[intent].clone();
        let body = json!({ "id": id, "object": "event", "type": kind, "created": time, "data": { "object": object } });
        let body = body.to_string();
        (sign(STRIPE_WEBHOOK_SECRET, time, &body), body)
    }
}

/// The header `Stripe-Signature` of a body.
pub fn sign(secret: &str, time: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let digits = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits: String = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect();
    format!("t={time},v1={digits}")
}
