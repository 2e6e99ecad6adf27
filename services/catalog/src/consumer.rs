//! Facts of orders, as commits and releases of their holds: what the saga did by command is done here again if it was
//! not, and is a no-op by the hold's state if it was. Never a second decrement.

use agora_events::{Envelope, Topic, order::OrderEvent, topics};
use agora_outbox::{DedupKey, Failure};
use agora_vocab::OrderId;

use crate::{
    domain::{Hold, HoldState},
    ports::StoreError,
    usecases::{CatalogService, Error},
};

/// The group that reads.
pub const CONSUMER: &str = "catalog";
/// What is read.
pub const TOPICS: &[Topic] = &[topics::ORDER];

/// What a fact of an order asks of its hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldCommand {
    Commit(Hold),
    Release(Hold),
    Nothing,
}

/// Handles one fact; a repetition changes nothing.
pub async fn handle(catalog: CatalogService, envelope: Envelope) -> Result<(), Failure> {
    let event = envelope.event::<OrderEvent>().map_err(|error| Failure::Poison(error.into()))?;
    let dedup_key = DedupKey::Event { consumer: CONSUMER, id: envelope.id };
    match event.as_ref().map_or(HoldCommand::Nothing, hold_command) {
        HoldCommand::Commit(hold) => {
            let state = catalog.commit(hold, &dedup_key).await.map_err(failure)?;
            if state != HoldState::Committed {
                tracing::warn!(order.id = %hold.order, hold = hold.number, state = state.as_str(), "a paid order's hold was not committed");
            }
        }
        HoldCommand::Release(hold) => {
            catalog.release(hold, &dedup_key).await.map_err(failure)?;
        }
        HoldCommand::Nothing => {}
    }
    Ok(())
}

fn hold_command(event: &OrderEvent) -> HoldCommand {
    let order = event.order();
    // An order that ended before its first hold must never get it.
    let hold = |number: i32| Hold { order: OrderId::new(order.order_id.uuid()), number: number.max(1) };
    match event {
        OrderEvent::Paid(_) if order.hold >= 1 => HoldCommand::Commit(hold(order.hold)),
        OrderEvent::Cancelled(_) | OrderEvent::Rejected(_) | OrderEvent::Expired(_) => {
            HoldCommand::Release(hold(order.hold))
        }
        _ => HoldCommand::Nothing,
    }
}

/// What the database cannot take now it can take later; what it refuses it refuses always.
fn failure(error: Error) -> Failure {
    match error {
        Error::Store(StoreError::Unavailable(_) | StoreError::Running) => Failure::Again(error.into()),
        error => Failure::Poison(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use agora_events::order::Order;
    use agora_vocab::{Currency, Money, UserId};
    use uuid::Uuid;

    use super::*;

    fn order(hold: i32) -> Order {
        Order {
            order_id: OrderId::new(Uuid::from_u128(1)),
            number: "A-1000001".into(),
            user_id: UserId::new(Uuid::from_u128(2)),
            cart_id: None,
            hold,
            payment_id: None,
            status: "paid".into(),
            payment_status: "paid".into(),
            items: Vec::new(),
            total: Money::zero(Currency::EUR),
        }
    }

    #[test]
    fn paid_commits_an_end_releases_and_the_rest_of_an_orders_life_moves_no_stock() {
        let hold = |number| Hold { order: order(0).order_id, number };
        let cases = [
            (OrderEvent::Created(order(0)), HoldCommand::Nothing),
            (OrderEvent::Placed(order(1)), HoldCommand::Nothing),
            (OrderEvent::Paid(order(2)), HoldCommand::Commit(hold(2))),
            (OrderEvent::Shipped(order(1)), HoldCommand::Nothing),
            (OrderEvent::Refunded(order(1)), HoldCommand::Nothing),
            (OrderEvent::Cancelled(order(2)), HoldCommand::Release(hold(2))),
            (OrderEvent::Expired(order(1)), HoldCommand::Release(hold(1))),
            (OrderEvent::Rejected(order(0)), HoldCommand::Release(hold(1))),
        ];
        for (event, expected) in cases {
            assert_eq!(hold_command(&event), expected, "{event:?}");
        }
    }
}
