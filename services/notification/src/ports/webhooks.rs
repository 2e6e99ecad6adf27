//! Ports of webhooks: their store, the encryption of their secrets, and the way to their receivers.

use std::time::Duration;

use agora_cipher::{CipherError, Sealed};
use agora_outbox::{DedupKey, Outcome, StoreError};
use agora_vocab::{Invalid, Page, PageSize, Secret};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::webhook::{
    Delivery, DeliveryState, DisableReason, Endpoint, EndpointChange, NewEndpoint, Reply, WebhookEvent,
};

/// Everything that is stored of webhooks.
pub trait WebhookStore: WebhookEndpoints + WebhookSecrets + WebhookDeliveries + WebhookQueue {}

impl<T: WebhookEndpoints + WebhookSecrets + WebhookDeliveries + WebhookQueue> WebhookStore for T {}

/// Endpoints of merchants.
#[async_trait]
pub trait WebhookEndpoints: Send + Sync + std::fmt::Debug {
    /// Creates an endpoint with its secret. A duplicate of `dedup_key` returns the first one. `None` if the shop has as many
    /// as it may have.
    async fn create_endpoint(
        &self,
        new: &NewEndpoint,
        secret: &NewSecret,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<Endpoint>>, StoreError>;

    /// All endpoints, the oldest first; they are few.
    async fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError>;

    async fn find_endpoint(&self, id: Uuid) -> Result<Option<Endpoint>, StoreError>;

    /// `None` if there is no such endpoint. Idempotent.
    async fn change_endpoint(&self, id: Uuid, change: &EndpointChange) -> Result<Option<Endpoint>, StoreError>;

    /// Deletes an endpoint and its secrets at once, its deliveries by the sweep. `false` if there is none.
    async fn delete_endpoint(&self, id: Uuid) -> Result<bool, StoreError>;
}

/// A secret to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    pub id: Uuid,
    pub sealed: Sealed,
}

/// A stored secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    pub id: Uuid,
    pub endpoint: Uuid,
    pub sealed: Sealed,
}

/// What became of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The secret was replaced, now or by an earlier call with the same key.
    Done(Outcome<()>),
    NoEndpoint,
    /// As many replaced secrets are still valid as may be.
    TooMany,
}

/// Encrypted secrets of endpoints.
#[async_trait]
pub trait WebhookSecrets: Send + Sync + std::fmt::Debug {
    /// Replaces the current secret, which stays valid for 24 hours.
    async fn rotate(&self, endpoint: Uuid, secret: &NewSecret, dedup_key: &DedupKey) -> Result<Rotation, StoreError>;

    /// The current secret of an endpoint.
    async fn current_secret(&self, endpoint: Uuid) -> Result<Option<Sealed>, StoreError>;

    /// Secrets that do not begin with the prefix of the current key.
    async fn secrets_without(&self, prefix: &[u8], limit: u16) -> Result<Vec<StoredSecret>, StoreError>;

    /// Replaces the encrypted form of a secret, unless it has changed.
    async fn replace_sealed(&self, stored: &StoredSecret, sealed: &Sealed) -> Result<(), StoreError>;
}

/// Events for endpoints, and what became of them.
#[async_trait]
pub trait WebhookDeliveries: Send + Sync + std::fmt::Debug {
    /// Stores a delivery of each event for each active endpoint of its type, unless it is stored. Returns how many are new.
    async fn store_events(&self, events: &[WebhookEvent]) -> Result<u64, StoreError>;

