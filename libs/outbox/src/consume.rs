//! Passes events to a handler at least once, in order per partition, and commits the handled offsets. A handler gets
//! batches; if it fails for a batch, it gets the batch's events one by one.
//!
//! Contains polling, retries and dead letters. Must not depend on what a handler does. A handler deduplicates with
//! [`crate::claim_key`] and [`crate::DedupKey::Event`].

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_chassis::{
    BoxError, Dependency, Process,
    trace::{self, Parent},
};
use agora_events::{Envelope, Topic};
use agora_kafka::{Config, Consumer, Incoming};
use agora_postgres::Db;
use agora_vocab::{Clock, Ids};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    backoff::backoff,
    dead_letter::{DeadLetterDraft, dead_letter},
    partition_queues::{Completion, InFlight, PartitionQueues},
};

/// Handlers that run at a time: each takes a pooled connection that requests need too.
const HANDLERS_MAX: usize = 4;
/// Events of one partition in a batch, at most.
const BATCH_MAX: usize = 64;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// Wait after a broker error.
const BROKER_ERROR_WAIT: Duration = Duration::from_millis(200);
/// Without a further error for this long, the broker counts as reachable even if no message arrived.
const BROKER_RECOVERED_AFTER: Duration = Duration::from_secs(10);
/// Time for running handlers to finish at shutdown.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// Panics of a handler on one message after which the message becomes a dead letter.
const PANICS_MAX: u32 = 5;

