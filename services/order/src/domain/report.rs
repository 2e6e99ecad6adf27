//! Reports about all orders, and the users that they name.

use agora_vocab::{Epoch, Money, ProductId, UserId};
use time::OffsetDateTime;

use super::Order;

/// What sold most, as of the last refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopProducts {
    /// Most units first; a product that sold in two currencies is listed for each.
    pub items: Vec<TopProduct>,
    /// Later orders are not counted.
    pub refreshed_at: OffsetDateTime,
}

/// Sales of a product in one currency, of orders that are paid and not refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopProduct {
    pub product: ProductId,
    /// Name, brand, category and supplier in its latest order.
    pub name: String,
    pub brand: Option<String>,
    pub category: Option<String>,
    pub supplier: Option<String>,
    pub units: i64,
    /// Number of orders with the product.
    pub orders: i64,
    pub revenue: Money,
}

/// An order with the user that placed it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedOrder {
    pub order: Order,
    /// Absent until the user's event has arrived, and of an erased user.
    pub customer: Option<Customer>,
}

/// A user as the user service describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    pub email: String,
    pub name: Option<String>,
}

/// A user as of one event. A later event, by epoch and sequence number, replaces an earlier one in any order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerEvent {
    pub user: UserId,
    /// `None`: the account was erased, and so are the personal fields of the user's orders once they have ended.
    pub customer: Option<Customer>,
    /// Whether the user cannot order: an administrator has blocked the account, or it was erased.
    pub blocked: bool,
    pub epoch: Epoch,
    pub seq: i64,
}
