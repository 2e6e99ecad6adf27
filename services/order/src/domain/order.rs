//! The order aggregate: fields fixed at creation and the progress that changes. No I/O.

use agora_events::{
    order::{Charges as ChargesPayload, Order as OrderPayload, OrderEvent, OrderLine},
    order_return, shipment,
};
use agora_vocab::{Address, CartId, Epoch, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId, Variant};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Charges, LineUnits, PaymentStatus, Return, Shipment, Status};

/// An order. All fields except `progress`, `shipments`, `returns`, `version`, `event_seq` and `updated_at` are fixed at creation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Id of the order, a UUIDv7.
    pub id: OrderId,
    /// Human-readable number such as `A-1000001`.
    pub number: String,
    /// User who placed the order.
    pub user: UserId,
    /// Cart and version of the checkout; `None` if the request listed the items.
    pub cart: Option<CartVersion>,
    /// Ordered lines, at least one.
    pub lines: Vec<Line>,
    /// Sum of all lines less the discount, and shipping.
    pub total: Money,
    /// What it costs beside its lines.
    #[serde(default, skip_serializing_if = "Charges::is_empty")]
    pub charges: Charges,
    pub address: Option<Address>,
    /// End of the payment window, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// Creation time, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Status and payment state.
    pub progress: OrderProgress,
    /// Parcels, in the sequence in which they were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shipments: Vec<Shipment>,
    /// Returns, in the sequence in which they were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Return>,
    /// Rises by one with each change of `progress`; sequence number of that change in the order's history.
    pub version: i64,
    /// Sequence number of the last event that the order published.
    pub event_seq: i64,
    /// Time of the last change, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The part of an order that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderProgress {
    /// Status of the order.
    pub status: Status,
    /// Status of the order's payment.
    pub payment_status: PaymentStatus,
    /// Payment in progress or captured.
    pub payment: Option<PaymentId>,
    /// Number of the current reservation; 0 before the first succeeded.
    pub hold: i32,
    /// Number of declined payments.
    pub declines: i32,
}

/// A cart at the version of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartVersion {
    /// Id of the cart.
    pub id: CartId,
    /// Version of the cart: at most one live order has it.
    pub version: i64,
}

/// A line of an order, fixed at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Id of the product.
    pub product: ProductId,
    pub variant: Variant,
    /// Product name at creation.
    pub name: String,
    pub quantity: Quantity,
    /// Unit price at creation.
    pub price: Money,
    /// `price` × `quantity`.
    pub total: Money,
    /// Brand at creation.
    pub brand: Option<String>,
    /// Category at creation.
    pub category: Option<String>,
    /// Supplier at creation.
    pub supplier: Option<String>,
    /// Id of the seller.
    pub seller: SellerId,
}

impl OrderProgress {
    /// Initial progress of every order.
    pub const START: Self =
        Self { status: Status::Created, payment_status: PaymentStatus::Unpaid, payment: None, hold: 0, declines: 0 };
}

impl Order {
    /// The event for the current status.
    pub fn event(&self) -> OrderEvent {
        let make = match self.progress.status {
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
        make(self.to_payload())
    }

    /// The payload of an event of one of its shipments.
    pub(super) fn shipment_payload(&self, shipment: &Shipment) -> shipment::Shipment {
        let Shipment { id, seller, carrier, tracking, items, .. } = shipment;
        shipment::Shipment {
            shipment_id: *id,
            order_id: self.id,
            order_number: self.number.clone(),
            user_id: self.user,
            seller_id: *seller,
            carrier: carrier.clone(),
            tracking_number: tracking.clone(),
            items: self.items_payload(items),
        }
    }

    /// The payload of an event of one of its returns.
    pub(super) fn return_payload(&self, returned: &Return) -> order_return::Return {
        order_return::Return {
            return_id: returned.id,
            order_id: self.id,
            order_number: self.number.clone(),
            user_id: self.user,
            items: self.items_payload(&returned.items),
            amount: returned.amount,
        }
    }

    fn items_payload(&self, items: &[LineUnits]) -> Vec<shipment::ShippedItem> {
        let item = |units: &LineUnits| {
            let line = self.line_at(units.line)?;
            let (product_id, variant, name) = (line.product, line.variant.as_str().to_owned(), line.name.clone());
            Some(shipment::ShippedItem { product_id, variant, name, quantity: units.quantity })
        };
        items.iter().filter_map(item).collect()
    }

    /// The line at a position from 1.
    pub fn line_at(&self, position: i16) -> Option<&Line> {
        self.lines.get(usize::try_from(position).ok()?.checked_sub(1)?)
    }

    fn to_payload(&self) -> OrderPayload {
        let OrderProgress { status, payment_status, payment, hold, declines: _ } = self.progress;
        OrderPayload {
            order_id: self.id,
            number: self.number.clone(),
            user_id: self.user,
            cart_id: self.cart.map(|cart| cart.id),
            hold,
            payment_id: payment,
            status: status.as_str().to_owned(),
            payment_status: payment_status.as_str().to_owned(),
            items: self.lines.iter().map(Line::to_payload).collect(),
            total: self.total,
            charges: self.charges.to_payload(),
        }
    }
}

impl Charges {
    fn to_payload(&self) -> Option<ChargesPayload> {
        let Self { discount, shipping, tax } = self;
        let payload = ChargesPayload {
            discount: discount.as_ref().map(|discount| discount.amount),
            shipping_price: shipping.as_ref().map(|shipping| shipping.price),
            tax: tax.as_ref().map(|tax| tax.amount),
            shipping_tax: shipping.as_ref().and_then(|shipping| shipping.tax.as_ref()).map(|tax| tax.amount),
        };
        (!self.is_empty()).then_some(payload)
    }
}

impl Line {
    fn to_payload(&self) -> OrderLine {
        OrderLine {
            product_id: self.product,
            variant: self.variant.as_str().to_owned(),
            name: self.name.clone(),
            quantity: self.quantity.get(),
            price: self.price,
            category: self.category.clone(),
            seller_id: self.seller,
        }
    }
}

/// The order number for sequence value `sequence_value`: `A-1000001`, after a restore `A-1-1000001`.
pub fn number(epoch: Epoch, sequence_value: i64) -> String {
    match epoch {
        Epoch(0) => format!("A-{sequence_value}"),
        Epoch(epoch) => format!("A-{epoch}-{sequence_value}"),
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Epoch;

    use super::number;

    #[test]
    fn order_numbers_after_a_restore_contain_the_epoch() {
        assert_eq!(number(Epoch(0), 1_000_001), "A-1000001");
        assert_eq!(number(Epoch(2), 1_000_001), "A-2-1000001");
    }
}
