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
    BoxError, Dependency, Process, chain,
    trace::{self, Parent},
};
use agora_events::{Envelope, Topic};
use agora_kafka::{Config, Consumer, Incoming, Rebalanced};
use agora_postgres::Db;
use agora_vocab::{Clock, Ids};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use time::OffsetDateTime;
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    backoff::backoff,
    consumer_span,
    dead_letter::{DeadLetterDraft, printable, store},
    epochs::Epochs,
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
/// Defects, such as panics, that a message may cause before it becomes a dead letter, and the pause after each: all within a
/// second.
const DEFECTS_MAX: u32 = 5;
const DEFECT_PAUSE: Duration = Duration::from_millis(50);

/// Why a handler did not handle an event.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Transient: the database or another service is unreachable. Retried with back-off; the partition waits.
    #[error("the event cannot be handled yet")]
    Again(#[source] BoxError),
    /// Unexpected: a defect of the handler, of its data or of the event. Repeated a few times, in case a concurrent change
    /// was its cause; then the message becomes a dead letter.
    #[error("the event could not be handled")]
    Defect(#[source] BoxError),
    /// Permanent. The message becomes a dead letter and the partition continues.
    #[error("the event can never be handled")]
    Poison(#[source] BoxError),
}

impl Failure {
    /// Label of `processing_errors_total`.
    const fn error_type(&self) -> &'static str {
        match self {
            Self::Again(_) => "again",
            Self::Defect(_) => "defect",
            Self::Poison(_) => "poison",
        }
    }
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
        epochs: Epochs::default(),
        service: process.service(),
        clock: process.clock(),
        ids: process.ids(),
        kafka: process.dependency("kafka").measured_by("kafka_connection_status"),
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
    epochs: Epochs,
    service: &'static str,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    kafka: Dependency,
    shutdown: CancellationToken,
}

/// The end of one attempt to handle a message.
enum Attempt {
    /// Handled, or stored as a dead letter.
    Done,
    Again(anyhow::Error),
    Defect(anyhow::Error),
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
        // Notices a new password once: it outlives a membership.
        let mut config = self.config.clone();
        while !self.shutdown.is_cancelled() {
            self.membership(&mut config).await?;
        }
        Ok(())
    }

    async fn membership(self: &Arc<Self>, config: &mut Config) -> anyhow::Result<()> {
        let member = Consumer::new(&self.config, self.consumer, self.topics)?;
        let (mut queues, mut running) = (PartitionQueues::default(), Running::new());
        let mut last_error = None;
        let mut rotated = std::pin::pin!(config.login_changed());
        let mut ticks = tokio::time::interval(COMMIT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = &mut rotated => break,
                received = member.recv() => {
                    // A rebalance that precedes the message is a part of the same poll.
                    follow_rebalances(&member, &mut queues);
                    match received {
                        Ok(message) => accept(&member, &mut queues, message),
                        Err(error) => {
                            last_error = Some(Instant::now());
                            self.broker_error(&error).await;
                        }
                    }
                }
                Some(JobEnd { completions, failed }) = running.next() => {
                    for completion in completions {
                        finish(&member, &mut queues, completion);
                    }
                    running.extend(failed.into_iter().map(|batch| self.clone().one_by_one(batch).boxed()));
                }
                _ = ticks.tick() => {
                    follow_rebalances(&member, &mut queues);
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
                let traces = envelopes.iter().filter_map(|envelope| Some((envelope.id, envelope.trace.clone()?)));
                let span = consumer_span::of_batch(self.consumer, envelopes.len());
                let _permit = self.handlers.acquire().await;
                let handled = trace::follow_all(traces.collect(), span, self.handle(&envelopes)).await;
                matches!(handled, Some(Ok(())))
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
        let (mut attempts, mut defects) = (0, 0);
        loop {
            attempts += 1;
            let last = defects + 1 >= DEFECTS_MAX;
            let (failure, wait) = match self.attempt(message, (attempts, last), first_at).await {
                Attempt::Done => return true,
                Attempt::Again(failure) => (failure, backoff(&*self.ids, attempts, BACKOFF_FIRST, BACKOFF_MAX)),
                Attempt::Defect(failure) => {
                    defects += 1;
                    (failure, DEFECT_PAUSE)
                }
            };
            if attempts == 1 {
                tracing::warn!(error = format!("{failure:#}"), "retrying an event that its handler rejected");
            }
            self.count(message, "again");
            if self.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return false;
            }
        }
    }

    /// Handles a message or stores it as a dead letter; after a defect only if it is the `last` attempt.
    async fn attempt(&self, message: &Incoming, (attempts, last): (u32, bool), first_at: OffsetDateTime) -> Attempt {
        let _permit = self.handlers.acquire().await;
        let parsed: Result<Envelope, _> = serde_json::from_slice(&message.payload);
        let envelope = parsed.as_ref().ok();
        let reason = match &parsed {
            // Without the error's own text, which may quote the message.
            Err(error) => {
                self.count_error("malformed");
                format!("no envelope: {:?} error at line {} column {}", error.classify(), error.line(), error.column())
            }
            Ok(envelope) => {
                match self.handle_one(message, envelope).await.inspect_err(|e| self.count_error(e.error_type())) {
                    Ok(()) => {
                        self.count(message, "handled");
                        return Attempt::Done;
                    }
                    Err(Failure::Again(error)) => return Attempt::Again(anyhow::anyhow!(error)),
                    Err(Failure::Defect(error)) if !last => return Attempt::Defect(anyhow::anyhow!(error)),
                    Err(Failure::Defect(error) | Failure::Poison(error)) => format!("{:#}", anyhow::anyhow!(error)),
                }
            }
        };
        let reason = printable(&reason);
        let draft = DeadLetterDraft { consumer: self.consumer, message, envelope, reason: &reason, attempts, first_at };
        if let Err(error) = store(&self.db, &*self.ids, draft).await {
            return Attempt::Again(error.into());
        }
        tracing::error!(reason, "stored a message as a dead letter");
        self.count(message, "dead");
        Attempt::Done
    }

    async fn handle_one(&self, message: &Incoming, envelope: &Envelope) -> Result<(), Failure> {
        let span = consumer_span::of_event(self.consumer, message, envelope);
        let parent = envelope.trace.as_deref().map(Parent::of_traceparent).unwrap_or_default();
        let handled = trace::follow(parent, span.clone(), self.handle(std::slice::from_ref(envelope))).await;
        let handled = handled.unwrap_or_else(|| Err(Failure::Defect("the handler panicked".into())));
        if handled.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        handled
    }

    /// Calls the handler; `None` if it panicked.
    async fn handle(&self, envelopes: &[Envelope]) -> Option<Result<(), Failure>> {
        let now = self.clock.now();
        let age = metrics::histogram!("consumer_event_age_seconds", "service" => self.service);
        for envelope in envelopes {
            age.record((now - envelope.time).as_seconds_f64());
            self.epochs.note(self.service, envelope);
        }
        let started = Instant::now();
        // Called inside the guard: a handler may panic before it returns its future.
        let work = AssertUnwindSafe(async { (self.handler)(envelopes.to_vec()).await }).catch_unwind();
        let result = work.await.ok();
        metrics::histogram!("consumer_event_duration_seconds", "service" => self.service)
            .record(started.elapsed().as_secs_f64());
        result
    }

    /// A failed attempt to handle an event.
    fn count_error(&self, error_type: &'static str) {
        metrics::counter!("processing_errors_total", "service" => self.service, "error_type" => error_type)
            .increment(1);
    }

    fn count(&self, message: &Incoming, outcome: &'static str) {
        let topic = message.partition.topic.name();
        metrics::counter!("consumer_event_total", "service" => self.service, "topic" => topic, "outcome" => outcome)
            .increment(1);
    }
}

/// Before a message is accepted and before offsets are committed: what was received of a revoked partition belongs to
/// another member.
fn follow_rebalances(member: &Consumer, queues: &mut PartitionQueues) {
    for rebalanced in member.rebalances() {
        match rebalanced {
            Rebalanced::Revoked(partitions) => queues.revoke(&partitions),
            Rebalanced::Assigned(partitions) => {
                queues.revoke(&partitions);
                warn(member.resume(&partitions), "partitions were assigned and may be paused");
            }
        }
    }
}

fn accept(member: &Consumer, queues: &mut PartitionQueues, message: Incoming) {
    if let Some(full) = queues.accept(message) {
        warn(member.pause(full), "a partition was not paused");
    }
}

fn finish(member: &Consumer, queues: &mut PartitionQueues, completion: Completion) {
    if let Some(drained) = queues.complete(completion) {
        warn(member.resume(&[drained]), "a partition was not resumed");
    }
}

/// The next commit repeats one that failed. Until then messages may be delivered again, which handlers deduplicate.
fn commit(member: &Consumer, queues: &mut PartitionQueues) {
    let next = queues.commits();
    if !next.is_empty() {
        warn(member.commit(&next), "offsets were not committed");
    }
}

fn warn(result: Result<(), agora_kafka::Error>, effect: &'static str) {
    if let Err(error) = result {
        tracing::warn!(error = chain(&error), effect, "managing a partition failed");
    }
}
