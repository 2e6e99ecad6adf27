//! Gives facts to a handler at least once, in order per partition, and commits what was handled.
//!
//! Knows the broker, retries and dead letters; must not know what a handler does. A handler makes repetitions harmless by
//! [`crate::once`] with [`crate::Cause::Event`].

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use agora_chassis::{BoxError, Dependency, Process, trace};
use agora_events::{Envelope, Topic};
use agora_kafka::{Config, Consumer, Incoming};
use agora_postgres::Db;
use agora_vocab::{Clock, Ids};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    dead_letter::{Letter, bury},
    lanes::{Lanes, Over, Turn},
    pause::pause,
};

/// Handlers at work at a time: each takes a connection that requests want too.
const HANDLERS_MAX: usize = 4;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(10);
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// After trouble with the broker.
const BROKER_PAUSE: Duration = Duration::from_millis(200);
/// Trouble that was not met again for so long is over, even if no message came since.
const TROUBLE_OVER: Duration = Duration::from_secs(10);
/// How long handlers under way are waited for when the process ends.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// A message that makes its handler panic so often is put aside.
const PANICS_MAX: u32 = 5;

/// Why a handler did not handle a fact.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It will in a while: the database or another service is away. Repeated until it does; its partition waits.
    #[error("not yet")]
    Again(#[source] BoxError),
    /// It never will. Put aside as a dead letter; the partition goes on.
    #[error("never")]
    Poison(#[source] BoxError),
}

type Handler = Arc<dyn Fn(Envelope) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// Reads topics as the group `consumer` for as long as the process lives. While the broker is away `kafka` is listed as
/// degraded.
pub fn consume<H>(
    db: Db,
    config: &Config,
    consumer: &'static str,
    topics: &'static [Topic],
    process: &Process,
    handler: H,
) where
    H: Fn(Envelope) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync + 'static,
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

type Running = FuturesUnordered<BoxFuture<'static, Over>>;

impl Worker {
    /// One membership after another: a new password or authority needs a new one.
    async fn run(self: Arc<Self>) -> anyhow::Result<()> {
        while !self.shutdown.is_cancelled() {
            self.membership().await?;
        }
        Ok(())
    }

    async fn membership(self: &Arc<Self>) -> anyhow::Result<()> {
        let member = Consumer::new(&self.config, self.consumer, self.topics)?;
        let (mut lanes, mut running) = (Lanes::default(), Running::new());
        let mut trouble = None;
        let mut config = self.config.clone();
        let mut rotated = std::pin::pin!(config.login_changed());
        let mut ticks = tokio::time::interval(COMMIT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = &mut rotated => break,
                received = member.recv() => match received {
                    Ok(message) => accept(&member, &mut lanes, message)?,
                    Err(error) => {
                        trouble = Some(Instant::now());
                        self.broker_trouble(&error).await;
                    }
                },
                Some(over) = running.next() => finish(&member, &mut lanes, over)?,
                _ = ticks.tick() => {
                    commit(&member, &mut lanes);
                    if trouble.take_if(|met| met.elapsed() > TROUBLE_OVER).is_some() {
                        self.kafka.up();
                    }
                }
            }
            running.extend(lanes.turns().into_iter().map(|turn| self.clone().turn(turn).boxed()));
        }
        let rest = async {
            while let Some(over) = running.next().await {
                lanes.over(over);
            }
        };
        let _ = tokio::time::timeout(FINISH_MAX, rest).await;
        commit(&member, &mut lanes);
        Ok(())
    }

    async fn broker_trouble(&self, error: &agora_kafka::Error) {
        self.kafka.down(format!("{error:?}"));
        tokio::time::sleep(BROKER_PAUSE).await;
    }

    /// Handles one message to the end, however often that takes.
    async fn turn(self: Arc<Self>, Turn { lane, message }: Turn) -> Over {
        let topic = message.partition.topic.name();
        let span =
            tracing::info_span!(parent: None, "consume", consumer = self.consumer, topic, offset = message.offset);
        let done = self.until_done(&message).instrument(span).await;
        Over { lane, partition: message.partition, offset: message.offset, done }
    }

    /// `false`: given up because the process ends.
    async fn until_done(&self, message: &Incoming) -> bool {
        let first_at = self.clock.now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match self.attempt(message, attempts, first_at).await {
                Ok(()) => return true,
                Err(failure) => failure,
            };
            if attempts == 1 {
                tracing::warn!(error = format!("{failure:#}"), "a fact waits until it can be handled");
            }
            self.count(message, "again");
            let pause = pause(&*self.ids, attempts, PAUSE_FIRST, PAUSE_LONGEST);
            if self.shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return false;
            }
        }
    }

    /// Handles a message, or puts it aside. An error means: again.
    async fn attempt(&self, message: &Incoming, attempts: u32, first_at: time::OffsetDateTime) -> anyhow::Result<()> {
        let _slot = self.handlers.acquire().await;
        let parsed: Result<Envelope, _> = serde_json::from_slice(&message.payload);
        let envelope = parsed.as_ref().ok();
        let reason = match &parsed {
            // Without the error's own text, which may quote what it met.
            Err(error) => {
                format!("no envelope: {:?} error at line {} column {}", error.classify(), error.line(), error.column())
            }
            Ok(envelope) => match self.handle(envelope, attempts).await {
                Ok(()) => {
                    self.count(message, "handled");
                    return Ok(());
                }
                Err(Failure::Again(error)) => return Err(anyhow::anyhow!(error)),
                Err(Failure::Poison(error)) => format!("{:#}", anyhow::anyhow!(error)),
            },
        };
        let letter = Letter { consumer: self.consumer, message, envelope, reason: &reason, attempts, first_at };
        bury(&self.db, &*self.ids, letter).await?;
        tracing::error!(reason, "put a message aside as a dead letter");
        self.count(message, "dead");
        Ok(())
    }

    async fn handle(&self, envelope: &Envelope, attempts: u32) -> Result<(), Failure> {
        let span = tracing::info_span!("handle", event.id = %envelope.id, event.kind = envelope.kind);
        if let Some(traceparent) = &envelope.trace {
            trace::follow_traceparent(&span, traceparent);
        }
        let age = (self.clock.now() - envelope.time).as_seconds_f64();
        metrics::histogram!("consumer_event_age_seconds", "service" => self.service).record(age);
        let started = Instant::now();
        // Made inside too: a handler may panic before it returns its future.
        let work = AssertUnwindSafe(async { (self.handler)(envelope.clone()).await }).catch_unwind().instrument(span);
        let result = work.await;
        metrics::histogram!("consumer_event_duration_seconds", "service" => self.service)
            .record(started.elapsed().as_secs_f64());
        match result {
            Ok(result) => result,
            Err(_) if attempts < PANICS_MAX => Err(Failure::Again("the handler panicked".into())),
            Err(_) => Err(Failure::Poison("the handler panicked again and again".into())),
        }
    }

    fn count(&self, message: &Incoming, outcome: &'static str) {
        let topic = message.partition.topic.name();
        metrics::counter!("consumer_event_total", "service" => self.service, "topic" => topic, "outcome" => outcome)
            .increment(1);
    }
}

fn accept(member: &Consumer, lanes: &mut Lanes, message: Incoming) -> Result<(), agora_kafka::Error> {
    match lanes.accept(message) {
        Some(full) => member.pause(full),
        None => Ok(()),
    }
}

fn finish(member: &Consumer, lanes: &mut Lanes, over: Over) -> Result<(), agora_kafka::Error> {
    match lanes.over(over) {
        Some(drained) => member.resume(drained),
        None => Ok(()),
    }
}

/// A commit that fails is repeated by the next one; until then repetitions are possible, and harmless.
fn commit(member: &Consumer, lanes: &mut Lanes) {
    for partition in member.lost() {
        lanes.lose(partition);
    }
    let next = lanes.commits();
    if !next.is_empty()
        && let Err(error) = member.commit(&next)
    {
        tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "offsets were not committed");
    }
}
