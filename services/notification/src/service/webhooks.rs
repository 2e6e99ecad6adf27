//! Webhooks: admins name endpoints, events are sent to them until they are received, and what was given up is sent again.

mod send;

use std::{fmt, sync::Arc};

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Ids, Invalid, Page, PageSize, Secret};
use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

pub use send::AT_ONCE_MAX;

use crate::{
    domain::webhook::{
        Delivery, DeliveryState, Endpoint, EndpointChange, EventTypes, NewEndpoint, WebhookEvent, test_event,
    },
    ports::{CipherError, NewSecret, Rotation, SecretCipher, StoreError, WebhookSender, WebhookStore},
};

/// Deliveries that one statement and one request make due again at most.
const REDRIVEN_BATCH: u16 = 1_000;
const REDRIVE_BATCHES_MAX: u16 = 10;
/// Secrets that one round seals under a new key at most: more than a shop has, so that those that cannot be read hold up no others.
const REWRAPPED_MAX: u16 = 500;

/// Runs the use cases of webhooks. Clones share the same stores.
#[derive(Clone)]
pub struct WebhookService {
    store: Arc<dyn WebhookStore>,
    cipher: Arc<dyn SecretCipher>,
    sender: Arc<dyn WebhookSender>,
    ids: Arc<dyn Ids>,
    /// Changes when deliveries became due by this process.
    queued: watch::Sender<()>,
}

/// What webhooks need of others.
#[derive(Clone, Debug)]
pub struct WebhookParts {
    pub store: Arc<dyn WebhookStore>,
    pub cipher: Arc<dyn SecretCipher>,
    pub sender: Arc<dyn WebhookSender>,
}

/// An endpoint that an admin describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointDraft {
    pub url: String,
    pub description: String,
    pub event_types: EventTypes,
    pub active: bool,
}

/// An endpoint with its current secret, for the admin who created or rotated it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointWithSecret {
    pub endpoint: Endpoint,
    pub secret: Secret,
}

/// How many deliveries were made due again, and whether there may be more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redriven {
    pub count: u64,
    pub more: bool,
}

/// Why a use case of webhooks failed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the endpoint or delivery does not exist")]
    NotFound,
    /// The shop has as many endpoints as it may have.
    #[error("the shop has as many webhooks as it may have")]
    TooManyEndpoints,
    /// As many replaced secrets are still valid as may be.
    #[error("the secret was replaced too often in the last 24 hours")]
    TooManySecrets,
    /// Nothing is sent to it.
    #[error("the endpoint is not active")]
    Inactive,
    /// An event cannot be written.
    #[error("the event cannot be written")]
    Event(#[source] serde_json::Error),
    /// A secret cannot be encrypted or decrypted.
    #[error("the secret of the endpoint cannot be used")]
    Cipher(#[from] CipherError),
    /// The store is unavailable or returned invalid data.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Debug for WebhookService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookService").finish_non_exhaustive()
    }
}

impl WebhookService {
    /// Creates the service on these ports.
    pub fn new(parts: WebhookParts, ids: Arc<dyn Ids>) -> Self {
        let WebhookParts { store, cipher, sender } = parts;
        Self { store, cipher, sender, ids, queued: watch::Sender::new(()) }
    }

    /// Whether events may be sent to a URL, as far as the URL shows it.
    pub fn check_url(&self, url: &str) -> Result<(), Invalid> {
        self.sender.check(url)
    }

    /// Creates an endpoint. A duplicate of `dedup_key` returns the first one, with its current secret.
    pub async fn create(&self, draft: EndpointDraft, dedup_key: &DedupKey) -> Result<EndpointWithSecret, WebhookError> {
        let EndpointDraft { url, description, event_types, active } = draft;
        let id = self.ids.next();
        let secret = self.new_secret(id)?;
        let new = NewEndpoint { id, url, description, event_types, active };
        let created = self.store.create_endpoint(&new, &secret, dedup_key).await?;
        let endpoint = created.ok_or(WebhookError::TooManyEndpoints)?.into_inner();
        tracing::info!(endpoint = %endpoint.id, "a webhook was created");
        self.with_secret(endpoint).await
    }

