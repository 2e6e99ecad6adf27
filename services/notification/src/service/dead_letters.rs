//! Dead letters: what services gave up, replayed or discarded by an admin with a reason.

use agora_events::Envelope;
use agora_vocab::{Page, PageSize, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::NotificationService;
use crate::{
    domain::{DeadLetter, DeadLetterKind, LetterState},
    ports::{BrokerError, Decision, Resent, StoreError},
};

/// Why a dead letter was not replayed or discarded.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    #[error("the dead letter does not exist")]
    NotFound,
    /// An admin has decided before.
    #[error("the dead letter is {} already", .0.as_str())]
    Decided(LetterState),
    /// The message was too large to be copied; the consumer's own table holds it.
    #[error("the message is larger than 256 KiB and only in the table dead_letter of {0}")]
    NotCopied(String),
    /// It would be given up again.
    #[error("the message is not an event: discard it")]
    NotAnEvent,
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotificationService {
    /// A page of dead letters, newest first, without the messages.
    pub async fn dead_letters(
        &self,
        state: Option<LetterState>,
        before: Option<(OffsetDateTime, Uuid)>,
        size: PageSize,
    ) -> Result<Page<DeadLetter>, LetterError> {
        Ok(self.store.page_of_dead_letters(state, before, size).await?)
    }

    /// Counts the open dead letters, up to a thousand, and shows the number as a metric.
    pub async fn measure_dead_letters(&self) -> Result<(), StoreError> {
        let open = self.store.open_dead_letters().await?;
        metrics::gauge!("dead_letter_open").set(f64::from(open));
        Ok(())
    }

    /// A dead letter with its message.
    pub async fn dead_letter(&self, id: Uuid) -> Result<DeadLetter, LetterError> {
        self.store.find_dead_letter(id).await?.ok_or(LetterError::NotFound)
    }

    /// Sends the message to its topic again, or queues the mail again under its Message-ID. Every consumer of the topic gets
    /// the message: those that have handled it skip it. Repeated after a failure, it may send the message twice.
    pub async fn replay(&self, id: Uuid, by: UserId, note: String) -> Result<DeadLetter, LetterError> {
        let letter = self.open_letter(id).await?;
        if letter.kind == DeadLetterKind::Message {
            self.broker.resend(resent(&letter)?).await?;
        }
        let replayed = self.decide(id, Decision { state: LetterState::Replayed, by, note }).await?;
        self.queued.send_replace(());
        Ok(replayed)
    }

    /// Sets a letter aside for good.
    pub async fn discard(&self, id: Uuid, by: UserId, note: String) -> Result<DeadLetter, LetterError> {
        self.open_letter(id).await?;
        self.decide(id, Decision { state: LetterState::Discarded, by, note }).await
    }

    async fn open_letter(&self, id: Uuid) -> Result<DeadLetter, LetterError> {
        let letter = self.dead_letter(id).await?;
        if letter.state == LetterState::Open { Ok(letter) } else { Err(LetterError::Decided(letter.state)) }
    }

    async fn decide(&self, id: Uuid, decision: Decision) -> Result<DeadLetter, LetterError> {
        let decided = self.store.decide(id, &decision).await?;
        let letter = self.dead_letter(id).await?;
        if decided {
            tracing::info!(letter = %id, by = %decision.by, state = decision.state.as_str(), "an admin decided on a dead letter");
            Ok(letter)
        } else {
            Err(LetterError::Decided(letter.state))
        }
    }
}

fn resent(letter: &DeadLetter) -> Result<Resent, LetterError> {
    let (Some(origin), Some(payload)) = (&letter.origin, &letter.payload) else {
        return Err(LetterError::NotCopied(letter.consumer.clone()));
    };
    let envelope: Envelope = serde_json::from_slice(payload).map_err(|_| LetterError::NotAnEvent)?;
    Ok(Resent { topic: origin.topic.clone(), key: envelope.key, payload: payload.clone(), trace: envelope.trace })
}
