//! Changes of orders and payments. `createOrder`, `payOrder` and `refundPayment` require the header `Idempotency-Key`.

use agora_api::{order, payment};
use async_graphql::{Context, ID, InputObject, Object};
use serde::Serialize;
use serde_json::json;

use super::account::AddressInput;
use crate::graphql::{
    caller::caller,
    cost,
    fault::Answer,
    scalars::MoneyInput,
    types::{
        orders::Order,
        payments::{Payment, Refund},
    },
};

/// What to order and how.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct NewOrderInput {
    /// The cart's content if absent.
    items: Option<Vec<OrderItemInput>>,
    /// An entry of the address book.
    address_id: Option<ID>,
    /// Or the address itself.
    shipping_address: Option<AddressInput>,
    /// Pay at once.
    payment: Option<PayWithInput>,
    /// The total that the shopper has seen: an order of another total is not made.
    expected_total: Option<MoneyInput>,
    coupon_code: Option<String>,
    /// The cheapest method that serves the address if absent.
    shipping_method: Option<String>,
}

/// Units of a product.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderItemInput {
    product_id: ID,
    quantity: i64,
    /// The variant; absent for a product without variants.
    variant: Option<String>,
}

#[derive(InputObject, Serialize)]
struct PayWithInput {
    /// `card`
    method: String,
    /// The provider's token of the card; never a card number.
    #[graphql(secret)]
    token: String,
}

#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentInput {
    order_id: ID,
    /// What the payer believes it costs; refused if it costs something else.
    amount: Option<MoneyInput>,
    /// `card`
    method: String,
    /// `automatic`, which is the default, or `manual`: the amount is only authorised, and captured or voided later.
    capture_method: Option<String>,
    /// The provider's token of the card; never a card number.
    #[graphql(secret)]
    token: Option<String>,
}

/// One of `paymentId` and `orderId`; without `amount`, all that is left.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundInput {
    payment_id: Option<ID>,
    order_id: Option<ID>,
    amount: Option<MoneyInput>,
}

/// A parcel that was handed to a carrier, with units of one seller.
#[derive(InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShipmentInput {
    items: Vec<OrderItemInput>,
    carrier: String,
    tracking_number: Option<String>,
}

#[derive(Debug, Default)]
pub struct OrderMutation;

#[Object]
impl OrderMutation {
    /// Creates an order of the items or of the cart.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn create_order(&self, context: &Context<'_>, input: NewOrderInput) -> Answer<Order> {
        Some(caller(context).command(context, order::routes::PLACE, []).body(&input).json().await)
    }

    /// Cancels an order that is not shipped yet.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn cancel_order(&self, context: &Context<'_>, id: ID) -> Answer<Order> {
        Some(caller(context).command(context, order::routes::CANCEL, [&id]).json().await)
    }

    /// Requests the return of delivered units.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn request_return(
        &self,
        context: &Context<'_>,
        order_id: ID,
        items: Vec<OrderItemInput>,
        reason: String,
    ) -> Answer<Order> {
        let body = json!({ "items": items, "reason": reason });
        Some(caller(context).command(context, order::routes::REQUEST_RETURN, [&order_id]).body(&body).json().await)
    }

    /// Pays an order.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn pay_order(&self, context: &Context<'_>, input: PaymentInput) -> Answer<Payment> {
        Some(caller(context).command(context, payment::routes::CREATE, []).body(&input).json().await)
    }

    /// Goes on with a payment after its payer has acted.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn confirm_payment(&self, context: &Context<'_>, id: ID) -> Answer<Payment> {
        Some(caller(context).command(context, payment::routes::CONFIRM, [&id]).json().await)
    }

    /// Advances an order to `processing`, `shipped`, `completed` or `cancelled`; for the role `warehouse`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn advance_order(&self, context: &Context<'_>, id: ID, status: String) -> Answer<Order> {
        let body = json!({ "status": status });
        Some(caller(context).command(context, order::routes::ADVANCE, [&id]).body(&body).json().await)
    }

    /// Adds a parcel with units of an order; for the role `warehouse`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn ship_order(&self, context: &Context<'_>, id: ID, input: ShipmentInput) -> Answer<Order> {
        Some(caller(context).command(context, order::routes::SHIP, [&id]).body(&input).json().await)
    }

    /// Marks a parcel as delivered; for the role `warehouse`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn deliver_shipment(&self, context: &Context<'_>, order_id: ID, id: ID) -> Answer<Order> {
        Some(caller(context).command(context, order::routes::DELIVER, [&order_id, &id]).json().await)
    }

    /// Accepts a return; for support.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn accept_return(&self, context: &Context<'_>, order_id: ID, id: ID) -> Answer<Order> {
        Some(caller(context).command(context, order::routes::ACCEPT_RETURN, [&order_id, &id]).json().await)
    }

    /// Rejects a return; for support.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn reject_return(&self, context: &Context<'_>, order_id: ID, id: ID) -> Answer<Order> {
        Some(caller(context).command(context, order::routes::REJECT_RETURN, [&order_id, &id]).json().await)
    }

    /// Records that the units of a return arrived, which refunds their price; for the role `warehouse`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn receive_return(&self, context: &Context<'_>, order_id: ID, id: ID, resellable: bool) -> Answer<Order> {
        let body = json!({ "resellable": resellable });
        let call = caller(context).command(context, order::routes::RECEIVE_RETURN, [&order_id, &id]);
        Some(call.body(&body).json().await)
    }

    /// Refunds a payment in full or in part; for the role `finance`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn refund_payment(&self, context: &Context<'_>, input: RefundInput) -> Answer<Refund> {
        Some(caller(context).command(context, payment::routes::REFUND, []).body(&input).json().await)
    }

    /// Captures an authorised payment, or a part of it; for the role `finance`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn capture_payment(&self, context: &Context<'_>, id: ID, amount: Option<MoneyInput>) -> Answer<Payment> {
        let body = json!({ "amount": amount });
        Some(caller(context).command(context, payment::routes::CAPTURE, [&id]).body(&body).json().await)
    }

    /// Voids a payment that is not captured; for the role `finance`.
    #[graphql(complexity = "cost::change(child_complexity)")]
    async fn void_payment(&self, context: &Context<'_>, id: ID) -> Answer<Payment> {
        Some(caller(context).command(context, payment::routes::VOID_UNCAPTURED, [&id]).json().await)
    }
}
