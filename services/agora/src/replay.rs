//! Sends archived events to their topics again, or applies them to a projection. Consumers detect those that they have handled by
//! their ids and versions.

mod projection;

use agora_archive::{Archive, Record};
use agora_chassis::{Process, SystemClock, settings};
use agora_events::{Envelope, Topic, topics};
use agora_kafka::{Outgoing, Producer};
use agora_vocab::Clock as _;
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use time::{Duration, OffsetDateTime};

use self::projection::RecommendationProjection;

/// Events that are sent or applied at once.
const BATCH: usize = 500;
/// Inboxes remember events for 14 days, see `agora_outbox::sweep`; consumers reject an older one. A day less, because a replay
/// takes time.
const AGE_MAX: Duration = Duration::days(13);

/// A projection: data of a service that are a copy of events, each with a version. Events of any age can be applied to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Projection {
    /// Purchases, products and stock of the recommendation service
    Recommendation,
}

/// What to replay.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The time of the first event.
    pub from: OffsetDateTime,
    /// Events before this time.
    pub to: OffsetDateTime,
    /// Topics; every topic but the dead letters if empty.
    pub topics: Vec<Topic>,
    /// The projection that events are applied to; none: they are sent to their topics.
    pub into: Option<Projection>,
    /// Whether to count only.
    pub dry_run: bool,
}

/// What becomes of the events.
enum Target {
    Nothing,
    Topics(Producer),
    Recommendation(RecommendationProjection),
}

/// Counts of a topic.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    events: usize,
    /// Messages that are no envelope, and events that the projection rejects.
    skipped: usize,
}

impl Count {
    const fn reject(&mut self, events: usize) {
        self.events -= events;
        self.skipped += events;
    }
}

/// Replays the events of the plan in the order of their hours, partitions and offsets, and prints counts by topic. Fails if the
/// archive has no such event.
pub async fn run(plan: &Plan) -> anyhow::Result<()> {
    check(plan, SystemClock.now())?;
    let process = Process::new(plan.service());
    let result = replay(plan, &process).await;
    process.end().await;
    result
}

fn check(plan: &Plan, now: OffsetDateTime) -> anyhow::Result<()> {
    if plan.from >= plan.to {
        bail!("--from must be before --to");
    }
    if !plan.dry_run && plan.into.is_none() && plan.from < now - AGE_MAX {
        let days = AGE_MAX.whole_days();
        bail!(
            "--from must be within the last {days} days: services do not remember which older events they have handled. Older \
             events can be applied to a projection alone: --into recommendation"
        );
    }
    Ok(())
}

impl Plan {
    /// The service whose settings name the archive.
    const fn service(&self) -> &'static str {
        match self.into {
            None => agora_topology::SEARCH.name,
            Some(Projection::Recommendation) => agora_topology::RECOMMENDATION.name,
        }
    }

    fn topics(&self) -> Vec<Topic> {
        let all = || topics::ALL.into_iter().filter(|topic| *topic != topics::DEAD_LETTER);
        match (self.into, self.topics.is_empty()) {
            (Some(Projection::Recommendation), true) => agora_recommendation::consumer::TOPICS.to_vec(),
            (None, true) => all().collect(),
            (_, false) => self.topics.clone(),
        }
    }

    async fn target(&self, process: &Process) -> anyhow::Result<Target> {
        Ok(match self.into {
            _ if self.dry_run => Target::Nothing,
            None => Target::Topics(Producer::new(&settings(self.service(), agora_kafka::Config::read)?)),
            Some(Projection::Recommendation) => Target::Recommendation(RecommendationProjection::open(process).await?),
        })
    }

    const fn verb(&self) -> &'static str {
        match (self.dry_run, self.into) {
            (true, None) => "would be sent",
            (true, Some(_)) => "would be applied",
            (false, None) => "sent",
            (false, Some(_)) => "applied",
        }
    }
}

