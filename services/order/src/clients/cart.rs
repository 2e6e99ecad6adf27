//! HTTP client of the cart service's internal API. Must not contain order logic.

use agora_api::cart as api;
use agora_outbound::{CallError, Client};
use agora_vocab::{CommandId, OrderId, Quantity, UserId, Variant};
use async_trait::async_trait;

use crate::{
    domain::{CartVersion, RequestedLine},
    ports::{CallFailed, Carts, Checkout, CheckoutError},
};

const CALLEE: &str = "cart";

/// Calls the cart service over HTTP; each call has a timeout and retries.
#[derive(Clone, Debug)]
pub struct CartClient(pub Client);

#[async_trait]
impl Carts for CartClient {
    async fn begin_checkout(
        &self,
        command: CommandId,
        order: OrderId,
        user: UserId,
    ) -> Result<Checkout, CheckoutError> {
        let body = api::BeginCheckout { order_id: order, user_id: user };
        let answer: Result<api::Checkout, _> =
            self.0.for_user(user).command(api::routes::BEGIN_CHECKOUT.path, command.uuid(), &body).await;
        let checkout = answer.map_err(|error| match error.code() {
            Some("EMPTY_CART") => CheckoutError::Empty,
            Some("CANCELLED") => CheckoutError::Cancelled,
            _ => CheckoutError::Failed(failed(error)),
        })?;
        let lines: Result<Vec<RequestedLine>, CallFailed> = checkout.lines.into_iter().map(requested).collect();
        Ok(Checkout { cart: CartVersion { id: checkout.cart_id, version: checkout.cart_version }, lines: lines? })
    }

    async fn cancel_checkout(&self, command: CommandId, order: OrderId) -> Result<(), CallFailed> {
        let body = api::CancelCheckout { order_id: order };
        let state: Result<api::CheckoutState, _> =
            self.0.command(api::routes::CANCEL_CHECKOUT.path, command.uuid(), &body).await;
        state.map(drop).map_err(failed)
    }
}

fn requested(line: agora_api::catalog::Line) -> Result<RequestedLine, CallFailed> {
    let quantity = Quantity::parse(i64::from(line.quantity));
    let quantity = quantity.map_err(|invalid| CallFailed { callee: CALLEE, source: invalid.into() })?;
    Ok(RequestedLine { product: line.product_id, variant: Variant::stored(line.variant), quantity })
}

fn failed(error: CallError) -> CallFailed {
    CallFailed { callee: CALLEE, source: error.into() }
}