    /// All endpoints, the oldest first.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, WebhookError> {
        Ok(self.store.endpoints().await?)
    }

    pub async fn endpoint(&self, id: Uuid) -> Result<Endpoint, WebhookError> {
        self.store.find_endpoint(id).await?.ok_or(WebhookError::NotFound)
    }

    /// Changes an endpoint. What waits for it is sent once it is active.
    pub async fn change(&self, id: Uuid, change: &EndpointChange) -> Result<Endpoint, WebhookError> {
        let changed = self.store.change_endpoint(id, change).await?.ok_or(WebhookError::NotFound)?;
        self.queued.send_replace(());
        Ok(changed)
    }

    /// Deletes an endpoint with its secrets and deliveries. Idempotent.
    pub async fn delete(&self, id: Uuid) -> Result<(), WebhookError> {
        if self.store.delete_endpoint(id).await? {
            tracing::info!(endpoint = %id, "a webhook was deleted");
        }
        Ok(())
    }

    /// Replaces the secret; the previous one stays valid for 24 hours. A duplicate of `dedup_key` replaces nothing and returns
    /// the current one.
    pub async fn rotate_secret(&self, id: Uuid, dedup_key: &DedupKey) -> Result<EndpointWithSecret, WebhookError> {
        let secret = self.new_secret(id)?;
        match self.store.rotate(id, &secret, dedup_key).await? {
            Rotation::Done(Outcome::Applied(())) => {
                tracing::info!(endpoint = %id, "the secret of a webhook was replaced");
            }
            Rotation::Done(Outcome::Duplicate(())) => {}
            Rotation::NoEndpoint => return Err(WebhookError::NotFound),
            Rotation::TooMany => return Err(WebhookError::TooManySecrets),
        }
        self.with_secret(self.endpoint(id).await?).await
    }

    /// Stores the deliveries of events. Idempotent.
    pub async fn store_events(&self, events: &[WebhookEvent]) -> Result<(), StoreError> {
        if !events.is_empty() && self.store.store_events(events).await? > 0 {
            self.queued.send_replace(());
        }
        Ok(())
    }

    /// Sends a test event to an endpoint, whatever types it receives.
    pub async fn test(&self, id: Uuid, now: OffsetDateTime, dedup_key: &DedupKey) -> Result<Delivery, WebhookError> {
        self.active(id).await?;
        let event = test_event(self.ids.next(), now).map_err(WebhookError::Event)?;
        let stored = self.store.store_for(id, &event, dedup_key).await?.into_inner();
        self.queued.send_replace(());
        self.delivery(id, stored).await
    }

    /// A page of the deliveries of an endpoint, newest first.
    pub async fn deliveries(
        &self,
        id: Uuid,
        state: Option<DeliveryState>,
        before: Option<(OffsetDateTime, Uuid)>,
        size: PageSize,
    ) -> Result<Page<Delivery>, WebhookError> {
        self.endpoint(id).await?;
        Ok(self.store.deliveries(id, state, before, size).await?)
    }

    /// Sends a delivery again under its `webhook-id`, whatever became of it. Does nothing while it is sent. Idempotent.
    pub async fn redeliver(&self, id: Uuid, event: Uuid) -> Result<Delivery, WebhookError> {
        self.active(id).await?;
        self.store.redeliver(id, event).await?;
        self.queued.send_replace(());
        self.delivery(id, event).await
    }

    /// Sends failed deliveries again that were created in a time, the oldest first, up to a limit.
    pub async fn redrive(&self, id: Uuid, created: (OffsetDateTime, OffsetDateTime)) -> Result<Redriven, WebhookError> {
        self.active(id).await?;
        let mut count = 0;
        for _ in 0..REDRIVE_BATCHES_MAX {
            let batch = self.store.redrive(id, created, REDRIVEN_BATCH).await?;
            count += batch;
            if batch < u64::from(REDRIVEN_BATCH) {
                self.queued.send_replace(());
                return Ok(Redriven { count, more: false });
            }
        }
        self.queued.send_replace(());
        Ok(Redriven { count, more: true })
    }

    /// Seals secrets under the current key that are sealed under another one. Returns how many.
    pub async fn rewrap_secrets(&self) -> Result<usize, WebhookError> {
        let prefix = self.cipher.current_prefix()?;
        let mut rewrapped = 0;
        for stored in self.store.secrets_without(&prefix, REWRAPPED_MAX).await? {
            match self.cipher.rewrap(stored.endpoint, &stored.sealed) {
                Ok(Some(sealed)) => {
                    self.store.replace_sealed(&stored, &sealed).await?;
                    rewrapped += 1;
                }
                Ok(None) => {}
                Err(error) => tracing::error!(
                    endpoint = %stored.endpoint,
                    error = %error,
                    "the secret of a webhook is not sealed under the current key: restore ENCRYPTION_KEY_PREVIOUS"
                ),
            }
        }
        Ok(rewrapped)
    }

    /// Deletes what is older than it is kept. Returns how many rows were deleted.
    pub async fn sweep(&self) -> Result<u64, WebhookError> {
        let mut deleted = 0;
        loop {
            match self.store.sweep_webhooks().await? {
                0 => return Ok(deleted),
                batch => deleted += batch,
            }
        }
    }

    async fn delivery(&self, id: Uuid, event: Uuid) -> Result<Delivery, WebhookError> {
        self.store.find_delivery(id, event).await?.ok_or(WebhookError::NotFound)
    }

    /// Fails unless the endpoint exists and is active.
    async fn active(&self, id: Uuid) -> Result<(), WebhookError> {
        if self.endpoint(id).await?.active { Ok(()) } else { Err(WebhookError::Inactive) }
    }

    fn new_secret(&self, endpoint: Uuid) -> Result<NewSecret, WebhookError> {
        let secret = self.cipher.generate()?;
        Ok(NewSecret { id: self.ids.next(), sealed: self.cipher.seal(endpoint, &secret)? })
    }

    async fn with_secret(&self, endpoint: Endpoint) -> Result<EndpointWithSecret, WebhookError> {
        let sealed = self.store.current_secret(endpoint.id).await?.ok_or(WebhookError::NotFound)?;
        let secret = self.cipher.open(endpoint.id, &sealed)?;
        Ok(EndpointWithSecret { endpoint, secret })
    }
}