async fn replay(plan: &Plan, process: &Process) -> anyhow::Result<()> {
    let archive = settings(plan.service(), agora_archive::Config::read)?.context("ARCHIVE_URL is not set")?;
    let (archive, topics) = (Archive::open(&archive)?, plan.topics());
    let target = plan.target(process).await?;
    let mut sum = Count::default();
    for topic in &topics {
        let Count { events, skipped } = replay_topic(&archive, &target, *topic, plan).await?;
        println!("{topic}: {events} events {}, {skipped} unreadable messages skipped", plan.verb());
        sum = Count { events: sum.events + events, skipped: sum.skipped + skipped };
    }
    if sum.events + sum.skipped == 0 {
        bail!("the archive has no event of these topics in this interval; {}", described(&archive, &topics).await?);
    }
    Ok(())
}

/// The days that the archive has.
async fn described(archive: &Archive, topics: &[Topic]) -> anyhow::Result<String> {
    let mut days = Vec::new();
    for topic in topics {
        days.extend(archive.days(*topic).await?);
    }
    Ok(match (days.iter().min(), days.iter().max()) {
        (Some(first), Some(last)) => format!("it has days from {first} to {last}: correct --from, --to or --topic"),
        _ => "it is empty: check ARCHIVE_URL".to_owned(),
    })
}

async fn replay_topic(archive: &Archive, target: &Target, topic: Topic, plan: &Plan) -> anyhow::Result<Count> {
    let (mut count, mut batch) = (Count::default(), Vec::with_capacity(BATCH));
    let mut records = archive.records(topic, plan.from, plan.to).await?;
    while let Some(next) = records.next().await? {
        for record in next {
            match (record.envelope(), record.payload()) {
                (Some(envelope), Some(payload)) => {
                    count.events += 1;
                    batch.push((envelope, message(topic, &record, payload)));
                }
                _ => count.skipped += 1,
            }
            if batch.len() == BATCH {
                count.reject(deliver(target, std::mem::take(&mut batch)).await?);
            }
        }
    }
    count.reject(deliver(target, batch).await?);
    Ok(count)
}

/// The message as it was sent, but for its trace.
fn message(topic: Topic, record: &Record, payload: Vec<u8>) -> Outgoing {
    Outgoing { topic: topic.name().to_owned(), key: record.key.clone().unwrap_or_default(), payload, trace: None }
}

/// Returns how many events were rejected.
async fn deliver(target: &Target, batch: Vec<(Envelope, Outgoing)>) -> anyhow::Result<usize> {
    let (envelopes, messages): (Vec<Envelope>, Vec<Outgoing>) = batch.into_iter().unzip();
    match target {
        Target::Topics(producer) if !messages.is_empty() => {
            producer.send_all(&messages).await.context("sending events; it is safe to replay them again")?;
            Ok(0)
        }
        Target::Recommendation(projection) if !envelopes.is_empty() => projection.apply(envelopes).await,
        Target::Nothing | Target::Topics(_) | Target::Recommendation(_) => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn plan(from: OffsetDateTime, to: OffsetDateTime) -> Plan {
        Plan { from, to, topics: Vec::new(), into: None, dry_run: false }
    }

    #[test]
    fn ms6_events_that_consumers_may_have_forgotten_are_counted_or_applied_to_projections_but_not_sent() {
        let now = datetime!(2026-03-31 12:00 UTC);
        let old = plan(now - Duration::days(14), now);
        assert!(check(&old, now).unwrap_err().to_string().contains("13 days"));
        assert!(check(&Plan { dry_run: true, ..old.clone() }, now).is_ok());
        assert!(check(&Plan { into: Some(Projection::Recommendation), ..old }, now).is_ok());
        assert!(check(&plan(now - Duration::days(12), now), now).is_ok());
        assert!(check(&plan(now, now), now).unwrap_err().to_string().contains("--from must be before --to"));
    }

    #[test]
    fn ms6_dead_letters_are_not_replayed_and_a_projection_gets_the_topics_that_it_consumes() {
        let all = plan(OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(all.topics().len(), topics::ALL.len() - 1);
        assert!(!all.topics().contains(&topics::DEAD_LETTER));
        let into = Plan { into: Some(Projection::Recommendation), ..all.clone() };
        assert_eq!(into.topics(), agora_recommendation::consumer::TOPICS);
        assert_eq!(Plan { topics: vec![topics::USER], ..all }.topics(), [topics::USER]);
    }
}
