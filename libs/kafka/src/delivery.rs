//! A librdkafka producer whose delivery reports are served by a thread that sleeps while no message is in flight.
//!
//! rdkafka's own threaded producer polls ten times a second for ever and spins through the last millisecond of each poll,
//! which costs an idle process about one percent of a core. Must not depend on topics or batches.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use futures::channel::oneshot;
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig},
};

use crate::error_log::ErrorLog;

/// One poll while messages are in flight. Reports are served as they arrive; the poll returns at its end only.
const BUSY_POLL: Duration = Duration::from_millis(500);
/// Interval at which an idle thread serves events other than reports, for example errors.
const IDLE_POLL: Duration = Duration::from_secs(5);

/// Whether one message was acknowledged; if not, also the partition that it was for, once that was known.
pub(crate) type Report = Result<(), (KafkaError, Option<i32>)>;
/// Time for the broker to say how many partitions a topic has.
const METADATA_MAX: Duration = Duration::from_secs(1);
/// Receives the report of one message.
pub(crate) type Reported = Box<oneshot::Sender<Report>>;

/// A producer with its polling thread. The thread ends after the client is dropped and its messages are reported.
pub(crate) struct Client {
    producer: Arc<BaseProducer<Context>>,
    enqueued: SyncSender<()>,
}

impl Client {
    /// Does not wait for a connection. Fails if librdkafka rejects the settings or no thread can be started.
    pub fn new(settings: &ClientConfig) -> Result<Self, KafkaError> {
        let producer: BaseProducer<Context> = settings.create_with_context(Context::default())?;
        let producer = Arc::new(producer);
        let (enqueued, wake) = sync_channel(1);
        let polled = producer.clone();
        let thread = thread::Builder::new().name("kafka-delivery".to_owned());
        thread
            .spawn(move || poll_until_dropped(&polled, &wake))
            .map_err(|error| KafkaError::ClientCreation(format!("starting the polling thread: {error}")))?;
        Ok(Self { producer, enqueued })
    }

    /// Adds a message to librdkafka's queue. Its report arrives unless the client is dropped first.
    pub fn enqueue(&self, record: BaseRecord<'_, str, [u8], Reported>) -> Result<(), KafkaError> {
        self.producer.send(record).map_err(|(error, _)| error)?;
        // A full channel holds a wake-up that the thread has not taken yet.
        let _ = self.enqueued.try_send(());
        Ok(())
    }

    /// The number of partitions of a topic by its name on the broker. Blocks for up to a second.
    pub fn partition_count(&self, topic: &str) -> Result<i32, KafkaError> {
        let metadata = self.producer.client().fetch_metadata(Some(topic), METADATA_MAX)?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        i32::try_from(count).map_err(|_| KafkaError::Canceled)
    }

    /// Drops all messages that are not acknowledged; each is reported as purged.
    pub fn purge(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }
}

/// The wake-up of a message follows its enqueueing, so none is missed between the check for messages and the wait.
fn poll_until_dropped(producer: &BaseProducer<Context>, wake: &Receiver<()>) {
    loop {
        match wake.recv_timeout(IDLE_POLL) {
            Ok(()) => {
                while producer.in_flight_count() > 0 {
                    producer.poll(BUSY_POLL);
                }
            }
            Err(RecvTimeoutError::Timeout) => producer.poll(Duration::ZERO),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Passes each delivery report to the sender of its message, and errors to the log.
#[derive(Debug, Default)]
pub(crate) struct Context(ErrorLog);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.0.log(level, facility, line);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Reported;

    fn delivery(&self, result: &DeliveryResult<'_>, reported: Reported) {
        // The receiver is gone if the caller was cancelled.
        let report = result.as_ref().map(drop).map_err(|(error, message)| {
            let partition = Some(message.partition()).filter(|number| *number >= 0);
            (error.clone(), partition)
        });
        let _ = reported.send(report);
    }
}