/// Why a handler did not handle an event.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Transient: the database or another service is unreachable. Retried with back-off; the partition waits.
    #[error("the event cannot be handled yet")]
    Again(#[source] BoxError),
    /// Permanent. The message becomes a dead letter and the partition continues.
    #[error("the event can never be handled")]
    Poison(#[source] BoxError),
}

/// Events in the order of their partitions; a handler may apply some and fail, and then gets all of them again.
type Handler = Arc<dyn Fn(Vec<Envelope>) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// Consumes topics as the group `consumer` until the process shuts down. While the broker is unreachable, `kafka` is
/// listed as a degraded dependency. `handler` gets events of several partitions at once, those of a partition in order.
pub fn consume<H>(
    db: Db,
    config: &Config,
    consumer: &'static str,
    topics: &'static [Topic],
    process: &Process,
    handler: H,
) where
    H: Fn(Vec<Envelope>) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
{
    let worker = Arc::new(Worker {
        db,
        config: config.clone(),
        consumer,
        topics,
        handler: Arc::new(handler),
        handlers: Semaphore::new(HANDLERS_MAX),
        service: process.service(),
        clock: process.clock(),
        ids: process.ids(),
        kafka: process.dependency("kafka"),
        shutdown: process.shutdown(),
    });
    process.supervise("consumer", move || worker.clone().run());
}

struct Worker {
    db: Db,
    config: Config,
    consumer: &'static str,
    topics: &'static [Topic],
    handler: Handler,
    handlers: Semaphore,
    service: &'static str,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    kafka: Dependency,
    shutdown: CancellationToken,
}

/// The end of a job: batches that were handled, and those that are to be handled message by message.
#[derive(Default)]
struct JobEnd {
    completions: Vec<Completion>,
    failed: Vec<InFlight>,
}

type Running = FuturesUnordered<BoxFuture<'static, JobEnd>>;

impl Worker {
    /// Joins the consumer group again whenever the password or certificate authority changes.
    async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        while !self.shutdown.is_cancelled() {
            self.membership().await?;
        }
        Ok(())
    }

    async fn membership(self: &Arc<Self>) -> anyhow::Result<()> {
        let member = Consumer::new(&self.config, self.consumer, self.topics)?;
        let (mut queues, mut running) = (PartitionQueues::default(), Running::new());
        let mut last_error = None;
        let mut config = self.config.clone();
        let mut rotated = std::pin::pin!(config.login_changed());
        let mut ticks = tokio::time::interval(COMMIT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = &mut rotated => break,
                received = member.recv() => match received {
                    Ok(message) => accept(&member, &mut queues, message)?,
                    Err(error) => {
                        last_error = Some(Instant::now());
                        self.broker_error(&error).await;
                    }
                },
                Some(JobEnd { completions, failed }) = running.next() => {
                    for completion in completions {
                        finish(&member, &mut queues, completion)?;
                    }
                    running.extend(failed.into_iter().map(|batch| self.clone().one_by_one(batch).boxed()));
                }
                _ = ticks.tick() => {
                    commit(&member, &mut queues);
                    if last_error.take_if(|at| at.elapsed() > BROKER_RECOVERED_AFTER).is_some() {
                        self.kafka.up();
                    }
                }
            }
            let ready = queues.take_ready(BATCH_MAX);
            if !ready.is_empty() {
                running.push(self.clone().together(ready).boxed());
            }
        }
        let finish_running = async {
            while let Some(JobEnd { completions, .. }) = running.next().await {
                for completion in completions {
                    queues.complete(completion);
                }
            }
        };
        let _ = tokio::time::timeout(FINISH_MAX, finish_running).await;
        commit(&member, &mut queues);
        Ok(())
    }

    async fn broker_error(&self, error: &agora_kafka::Error) {
        self.kafka.down(format!("{error:?}"));
        tokio::time::sleep(BROKER_ERROR_WAIT).await;
    }

    /// Handles the batches of some partitions at once. If that fails, each partition goes on by itself.
    async fn together(self: Arc<Self>, batches: Vec<InFlight>) -> JobEnd {
        let messages = || batches.iter().flat_map(|batch| &batch.messages);
        let parsed: Result<Vec<Envelope>, _> =
            messages().map(|message| serde_json::from_slice(&message.payload)).collect();
        let handled = match parsed {
            Ok(envelopes) if envelopes.len() > 1 => {
                let span =
                    tracing::info_span!(parent: None, "consume", consumer = self.consumer, events = envelopes.len());
                let _permit = self.handlers.acquire().await;
                matches!(self.handle(&envelopes).instrument(span).await, Some(Ok(())))
            }
            _ => false,
        };
        if !handled {
            return JobEnd { failed: batches, ..JobEnd::default() };
        }
        for message in messages() {
            self.count(message, "handled");
        }
        let completions = batches.iter().filter_map(|InFlight { queue, messages }| {
            let Incoming { partition, offset, .. } = messages.last()?;
            Some(Completion { queue: *queue, partition: *partition, offset: Some(*offset), handled: true })
        });
        JobEnd { completions: completions.collect(), ..JobEnd::default() }
    }

    /// Handles the messages of a partition in turn. Each is repeated until it succeeds, becomes a dead letter, or the
    /// process shuts down.
    async fn one_by_one(self: Arc<Self>, InFlight { queue, messages }: InFlight) -> JobEnd {
        let partition = messages[0].partition;
        let mut completion = Completion { queue, partition, offset: None, handled: true };
        for message in &messages {
            let topic = partition.topic.name();
            let span =
                tracing::info_span!(parent: None, "consume", consumer = self.consumer, topic, offset = message.offset);
            completion.handled = self.until_handled(message).instrument(span).await;
            if !completion.handled {
                break;
            }
            completion.offset = Some(message.offset);
        }
        JobEnd { completions: vec![completion], ..JobEnd::default() }
    }

    /// `false`: the process shuts down before the message is handled.
    async fn until_handled(&self, message: &Incoming) -> bool {
        let first_at = self.clock.now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match self.attempt(message, attempts, first_at).await {
                Ok(()) => return true,
                Err(failure) => failure,
            };
            if attempts == 1 {
                tracing::warn!(error = format!("{failure:#}"), "retrying an event that its handler rejected");
            }
            self.count(message, "again");
            let wait = backoff(&*self.ids, attempts, BACKOFF_FIRST, BACKOFF_MAX);
            if self.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return false;
            }
        }
    }

    /// Handles a message or stores it as a dead letter. An error means retry.
    async fn attempt(&self, message: &Incoming, attempts: u32, first_at: time::OffsetDateTime) -> anyhow::Result<()> {
        let _permit = self.handlers.acquire().await;
        let parsed: Result<Envelope, _> = serde_json::from_slice(&message.payload);
        let envelope = parsed.as_ref().ok();
        let reason = match &parsed {
            // Without the error's own text, which may quote the message.
            Err(error) => {
                format!("no envelope: {:?} error at line {} column {}", error.classify(), error.line(), error.column())
            }
            Ok(envelope) => match self.handle_one(envelope, attempts).await {
                Ok(()) => {
                    self.count(message, "handled");
                    return Ok(());
                }
                Err(Failure::Again(error)) => return Err(anyhow::anyhow!(error)),
                Err(Failure::Poison(error)) => format!("{:#}", anyhow::anyhow!(error)),
            },
        };
        let draft = DeadLetterDraft { consumer: self.consumer, message, envelope, reason: &reason, attempts, first_at };
        dead_letter(&self.db, &*self.ids, draft).await?;
        tracing::error!(reason, "stored a message as a dead letter");
        self.count(message, "dead");
        Ok(())
    }

    async fn handle_one(&self, envelope: &Envelope, attempts: u32) -> Result<(), Failure> {
        let span = tracing::info_span!("handle", event.id = %envelope.id, event.kind = envelope.kind);
        let parent = envelope.trace.as_deref().map(Parent::of_traceparent).unwrap_or_default();
        match trace::follow(parent, span, self.handle(std::slice::from_ref(envelope))).await {
            Some(result) => result,
            None if attempts < PANICS_MAX => Err(Failure::Again("the handler panicked".into())),
            None => Err(Failure::Poison("the handler panicked at each attempt".into())),
        }
    }

    /// Calls the handler; `None` if it panicked.
    async fn handle(&self, envelopes: &[Envelope]) -> Option<Result<(), Failure>> {
        let now = self.clock.now();
        let age = metrics::histogram!("consumer_event_age_seconds", "service" => self.service);
        for envelope in envelopes {
            age.record((now - envelope.time).as_seconds_f64());
        }
        let started = Instant::now();
        // Called inside the guard: a handler may panic before it returns its future.
        let work = AssertUnwindSafe(async { (self.handler)(envelopes.to_vec()).await }).catch_unwind();
        let result = work.await.ok();
        metrics::histogram!("consumer_event_duration_seconds", "service" => self.service)
            .record(started.elapsed().as_secs_f64());
        result
    }

    fn count(&self, message: &Incoming, outcome: &'static str) {
        let topic = message.partition.topic.name();
        metrics::counter!("consumer_event_total", "service" => self.service, "topic" => topic, "outcome" => outcome)
            .increment(1);
    }
}

fn accept(member: &Consumer, queues: &mut PartitionQueues, message: Incoming) -> Result<(), agora_kafka::Error> {
    match queues.accept(message) {
        Some(full) => member.pause(full),
        None => Ok(()),
    }
}

fn finish(member: &Consumer, queues: &mut PartitionQueues, completion: Completion) -> Result<(), agora_kafka::Error> {
    match queues.complete(completion) {
        Some(drained) => member.resume(drained),
        None => Ok(()),
    }
}

/// The next commit repeats one that failed. Until then messages may be delivered again, which handlers deduplicate.
fn commit(member: &Consumer, queues: &mut PartitionQueues) {
    for partition in member.revoked() {
        queues.revoke(partition);
    }
    let next = queues.commits();
    if !next.is_empty()
        && let Err(error) = member.commit(&next)
    {
        tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "offsets were not committed");
    }
}
