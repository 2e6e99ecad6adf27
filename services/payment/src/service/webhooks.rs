//! Messages of the provider. A message says only that a charge changed: its state is asked for, so that neither a repeated
//! message nor one that arrives late can set a payment back.
//!
//! Depends on `ports` and `domain`, not on HTTP or SQL.

use std::time::Duration;

use agora_chassis::chain;

use super::{Error, PaymentService};
use crate::{
    domain::Status,
    ports::{ProviderEvent, StoredEvent},
};

/// Maximum number of messages that one call processes.
const BATCH_EVENTS_MAX: u16 = 32;
/// Time for which processed messages are kept. Providers repeat a message for some days.
const EVENTS_KEPT: Duration = Duration::from_hours(90 * 24);
/// Maximum number of messages that one statement deletes.
const DELETED_MAX: u16 = 1000;

impl PaymentService {
    /// Verifies a message, stores it and processes it. A message that is stored already changes nothing, nor does one with
    /// another signature. What cannot be processed now is processed by the worker.
    pub async fn receive_event(&self, provider: &str, signature: &str, body: &[u8]) -> Result<(), Error> {
        let webhooks = self.webhooks.as_ref().filter(|webhooks| webhooks.provider() == provider);
        let event = webhooks.ok_or(Error::NotFound)?.verify(signature, body).map_err(Error::Webhook)?;
        if !self.store.insert_event(provider, &event).await? {
            return Ok(());
        }
        let ProviderEvent { id, reference, .. } = event;
        let stored = StoredEvent { provider: provider.to_owned(), id, reference };
        if let Err(error) = self.process_event(&stored).await {
            tracing::warn!(event.id = %stored.id, error = %chain(&error), "Message not processed: the worker retries");
        }
        Ok(())
    }

    /// Deletes the messages that were processed long ago.
    pub async fn delete_old_events(&self) -> Result<(), Error> {
        while self.store.delete_events(EVENTS_KEPT, DELETED_MAX).await? == u64::from(DELETED_MAX) {}
        Ok(())
    }

    /// Processes one batch of stored messages. Returns how many.
    pub(super) async fn process_events(&self) -> Result<usize, Error> {
        let events = self.store.lease_events(BATCH_EVENTS_MAX).await?;
        for event in &events {
            if let Err(error) = self.process_event(event).await {
                tracing::warn!(event.id = %event.id, error = %chain(&error), "Message not processed: the worker retries");
            }
        }
        Ok(events.len())
    }

    async fn process_event(&self, event: &StoredEvent) -> Result<(), Error> {
        if let Some(reference) = &event.reference {
            self.compare_charge(reference).await?;
        }
        Ok(self.store.complete_event(event).await?)
    }

    /// Takes over the provider's state of a charge. A charge that no payment refers to is left to the reconciliation: its
    /// payment may be about to store the reference.
    async fn compare_charge(&self, reference: &str) -> Result<(), Error> {
        let Some(payment) = self.store.find_by_reference(reference).await? else { return Ok(()) };
        let changeable = match payment.status {
            Status::Pending => payment.open_attempt().is_some(),
            Status::Authorised => true,
            _ => false,
        };
        if !changeable {
            return Ok(());
        }
        let outcome = self.with_timeout(self.provider()?.refresh(reference)).await.map_err(Error::ProviderUnknown)?;
        let after = self.apply_or_wait(payment, Ok(outcome)).await?;
        self.report(after).await.map(|_| ())
    }
}
