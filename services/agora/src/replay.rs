//! Sends archived events to their topics again. Consumers detect those that they have handled by their ids and versions.

use std::collections::BTreeSet;

use agora_archive::{Archive, Record};
use agora_chassis::{SystemClock, settings};
use agora_events::{Topic, topics};
use agora_kafka::{Outgoing, Producer};
use agora_vocab::Clock as _;
use anyhow::{Context as _, bail};
use time::{Duration, OffsetDateTime};

/// Events that are sent and awaited at once.
const BATCH: usize = 500;
/// Inboxes remember events for 14 days, see `agora_outbox::sweep`; an older one could take effect twice. A day less, because a
/// replay takes time.
const AGE_MAX: Duration = Duration::days(13);

/// What to send again.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The time of the first event.
    pub from: OffsetDateTime,
    /// Events before this time.
    pub to: OffsetDateTime,
    /// Topics; every topic but the dead letters if empty.
    pub topics: Vec<Topic>,
    /// Whether to count only.
    pub dry_run: bool,
}

/// Counts of a topic.
#[derive(Debug, Default)]
struct Count {
    files: usize,
    events: usize,
    /// Messages that are no envelope, which no consumer could handle.
    unreadable: usize,
}

/// Sends the events of the plan in the order of their hours, partitions and offsets, and prints counts by topic.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    check(plan, SystemClock.now())?;
    let archive = settings("search", agora_archive::Config::read)?.context("ARCHIVE_URL is not set")?;
    let producer =
        if plan.dry_run { None } else { Some(Producer::new(&settings("search", agora_kafka::Config::read)?)) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    runtime.block_on(async {
        let archive = Archive::open(&archive)?;
        let all = topics::ALL.into_iter().filter(|topic| *topic != topics::DEAD_LETTER);
        let chosen = if plan.topics.is_empty() { all.collect() } else { plan.topics.clone() };
        for topic in chosen {
            let Count { files, events, unreadable } = replay(&archive, producer.as_ref(), topic, plan).await?;
            let verb = if plan.dry_run { "would be sent" } else { "sent" };
            println!("{topic}: {events} events {verb} from {files} files, {unreadable} unreadable messages skipped");
        }
        Ok(())
    })
}

fn check(plan: &Plan, now: OffsetDateTime) -> anyhow::Result<()> {
    if plan.from >= plan.to {
        bail!("--from must be before --to");
    }
    if !plan.dry_run && plan.from < now - AGE_MAX {
        let days = AGE_MAX.whole_days();
        bail!(
            "--from must be within the last {days} days: services do not remember which older events they have handled"
        );
    }
    Ok(())
}

async fn replay(archive: &Archive, producer: Option<&Producer>, topic: Topic, plan: &Plan) -> anyhow::Result<Count> {
    let (mut count, mut seen, mut batch) = (Count::default(), BTreeSet::new(), Vec::with_capacity(BATCH));
    for path in archive.files(topic, plan.from, plan.to).await? {
        count.files += 1;
        for record in archive.read(&path).await? {
            // A line may be repeated: see the README of the archive.
            if !seen.insert((record.partition, record.offset)) {
                continue;
            }
            match message(topic, &record) {
                Some((time, message)) if (plan.from..plan.to).contains(&time) => {
                    count.events += 1;
                    batch.push(message);
                }
                Some(_) => {}
                None => count.unreadable += 1,
            }
            if batch.len() == BATCH {
                send(producer, &mut batch).await?;
            }
        }
    }
    send(producer, &mut batch).await?;
    Ok(count)
}

/// The message as it was sent, and the time of its event.
fn message(topic: Topic, record: &Record) -> Option<(OffsetDateTime, Outgoing)> {
    let envelope = record.envelope()?;
    let key = record.key.clone().unwrap_or(envelope.key);
    let message = Outgoing { topic: topic.name().to_owned(), key, payload: record.payload()?, trace: envelope.trace };
    Some((envelope.time, message))
}

async fn send(producer: Option<&Producer>, batch: &mut Vec<Outgoing>) -> anyhow::Result<()> {
    if let Some(producer) = producer
        && !batch.is_empty()
    {
        producer.send_all(batch).await.context("sending events; it is safe to replay them again")?;
    }
    batch.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn plan(from: OffsetDateTime, to: OffsetDateTime, dry_run: bool) -> Plan {
        Plan { from, to, topics: Vec::new(), dry_run }
    }

    #[test]
    fn ms6_events_that_consumers_may_have_forgotten_are_counted_but_not_sent() {
        let now = datetime!(2026-03-31 12:00 UTC);
        let old = now - Duration::days(14);
        assert!(check(&plan(old, now, true), now).is_ok());
        assert!(check(&plan(old, now, false), now).unwrap_err().to_string().contains("13 days"));
        assert!(check(&plan(now - Duration::days(12), now, false), now).is_ok());
        assert!(check(&plan(now, now, true), now).unwrap_err().to_string().contains("--from must be before --to"));
    }
}
