//! Collects evidence that the API does not show: tables and topics. Must not depend on a scenario.

use std::time::{Duration, Instant};

use agora_shopper::checker::{Evidence, check};

use crate::{broker, tables::Tables};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Adds stock, ledger, committed events and topics to the evidence from the API. `timeout` limits the wait until the
/// relays have sent all events.
pub async fn complete(tables: &Tables, by_api: Evidence, timeout: Duration) -> anyhow::Result<Evidence> {
    let mut evidence = Evidence {
        stock: tables.stock().await?,
        ledger: tables.ledger().await?,
        outbox: tables.order_events().await?,
        ..by_api
    };
    let (key, started) = (tables.market.isolation_key(), Instant::now());
    loop {
        // After a restart the broker has no partition leaders for a moment.
        let seen = broker::events(&key, agora_events::topics::ORDER).await;
        let in_time = started.elapsed() < timeout;
        match seen {
            Ok(topics) => {
                let sent = Evidence { outbox: evidence.outbox.clone(), topics, ..Evidence::default() };
                if !in_time || check(&[], &sent).is_empty() {
                    evidence.topics = sent.topics;
                    return Ok(evidence);
                }
            }
            Err(error) if !in_time => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
