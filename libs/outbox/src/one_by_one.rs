//! Sends the events of a held topic one by one, and sets aside those that the broker rejects; tries a blocked partition.
//!
//! Contains the statements on `outbox_set_aside`. Must not decide which topics are held or which partitions are blocked.

use agora_chassis::chain;
use agora_kafka::{Outgoing, Rejection};
use agora_postgres::Tx;
use uuid::Uuid;

use crate::relay::{BatchError, Relay, Row};

/// Rows of a held topic in a transaction: few, so that other topics wait for a moment only.
const ROWS_PER_PASS: i64 = 20;
const REASON_CHARS_MAX: usize = 300;

/// Result of one pass over a held topic.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    pub sent: u64,
    /// Rejected by the broker and taken out of the outbox.
    pub set_aside: u64,
    /// Why the pass ended before its last row.
    pub stopped: Option<Refused>,
    /// Whether the topic may have more rows.
    pub more: bool,
}

/// Why an event was not sent.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    /// One of a closed list, for metrics.
    pub reason: String,
    /// For logs and the readiness report.
    pub detail: String,
}

impl Refused {
    pub(crate) fn of(error: &agora_kafka::Error) -> Self {
        Self { reason: error.reason(), detail: chain(error) }
    }
}

enum Sent {
    Yes,
    Rejected(Refused),
    NotNow(Refused),
}

impl Relay {
    /// Sends the oldest rows of a topic in turn until one cannot be sent for now.
    pub(crate) async fn one_by_one(&self, topic: &str) -> Result<Pass, BatchError> {
        let mut tx = self.db.begin().await?;
        let rows = find_rows(&mut tx, topic, ROWS_PER_PASS, None).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|found| found >= ROWS_PER_PASS);
        let (mut pass, mut sent, mut kinds) = (Pass { more: full, ..Pass::default() }, Vec::new(), Vec::new());
        for row in rows {
            let (id, kind) = (row.id, row.kind.clone());
            match self.send(row.into_message()).await {
                Sent::Yes => {
                    sent.push(id);
                    kinds.push(kind);
                }
                Sent::Rejected(Refused { reason, detail }) => {
                    set_aside(&mut tx, id, &detail).await?;
                    pass.set_aside += 1;
                    self.count_set_aside(topic, reason);
                    tracing::error!(
                        topic,
                        outbox.id = id,
                        reason = detail,
                        "the broker rejects an event: it is set aside"
                    );
                }
                Sent::NotNow(refused) => {
                    (pass.stopped, pass.more) = (Some(refused), true);
                    break;
                }
            }
        }
        pass.sent = sent.len() as u64;
        sqlx::query("delete from outbox where id = any ($1)").bind(sent).execute(&mut *tx).await?;
        tx.commit().await?;
        self.count_sent(kinds);
        Ok(pass)
    }

    /// Sends the oldest event of aggregates whose partition took none. Returns why it still takes none; `None`, too, if no
    /// event waits.
    pub(crate) async fn probe(&self, topic: &str, aggregates: Vec<Uuid>) -> Result<Option<Refused>, BatchError> {
        let mut tx = self.db.begin().await?;
        let Some(row) = find_rows(&mut tx, topic, 1, Some(aggregates)).await?.pop() else { return Ok(None) };
        let (id, kind) = (row.id, row.kind.clone());
        match self.send(row.into_message()).await {
            Sent::Yes => {
                sqlx::query("delete from outbox where id = $1").bind(id).execute(&mut *tx).await?;
                tx.commit().await?;
                self.count_sent([kind]);
                Ok(None)
            }
            // The next batch finds it out, and holds the topic.
            Sent::Rejected(_) => Ok(None),
            Sent::NotNow(refused) => Ok(Some(refused)),
        }
    }

    async fn send(&self, message: Result<Outgoing, serde_json::Error>) -> Sent {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                let detail = format!("the event is no JSON: {error}");
                return Sent::Rejected(Refused { reason: "NotJson".to_owned(), detail });
            }
        };
        match self.producer.send_one(&message).await {
            Ok(()) => Sent::Yes,
            Err(error) if error.rejection() == Some(Rejection::Message) => {
                let Refused { reason, detail } = Refused::of(&error);
                Sent::Rejected(Refused { reason, detail: format!("{detail} ({} bytes)", message.payload.len()) })
            }
            Err(error) => Sent::NotNow(Refused::of(&error)),
        }
    }

    fn count_set_aside(&self, topic: &str, reason: String) {
        let labels = [("service", self.service.to_owned()), ("topic", topic.to_owned()), ("reason", reason)];
        metrics::counter!("outbox_set_aside_total", &labels).increment(1);
    }
}

async fn find_rows(
    tx: &mut Tx,
    topic: &str,
    limit: i64,
    aggregates: Option<Vec<Uuid>>,
) -> Result<Vec<Row>, sqlx::Error> {
    let find = sqlx::query_as(include_str!("../sql/find_topic.sql")).bind(topic).bind(limit).bind(aggregates);
    find.fetch_all(&mut **tx).await
}

async fn set_aside(tx: &mut Tx, id: i64, reason: &str) -> Result<(), sqlx::Error> {
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    sqlx::query("select outbox_set_aside($1, $2)").bind(id).bind(reason).execute(&mut **tx).await?;
    Ok(())
}
