//! An order: what was frozen when it was made, and where it stands now.

use agora_events::order::{Order as NewEvent, OrderEvent, OrderLine};
use agora_vocab::{CartId, Epoch, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Address, PaymentStatus, Status};

/// An order. Everything but `standing`, `version`, `facts` and `updated_at` is frozen when it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// What people call it: `A-1000001`.
    pub number: String,
    /// Who bought.
    pub user: UserId,
    /// The cart that it came from.
    pub cart: Option<CartVersion>,
    /// What was bought, at least one line.
    pub lines: Vec<Line>,
    /// What it costs: the sum of all lines.
    pub total: Money,
    /// Where it goes.
    pub address: Option<Address>,
    /// Until when it can be paid, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Where it stands.
    pub standing: Standing,
    /// Rises by one with each change of `standing`; the place of that change in the order's history.
    pub version: i64,
    /// How many facts it has published: the place of the last one in its topic's sequence.
    pub facts: i64,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The part of an order that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its state.
    pub status: Status,
    /// Its money's state.
    pub payment_status: PaymentStatus,
    /// The payment under way or made.
    pub payment: Option<PaymentId>,
    /// Which hold of its stock is the current one; 0 before the first succeeded.
    pub hold: i32,
    /// How many payments were declined.
    pub declines: i32,
}

/// A cart as it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartVersion {
    /// The cart.
    pub id: CartId,
    /// Its version: at most one live order has it.
    pub version: i64,
}

/// A line of an order, frozen when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// Its name then.
    pub name: String,
    /// Units.
    pub quantity: Quantity,
    /// What one unit cost then.
    pub price: Money,
    /// `price` × `quantity`.
    pub total: Money,
    /// The brand then.
    pub brand: Option<String>,
    /// The category then.
    pub category: Option<String>,
    /// The supplier then.
    pub supplier: Option<String>,
    /// Who sold it.
    pub seller: SellerId,
}

impl Standing {
    /// Where every order starts.
    pub const START: Self =
        Self { status: Status::Created, payment_status: PaymentStatus::Unpaid, payment: None, hold: 0, declines: 0 };
}

impl Order {
    /// The fact that goes with the state that the order has now.
    pub fn fact(&self) -> OrderEvent {
        let make = match self.standing.status {
            Status::Created => OrderEvent::Created,
            Status::Pending => OrderEvent::Placed,
            Status::Paid => OrderEvent::Paid,
            Status::Processing => OrderEvent::Processing,
            Status::Shipped => OrderEvent::Shipped,
            Status::Completed => OrderEvent::Completed,
            Status::Cancelled => OrderEvent::Cancelled,
            Status::Rejected => OrderEvent::Rejected,
            Status::Expired => OrderEvent::Expired,
            Status::Refunded => OrderEvent::Refunded,
        };
        make(self.as_fact())
    }

    fn as_fact(&self) -> NewEvent {
        let Standing { status, payment_status, payment, hold, declines: _ } = self.standing;
        NewEvent {
            order_id: self.id,
            number: self.number.clone(),
            user_id: self.user,
            cart_id: self.cart.map(|cart| cart.id),
            hold,
            payment_id: payment,
            status: status.as_str().to_owned(),
            payment_status: payment_status.as_str().to_owned(),
            items: self.lines.iter().map(Line::as_fact).collect(),
            total: self.total,
        }
    }
}

impl Line {
    fn as_fact(&self) -> OrderLine {
        OrderLine {
            product_id: self.product,
            variant: self.variant.clone(),
            name: self.name.clone(),
            quantity: self.quantity.get(),
            price: self.price,
            category: self.category.clone(),
            seller_id: self.seller,
        }
    }
}

/// What people call the order that drew `drawn` from the sequence: `A-1000001`, after a restore `A-1-1000001`.
pub fn number(epoch: Epoch, drawn: i64) -> String {
    match epoch {
        Epoch(0) => format!("A-{drawn}"),
        Epoch(epoch) => format!("A-{epoch}-{drawn}"),
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Epoch;

    use super::number;

    #[test]
    fn a_number_drawn_again_after_a_restore_differs_by_the_epoch() {
        assert_eq!(number(Epoch(0), 1_000_001), "A-1000001");
        assert_eq!(number(Epoch(2), 1_000_001), "A-2-1000001");
    }
}
