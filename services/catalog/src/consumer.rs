//! Consumes order events and commits or releases the holds of their orders. Depends on the use cases, not on SQL.
//!
//! An event repeats what the saga requests by command. If the command was processed, the hold's state makes the event a
//! no-op, so stock is never decremented twice.

use agora_events::{Envelope, Topic, order::OrderEvent, topics};
use agora_outbox::{DedupKey, Failure};
use agora_vocab::OrderId;

use crate::{
    domain::{Hold, HoldState},
    ports::StoreError,
    usecases::{CatalogService, Error},
};

/// Name of the consumer group.
pub const CONSUMER: &str = "catalog";
/// Topics that the group reads.
pub const TOPICS: &[Topic] = &[topics::ORDER];

/// The operation on a hold that an order event requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HoldCommand {
    Commit(Hold),
    Release(Hold),
    Nothing,
}

/// Handles one event. Idempotent.
pub async fn handle(catalog: CatalogService, envelope: Envelope) -> Result<(), Failure> {
    let event = envelope.event::<OrderEvent>().map_err(|error| Failure::Poison(error.into()))?;
    let dedup_key = DedupKey::Event { consumer: CONSUMER, id: envelope.id };
    match event.as_ref().map_or(HoldCommand::Nothing, hold_command) {
        HoldCommand::Commit(hold) => {
            let state = catalog.commit(hold, &dedup_key).await.map_err(failure)?;
            if state != HoldState::Committed {
                tracing::warn!(order.id = %hold.order, hold = hold.number, state = state.as_str(), "order is paid but its hold could not be committed");
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
    // An order may end before its first hold: the release then writes a tombstone for hold 1.
    let hold = |number: i32| Hold { order: OrderId::new(order.order_id.uuid()), number: number.max(1) };
    match event {
        OrderEvent::Paid(_) if order.hold >= 1 => HoldCommand::Commit(hold(order.hold)),
        OrderEvent::Cancelled(_) | OrderEvent::Rejected(_) | OrderEvent::Expired(_) => {
            HoldCommand::Release(hold(order.hold))
        }
        _ => HoldCommand::Nothing,
    }
}

/// An unavailable database is retried; every other error is permanent and dead-letters the event.
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
    fn paid_commits_terminal_events_release_and_other_events_do_nothing() {
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
