//! The ports in PostgreSQL: each method is one transaction that also writes its events and its stored result. Independent
//! of HTTP and Kafka.
//!
//! To prevent deadlocks, every transaction locks rows in the same order: the product or the hold, stock rows by (product,
//! variant, warehouse), a new hold, `inventory_seq` by aggregate. A transaction of several statements claims its inbox or
//! idempotency key first, a single-statement transaction writes it last; no key is used by both kinds.

mod holds;
mod products;
mod stock;

use std::{collections::BTreeMap, sync::Arc};

use agora_events::catalog::InventoryEvent;
use agora_outbox::{DedupKey, NewEvent, emit};
use agora_postgres::{Db, Tx};
use agora_vocab::{Epoch, Ids, OrderId};
use uuid::Uuid;

pub use products::PgProducts;
pub use stock::PgStock;

use crate::ports::StoreError;

/// Database, id generator and recovery epoch, shared by both stores.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl Store {
    /// Creates the store; `ids` generates event ids, and every event carries `epoch`.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }

    /// Appends events of `inventory-events` to the outbox, numbered per aggregate.
    async fn append_events(
        &self,
        tx: &mut Tx,
        events: &[(Uuid, InventoryEvent)],
        dedup_key: &DedupKey,
    ) -> Result<(), StoreError> {
        let mut next = next_seqs(tx, events).await?;
        for (aggregate, event) in events {
            let seq = next.entry(*aggregate).or_insert(1);
            let new_event = new_event(event, (*aggregate, *seq), None, dedup_key);
            emit(tx, &*self.ids, self.epoch, new_event).await?;
            *seq += 1;
        }
        Ok(())
    }
}

/// Allocates sequence numbers for these events. Returns the first allocated number per aggregate.
async fn next_seqs(tx: &mut Tx, events: &[(Uuid, InventoryEvent)]) -> Result<BTreeMap<Uuid, i64>, sqlx::Error> {
    const TAKE: &str = "insert into inventory_seq (aggregate_id, seq) \
        select aggregate_id, taken from unnest($1::uuid[], $2::bigint[]) as t (aggregate_id, taken) \
        order by aggregate_id \
        on conflict (aggregate_id) do update set seq = inventory_seq.seq + excluded.seq \
        returning aggregate_id, seq";
    let mut counts: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (aggregate, _) in events {
        *counts.entry(*aggregate).or_default() += 1;
    }
    let (aggregates, taken): (Vec<Uuid>, Vec<i64>) = counts.iter().unzip();
    let last: Vec<(Uuid, i64)> = sqlx::query_as(TAKE).bind(aggregates).bind(taken).fetch_all(&mut **tx).await?;
    let first = |(id, last): (Uuid, i64)| (id, last - counts.get(&id).copied().unwrap_or(0) + 1);
    Ok(last.into_iter().map(first).collect())
}

/// Builds an event of `inventory-events` with its aggregate and sequence number.
fn new_event<'a>(
    event: &'a InventoryEvent,
    (aggregate, seq): (Uuid, i64),
    order: Option<OrderId>,
    dedup_key: &DedupKey,
) -> NewEvent<'a, InventoryEvent> {
    NewEvent { event, aggregate, seq, correlation: order.map(OrderId::uuid), causation: dedup_key.causation() }
}
