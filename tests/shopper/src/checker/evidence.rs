//! The shop at rest, in the checker's terms; who collects it reads tables, topics or the API.

use agora_vocab::{OrderId, PaymentId, ProductId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The shop at rest. An empty list proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Evidence {
    /// Every order of the shoppers in the history.
    pub orders: Vec<OrderSeen>,
    /// Every payment of those orders.
    pub payments: Vec<PaymentSeen>,
    /// Every product's stock.
    pub stock: Vec<StockSeen>,
    /// Every entry of payment's ledger.
    pub ledger: Vec<LedgerEntry>,
    /// Every event that a service committed.
    pub outbox: Vec<EventSeen>,
    /// Every event on the topics, in the order of each partition.
    pub topics: Vec<EventSeen>,
    /// How often each consumer let each event take effect.
    pub applied: Vec<Applied>,
    /// What is there beside the shop.
    pub residue: Residue,
}

/// An order at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSeen {
    /// The order.
    pub id: OrderId,
    /// Whose.
    pub user: UserId,
    /// Its status.
    pub status: String,
    /// Its payment's status.
    pub payment_status: String,
    /// What it costs, in minor units.
    pub total: i64,
}

/// A payment at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSeen {
    /// The payment.
    pub id: PaymentId,
    /// Of which order.
    pub order: OrderId,
    /// Taken from the card, in minor units.
    pub captured: i64,
    /// Given back, in minor units.
    pub refunded: i64,
}

/// A product's stock at rest, in units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockSeen {
    /// The product.
    pub product: ProductId,
    /// Initial stock and all receipts.
    pub received: i64,
    /// In the warehouses.
    pub on_hand: i64,
    /// Of these, held for orders.
    pub reserved: i64,
    /// What the live reservations sum to.
    pub held: i64,
    /// Left the warehouses for orders.
    pub sold: i64,
    /// Came back.
    pub returned: i64,
}

/// One side of a transaction of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The transaction.
    pub transaction: i64,
    /// ISO 4217.
    pub currency: String,
    /// Minor units; debit positive, credit negative.
    pub amount: i64,
}

/// An event, where it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSeen {
    /// Its topic's bare name.
    pub topic: String,
    /// Its aggregate.
    pub key: String,
    /// Its place among the aggregate's events, from 1.
    pub seq: i64,
    /// Its id; none where only its place is recorded.
    #[serde(default)]
    pub id: Option<Uuid>,
}

/// An event's effect on a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The consumer.
    pub consumer: String,
    /// Its topic's bare name.
    pub topic: String,
    /// The event.
    pub event: Uuid,
    /// How often it took effect.
    pub times: u32,
}

/// What is there and should not be, or the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Residue {
    /// Children that should be there, as `Kind/name`.
    pub expected: Vec<String>,
    /// Children that are there.
    pub found: Vec<String>,
    /// Objects that wait for a finalizer.
    pub waiting: Vec<String>,
    /// Where a secret was seen; never the secret.
    pub leaks: Vec<String>,
}
