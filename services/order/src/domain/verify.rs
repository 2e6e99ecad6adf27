//! Comparison of a stored order with the order that its history results in. No I/O.

use agora_vocab::OrderId;

use super::{HistoryEntries, Order, rebuild};

/// An order and its history as they are stored.
#[derive(Debug)]
pub struct StoredOrder {
    pub id: OrderId,
    /// `None` if the row does not exist.
    pub row: Option<Result<Order, Unreadable>>,
    pub history: Result<HistoryEntries, Unreadable>,
}

/// A stored value that this release cannot read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// How an order differs from its history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("it has a history and no row")]
    NoRow,
    #[error("the history does not begin with the creation of the order, or has a gap")]
    BrokenHistory,
    #[error("the row cannot be read: {0}")]
    UnreadableRow(String),
    #[error("the history cannot be read: {0}")]
    UnreadableHistory(String),
    /// Names of fields with another value in the row.
    #[error("other values in the row: {}", .0.join(", "))]
    Fields(Vec<&'static str>),
}

impl StoredOrder {
    /// Rebuilds the order from its history and compares it with the row; `None` if both are equal.
    pub fn difference(self) -> Option<Difference> {
        let row = match self.row {
            None => return Some(Difference::NoRow),
            Some(Err(Unreadable(why))) => return Some(Difference::UnreadableRow(why)),
            Some(Ok(row)) => row,
        };
        let history = match self.history {
            Err(Unreadable(why)) => return Some(Difference::UnreadableHistory(why)),
            Ok(history) => history,
        };
        let Some(rebuilt) = rebuild(history) else { return Some(Difference::BrokenHistory) };
        (rebuilt != row).then(|| Difference::Fields(differing_fields(&rebuilt, &row)))
    }
}

/// Names only: values may be personal.
fn differing_fields(rebuilt: &Order, row: &Order) -> Vec<&'static str> {
    let fields = [
        ("id", rebuilt.id == row.id),
        ("number", rebuilt.number == row.number),
        ("user", rebuilt.user == row.user),
        ("cart", rebuilt.cart == row.cart),
        ("lines", rebuilt.lines == row.lines),
        ("total", rebuilt.total == row.total),
        ("discount", rebuilt.charges.discount == row.charges.discount),
        ("shipping", rebuilt.charges.shipping == row.charges.shipping),
        ("tax", rebuilt.charges.tax == row.charges.tax),
        ("address", rebuilt.address == row.address),
        ("expires_at", rebuilt.expires_at == row.expires_at),
        ("created_at", rebuilt.created_at == row.created_at),
        ("status", rebuilt.progress.status == row.progress.status),
        ("payment_status", rebuilt.progress.payment_status == row.progress.payment_status),
        ("payment_id", rebuilt.progress.payment == row.progress.payment),
        ("hold", rebuilt.progress.hold == row.progress.hold),
        ("declines", rebuilt.progress.declines == row.progress.declines),
        ("shipments", rebuilt.shipments == row.shipments),
        ("returns", rebuilt.returns == row.returns),
        ("version", rebuilt.version == row.version),
        ("event_seq", rebuilt.event_seq == row.event_seq),
        ("updated_at", rebuilt.updated_at == row.updated_at),
    ];
    fields.into_iter().filter(|(_, equal)| !equal).map(|(name, _)| name).collect()
}
