//! The cart's internal commands, as an order needs them.

use agora_api::cart as api;
use agora_outbound::{CallError, Client};
use agora_vocab::{CommandId, OrderId, Quantity, UserId};
use async_trait::async_trait;

use crate::{
    domain::{CartVersion, Wanted},
    ports::{CallFailed, Carts, TakeError, Taken},
};

const CALLEE: &str = "cart";

/// The cart over HTTP.
#[derive(Clone, Debug)]
pub struct CartClient(pub Client);

#[async_trait]
impl Carts for CartClient {
    async fn take(&self, command: CommandId, order: OrderId, user: UserId) -> Result<Taken, TakeError> {
        let body = api::Take { order_id: order, user_id: user };
        let answer: Result<api::Taking, _> = self.0.command("/internal/v1/take", command.uuid(), &body).await;
        let taking = answer.map_err(|error| match error.code() {
            Some("EMPTY_CART") => TakeError::Empty,
            Some("CANCELLED") => TakeError::Undone,
            _ => TakeError::Failed(failed(error)),
        })?;
        let lines: Result<Vec<Wanted>, CallFailed> = taking.lines.into_iter().map(wanted).collect();
        Ok(Taken { cart: CartVersion { id: taking.cart_id, version: taking.cart_version }, lines: lines? })
    }

    async fn give_back(&self, command: CommandId, order: OrderId) -> Result<(), CallFailed> {
        let body = api::GiveBack { order_id: order };
        let state: Result<api::TakingState, _> = self.0.command("/internal/v1/give-back", command.uuid(), &body).await;
        state.map(drop).map_err(failed)
    }
}

fn wanted(line: agora_api::catalog::Line) -> Result<Wanted, CallFailed> {
    let quantity = Quantity::parse(i64::from(line.quantity));
    let quantity = quantity.map_err(|invalid| CallFailed { callee: CALLEE, source: invalid.into() })?;
    Ok(Wanted { product: line.product_id, variant: line.variant, quantity })
}

fn failed(error: CallError) -> CallFailed {
    CallFailed { callee: CALLEE, source: error.into() }
}
