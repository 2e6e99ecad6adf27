//! The evidence of a shop at rest that no API shows: its tables, and what is on its topics.

use std::time::{Duration, Instant};

use agora_shopper::checker::{Evidence, check};

use crate::{broker, tables::Tables};

const LOOKS_APART: Duration = Duration::from_secs(1);

/// Adds stock, ledger, facts and topics to what the API showed. Facts may take the relay a moment to send: `patience`
/// is how long.
pub async fn complete(tables: &Tables, by_api: Evidence, patience: Duration) -> anyhow::Result<Evidence> {
    let mut evidence = Evidence {
        stock: tables.stock().await?,
        ledger: tables.ledger().await?,
        outbox: tables.order_facts().await?,
        ..by_api
    };
    let (key, begun) = (tables.market.isolation_key(), Instant::now());
    loop {
        let topics = broker::events(&key, agora_events::topics::ORDER).await?;
        let sent = Evidence { outbox: evidence.outbox.clone(), topics, ..Evidence::default() };
        if check(&[], &sent).is_empty() || begun.elapsed() > patience {
            evidence.topics = sent.topics;
            return Ok(evidence);
        }
        tokio::time::sleep(LOOKS_APART).await;
    }
}
