//! Consumes order events and commits or releases the holds of their orders. Depends on the use cases, not on SQL.
//!
//! An event repeats what the saga requests by command. If the command was processed, the hold's state makes the event a
//! no-op, so stock is never decremented twice.

use agora_events::{Envelope, Topic, order::OrderEvent, topics};
use agora_outbox::Failure;
use agora_vocab::OrderId;
use uuid::Uuid;

use crate::{
    domain::{Hold, HoldState},
    ports::StoreError,
    service::{CatalogService, Error},
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
}

/// Handles a batch of events, those of one order in their order. Idempotent.
///
/// The saga has usually done by command what an event repeats, so one statement reads the states of all holds, and a hold
/// that has ended accordingly is skipped: its state cannot change back.
pub async fn handle(catalog: CatalogService, envelopes: Vec<Envelope>) -> Result<(), Failure> {
    let mut commands = Vec::with_capacity(envelopes.len());
    for envelope in envelopes {
        let event = envelope.event::<OrderEvent>().map_err(|error| Failure::Poison(error.into()))?;
        if let Some(command) = event.as_ref().and_then(hold_command) {
            commands.push((command, envelope.id));
        }
    }
    if commands.is_empty() {
        return Ok(());
    }
    let holds: Vec<Hold> = commands.iter().map(|(command, _)| command.hold()).collect();
    let states = catalog.hold_states(&holds).await.map_err(failure)?;
    for (command, message) in commands {
        let state = states.get(&command.hold()).copied().unwrap_or(HoldState::Unknown);
        let state = if command.is_done(state) { state } else { run(&catalog, command, message).await? };
        if let HoldCommand::Commit(hold) = command
            && state != HoldState::Committed
        {
            tracing::warn!(order.id = %hold.order, hold = hold.number, state = state.as_str(), "order is paid but its hold could not be committed");
        }
    }
    Ok(())
}

/// Runs a command and returns the state of its hold afterwards.
async fn run(catalog: &CatalogService, command: HoldCommand, message: Uuid) -> Result<HoldState, Failure> {
    match command {
        HoldCommand::Commit(hold) => catalog.commit(hold, message).await,
        HoldCommand::Release(hold) => catalog.release(hold, message).await,
    }
    .map_err(failure)
}

impl HoldCommand {
    const fn hold(self) -> Hold {
        match self {
            Self::Commit(hold) | Self::Release(hold) => hold,
        }
    }

    /// Whether the command never changes a hold that is or was in this state.
    const fn is_done(self, state: HoldState) -> bool {
        match state {
            HoldState::Released | HoldState::Expired | HoldState::Tombstone => true,
            HoldState::Committed => matches!(self, Self::Commit(_)),
            HoldState::Held | HoldState::Unknown => false,
        }
    }
}

/// `None` if the event requires nothing.
fn hold_command(event: &OrderEvent) -> Option<HoldCommand> {
    let order = event.order();
    // An order may end before its first hold: the release then writes a tombstone for hold 1.
    let hold = |number: i32| Hold { order: OrderId::new(order.order_id.uuid()), number: number.max(1) };
    match event {
        OrderEvent::Paid(_) if order.hold >= 1 => Some(HoldCommand::Commit(hold(order.hold))),
        OrderEvent::Cancelled(_) | OrderEvent::Rejected(_) | OrderEvent::Expired(_) => {
            Some(HoldCommand::Release(hold(order.hold)))
        }
        _ => None,
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
            charges: None,
        }
    }

    #[test]
    fn paid_commits_terminal_events_release_and_other_events_do_nothing() {
        let hold = |number| Hold { order: order(0).order_id, number };
        let cases = [
            (OrderEvent::Created(order(0)), None),
            (OrderEvent::Placed(order(1)), None),
            (OrderEvent::Paid(order(2)), Some(HoldCommand::Commit(hold(2)))),
            (OrderEvent::Shipped(order(1)), None),
            (OrderEvent::Refunded(order(1)), None),
            (OrderEvent::Cancelled(order(2)), Some(HoldCommand::Release(hold(2)))),
            (OrderEvent::Expired(order(1)), Some(HoldCommand::Release(hold(1)))),
            (OrderEvent::Rejected(order(0)), Some(HoldCommand::Release(hold(1)))),
        ];
        for (event, expected) in cases {
            assert_eq!(hold_command(&event), expected, "{event:?}");
        }
    }
}
