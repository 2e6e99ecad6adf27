//! Products and stock in PostgreSQL: each port method is one transaction that also writes its facts and its answer.
//!
//! Rows are always locked in one order, so that no two transactions wait for each other: the product or the hold, stock rows
//! by (product, variant, warehouse), a hold that is new, `inventory_seq` by aggregate. What the inbox or the idempotency
//! remembers is written first by a transaction of several statements, last by one that is a single statement: no cause is
//! common to both kinds.

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

/// What both stores need.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    ids: Arc<dyn Ids>,
    epoch: Epoch,
}

impl Store {
    /// Over this database; facts get ids from `ids` and carry `epoch`.
    pub fn new(db: Db, ids: Arc<dyn Ids>, epoch: Epoch) -> Self {
        Self { db, ids, epoch }
    }

    /// Writes facts of `inventory-events`, each counted within its aggregate.
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

/// Takes places for these facts; the first one free per aggregate.
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

/// A fact of `inventory-events` at a place of its aggregate.
fn new_event<'a>(
    event: &'a InventoryEvent,
    (aggregate, seq): (Uuid, i64),
    order: Option<OrderId>,
    dedup_key: &DedupKey,
) -> NewEvent<'a, InventoryEvent> {
    NewEvent { event, aggregate, seq, correlation: order.map(OrderId::uuid), causation: dedup_key.causation() }
}
