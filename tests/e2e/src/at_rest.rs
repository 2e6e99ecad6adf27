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
        // A broker that has just come back leads none of its partitions for a moment.
        let seen = broker::events(&key, agora_events::topics::ORDER).await;
        let patient = begun.elapsed() < patience;
        match seen {
            Ok(topics) => {
                let sent = Evidence { outbox: evidence.outbox.clone(), topics, ..Evidence::default() };
                if !patient || check(&[], &sent).is_empty() {
                    evidence.topics = sent.topics;
                    return Ok(evidence);
                }
            }
            Err(error) if !patient => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(LOOKS_APART).await;
    }
}
