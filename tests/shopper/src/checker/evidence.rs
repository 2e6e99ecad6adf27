//! Input of the invariant checker: the final state of the shop. Collectors fill it from tables, topics or the API;
//! these types must not depend on them.

use agora_vocab::{OrderId, PaymentId, ProductId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The final state of the shop, after the load has ended. Invariants on an empty list are not checked.
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
    /// Every event that a service committed to its outbox.
    pub outbox: Vec<EventSeen>,
    /// Every event on the topics, in the order of each partition.
    pub topics: Vec<EventSeen>,
    /// How often each consumer applied each event.
    pub applied: Vec<Applied>,
    /// Child objects, finalizers and leaked secrets.
    pub leftovers: Leftovers,
}

/// Final state of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSeen {
    /// Id of the order.
    pub id: OrderId,
    /// The user who placed it.
    pub user: UserId,
    /// `status` in the API.
    pub status: String,
    /// `paymentStatus` in the API.
    pub payment_status: String,
    /// Total price in minor units.
    pub total: i64,
}

/// Final state of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSeen {
    /// Id of the payment.
    pub id: PaymentId,
    /// The order that it pays.
    pub order: OrderId,
    /// Captured amount in minor units.
    pub captured: i64,
    /// Refunded amount in minor units.
    pub refunded: i64,
}

/// Final stock of a product, in units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockSeen {
    /// Id of the product.
    pub product: ProductId,
    /// Initial stock and all receipts.
    pub received: i64,
    /// Units in the warehouses.
    pub on_hand: i64,
    /// Units on hand that are reserved for orders, as the stock rows count them.
    pub reserved: i64,
    /// Sum of all active reservations; must equal `reserved`.
    pub held: i64,
    /// Units that left the warehouses for orders.
    pub sold: i64,
    /// Units that were returned to the warehouses.
    pub returned: i64,
}

/// One entry of a ledger transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Id of the transaction.
    pub transaction: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Amount in minor units; debit positive, credit negative.
    pub amount: i64,
}

/// An event in an outbox or on a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSeen {
    /// Topic without the isolation key.
    pub topic: String,
    /// Id of the aggregate.
    pub key: String,
    /// Sequence number within the aggregate, from 1.
    pub seq: i64,
    /// Event id; None if only the sequence number is recorded.
    #[serde(default)]
    pub id: Option<Uuid>,
}

/// An event's effect on a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Name of the consumer.
    pub consumer: String,
    /// Topic without the isolation key.
    pub topic: String,
    pub event: Uuid,
    /// How often the consumer applied the event.
    pub times: u32,
}

/// Child objects that exist or should exist, finalizers and leaked secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Leftovers {
    /// Expected child objects, as `Kind/name`.
    pub expected: Vec<String>,
    /// Existing child objects, as `Kind/name`.
    pub found: Vec<String>,
    /// Objects that wait for a finalizer.
    pub waiting: Vec<String>,
    /// Places in which a secret was found, without the secret.
    pub leaks: Vec<String>,
}
