//! The request history: time, key and outcome of every request. Input of the invariant checker; must not depend on it.

use std::{
    io::{BufRead, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use agora_vocab::{OrderId, PaymentId, UserId};
use serde::{Deserialize, Serialize};

use crate::client::Reply;

/// Kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// `POST /auth/register`
    Register,
    /// `POST /auth/login`
    Login,
    /// `GET /products`
    Browse,
    /// `GET /products/{id}`
    Look,
    /// `POST /cart/items`
    Add,
    /// `POST /orders`
    Order,
    /// `POST /payments`
    Pay,
    /// `GET /orders/{id}`
    Read,
    /// `DELETE /orders/{id}`
    Cancel,
    /// `POST /payments/refund`
    Refund,
}

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// 2xx: the request took effect.
    Ok,
    /// Final rejection: the request had no effect.
    Failed,
    /// No response, 5xx or `Retry-After`: the request may have taken effect.
    Unknown,
}

/// One request and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The user who sent it; None for registration and login.
    pub user: Option<UserId>,
    /// Kind of request.
    pub action: Action,
    pub key: Option<String>,
    /// Microseconds from the start of the history to the request.
    pub started_us: u64,
    /// Microseconds from the request to the response.
    pub took_us: u64,
    /// Derived from status and `Retry-After`.
    pub outcome: Outcome,
    /// HTTP status; None without a response.
    pub status: Option<u16>,
    /// Code of the problem body.
    pub code: Option<String>,
    /// The order in the response, else the order in the request.
    pub order: Option<OrderId>,
    /// Status of the order in the response.
    pub order_status: Option<String>,
    /// Version of the order in the response.
    pub version: Option<i64>,
    /// The payment in the response.
    pub payment: Option<PaymentId>,
}

impl Record {
    /// Time of the response, in microseconds from the start of the history.
    pub fn ended_us(&self) -> u64 {
        self.started_us + self.took_us
    }
}

/// A history to which all shoppers append; clones share the records.
#[derive(Clone, Debug)]
pub struct History {
    start: Instant,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Default for History {
    fn default() -> Self {
        Self { start: Instant::now(), records: Arc::default() }
    }
}

/// A request without its response.
#[derive(Debug)]
pub struct Sent {
    /// The user who sent it; None for registration and login.
    pub user: Option<UserId>,
    /// Kind of request.
    pub action: Action,
    pub key: Option<String>,
    /// The order in the request.
    pub order: Option<OrderId>,
    /// Time of sending.
    pub at: Instant,
}

impl History {
    /// Appends a request with its result.
    pub fn note(&self, sent: Sent, reply: &Reply) {
        let Sent { user, action, key, order, at } = sent;
        let (answered, payment) = subjects(action, reply);
        let order_of_answer = answered.as_ref().map(|order| order.id);
        let record = Record {
            user,
            action,
            key,
            started_us: micros(at.saturating_duration_since(self.start)),
            took_us: micros(at.elapsed()),
            outcome: outcome(reply),
            status: reply.status(),
            code: reply.code(),
            order: order_of_answer.or(order),
            order_status: answered.as_ref().map(|order| order.status.clone()),
            version: answered.as_ref().map(|order| order.version),
            payment,
        };
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// All records, sorted by start time.
    pub fn records(&self) -> Vec<Record> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        records.sort_by_key(|record| record.started_us);
        records
    }
}

/// Writes a history as JSON lines.
pub fn write(records: &[Record], mut to: impl Write) -> anyhow::Result<()> {
    for record in records {
        serde_json::to_writer(&mut to, record)?;
        to.write_all(b"\n")?;
    }
    Ok(to.flush()?)
}

/// Reads a history of JSON lines.
pub fn read(from: impl BufRead) -> anyhow::Result<Vec<Record>> {
    from.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Reply::Answer { status: 200..=299, .. } => Outcome::Ok,
        Reply::Answer { status: 300..=499, retry_after: None, .. } => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

fn subjects(action: Action, reply: &Reply) -> (Option<agora_api::order::Order>, Option<PaymentId>) {
    match action {
        Action::Order | Action::Read | Action::Cancel => {
            let order: Option<agora_api::order::Order> = reply.success();
            let payment = order.as_ref().and_then(|order| order.payment_id);
            (order, payment)
        }
        Action::Pay => (None, reply.success::<agora_api::payment::Payment>().map(|payment| payment.id)),
        Action::Refund => (None, reply.success::<agora_api::payment::Refund>().map(|refund| refund.payment_id)),
        Action::Register | Action::Login | Action::Browse | Action::Look | Action::Add => (None, None),
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_history_survives_write_and_read_and_a_retryable_rejection_is_unknown() {
        let history = History::default();
        let sent = |action| Sent { user: None, action, key: Some("k".into()), order: None, at: Instant::now() };
        history.note(sent(Action::Order), &Reply::Lost { why: "gone".into() });
        history.note(sent(Action::Pay), &Reply::Answer { status: 409, retry_after: Some(1), body: Value::Null });
        history.note(sent(Action::Pay), &Reply::Answer { status: 402, retry_after: None, body: Value::Null });
        let records = history.records();
        let outcomes: Vec<_> = records.iter().map(|record| record.outcome).collect();
        assert_eq!(outcomes, [Outcome::Unknown, Outcome::Unknown, Outcome::Failed]);
        let mut bytes = Vec::new();
        write(&records, &mut bytes).unwrap();
        assert_eq!(read(bytes.as_slice()).unwrap(), records);
    }
}