    /// Stores the delivery of an event to one endpoint, whatever types it receives. A duplicate of `dedup_key` returns the
    /// first one.
    async fn store_for(
        &self,
        endpoint: Uuid,
        event: &WebhookEvent,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<Uuid>, StoreError>;

    /// A page, newest first.
    async fn deliveries(
        &self,
        endpoint: Uuid,
        state: Option<DeliveryState>,
        before: Option<(OffsetDateTime, Uuid)>,
        size: PageSize,
    ) -> Result<Page<Delivery>, StoreError>;

    async fn find_delivery(&self, endpoint: Uuid, event: Uuid) -> Result<Option<Delivery>, StoreError>;

    /// Makes a delivery due now, with all attempts ahead of it, unless it is sent at this moment.
    async fn redeliver(&self, endpoint: Uuid, event: Uuid) -> Result<(), StoreError>;

    /// The same for failed deliveries that were created in a time, the oldest first, at most `limit`. Returns how many.
    async fn redrive(
        &self,
        endpoint: Uuid,
        created: (OffsetDateTime, OffsetDateTime),
        limit: u16,
    ) -> Result<u64, StoreError>;
}

/// A delivery to send, leased to one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    pub endpoint: Uuid,
    pub event: Uuid,
    pub url: String,
    pub body: String,
    /// W3C `traceparent` of the event.
    pub trace: Option<String>,
    /// The valid secrets, newest first.
    pub secrets: Vec<Sealed>,
    /// Number of the attempt, which also identifies the lease.
    pub attempt: i32,
    /// Number of the attempt since the delivery was stored or last redelivered, from 1.
    pub round: i32,
}

/// How an attempt is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    pub state: DeliveryState,
    /// Until the next attempt, if the delivery waits.
    pub wait: Duration,
    pub status_code: Option<u16>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    pub error: Option<String>,
    /// Whether the receiver wants no more.
    pub gone: bool,
}

/// What the end of an attempt changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `false` if the lease was lost: another process may have sent the event too.
    pub stored: bool,
    /// Why the endpoint was disabled by it.
    pub disabled: Option<DisableReason>,
}

/// Deliveries that wait.
#[async_trait]
pub trait WebhookQueue: Send + Sync + std::fmt::Debug {
    /// Leases deliveries that are due, at most `limit`, and at most `per_endpoint` of each endpoint with those that are leased
    /// by others. A lease ends by itself after `duration`.
    async fn lease_deliveries(
        &self,
        limit: u16,
        per_endpoint: u16,
        duration: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError>;

    /// Stores how an attempt ended, and disables the endpoint if it must be.
    async fn end_attempt(&self, due: &DueDelivery, end: &AttemptEnd) -> Result<Ended, StoreError>;

    /// How many deliveries wait, counted up to a limit.
    async fn waiting_deliveries(&self) -> Result<u64, StoreError>;

    /// Deletes one batch of what is older than it is kept. Returns how many rows were deleted.
    async fn sweep_webhooks(&self) -> Result<u64, StoreError>;
}

/// Encrypts secrets of endpoints; each is bound to its endpoint.
pub trait SecretCipher: Send + Sync + std::fmt::Debug {
    /// A new random secret as merchants receive it: `whsec_…`.
    fn generate(&self) -> Result<Secret, CipherError>;
    fn seal(&self, endpoint: Uuid, secret: &Secret) -> Result<Sealed, CipherError>;
    fn open(&self, endpoint: Uuid, sealed: &Sealed) -> Result<Secret, CipherError>;
    /// Seals a secret under the current key that is sealed under the previous one; none if it is under the current key.
    fn rewrap(&self, endpoint: Uuid, sealed: &Sealed) -> Result<Option<Sealed>, CipherError>;
    /// The first bytes of every secret that is sealed under the current key.
    fn current_prefix(&self) -> Result<Vec<u8>, CipherError>;
}

/// An event on its way to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingWebhook {
    pub url: String,
    /// The header `webhook-id`.
    pub message_id: String,
    pub body: String,
    /// The valid secrets: each signs.
    pub secrets: Vec<Secret>,
}

/// The way to the receivers.
#[async_trait]
pub trait WebhookSender: Send + Sync + std::fmt::Debug {
    /// Whether events may be sent to a URL, as far as the URL shows it.
    fn check(&self, url: &str) -> Result<(), Invalid>;

    /// Sends an event once, within a time limit.
    async fn send(&self, webhook: OutgoingWebhook) -> Reply;
}
