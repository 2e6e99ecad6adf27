//! Rows of webhooks and their conversions.

use agora_cipher::Sealed;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::webhook::{Delivery, DeliveryState, DisableReason, Disabled, Endpoint, EventTypes, WebhookEvent},
    ports::{DueDelivery, Ended, StoreError, StoredSecret},
    postgres::rows::broken,
};

/// An event to store: the composite type `new_webhook_event`.
#[derive(sqlx::Encode)]
pub(super) struct EventRow<'a> {
    id: Uuid,
    kind: &'a str,
    body: &'a str,
    occurred_at: OffsetDateTime,
}

agora_postgres::composite!(EventRow<'_>, "new_webhook_event");

impl<'a> From<&'a WebhookEvent> for EventRow<'a> {
    fn from(event: &'a WebhookEvent) -> Self {
        let WebhookEvent { id, kind, at, body } = event;
        Self { id: *id, kind, body, occurred_at: *at }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct EndpointRow {
    id: Uuid,
    url: String,
    description: String,
    event_types: Option<Vec<String>>,
    active: bool,
    disabled_reason: Option<String>,
    disabled_at: Option<OffsetDateTime>,
    failing_since: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = StoreError;

    fn try_from(row: EndpointRow) -> Result<Self, StoreError> {
        let EndpointRow { id, url, description, event_types, active, .. } = row;
        let EndpointRow { disabled_reason, disabled_at, failing_since, created_at, updated_at, .. } = row;
        let reason = disabled_reason.map(|text| DisableReason::parse(&text)).transpose().map_err(broken)?;
        let disabled = reason.zip(disabled_at).map(|(reason, at)| Disabled { reason, at });
        let event_types = EventTypes::from(event_types);
        Ok(Self { id, url, description, event_types, active, disabled, failing_since, created_at, updated_at })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct SecretRow {
    id: Uuid,
    endpoint_id: Uuid,
    sealed: Vec<u8>,
}

impl From<SecretRow> for StoredSecret {
    fn from(row: SecretRow) -> Self {
        let SecretRow { id, endpoint_id, sealed } = row;
        Self { id, endpoint: endpoint_id, sealed: Sealed::new(sealed) }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct DeliveryRow {
    endpoint_id: Uuid,
    event_id: Uuid,
    kind: String,
    state: String,
    attempts: i32,
    status_code: Option<i32>,
    answer: Option<String>,
    error: Option<String>,
    next_attempt_at: Option<OffsetDateTime>,
    last_attempt_at: Option<OffsetDateTime>,
    delivered_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let state = DeliveryState::parse(&row.state).map_err(broken)?;
        let DeliveryRow { endpoint_id, event_id, kind, attempts, status_code, answer, error, .. } = row;
        let DeliveryRow { next_attempt_at, last_attempt_at, delivered_at, created_at, .. } = row;
        Ok(Self {
            endpoint: endpoint_id,
            event: event_id,
            kind,
            state,
            attempts,
            status_code,
            answer,
            error,
            next_attempt_at,
            last_attempt_at,
            delivered_at,
            created_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct DueRow {
    endpoint_id: Uuid,
    event_id: Uuid,
    attempts: i32,
    round: i32,
    url: String,
    body: String,
    trace: Option<String>,
    sealed: Vec<Vec<u8>>,
}

impl From<DueRow> for DueDelivery {
    fn from(row: DueRow) -> Self {
        let DueRow { endpoint_id, event_id, attempts, round, url, body, trace, sealed } = row;
        let secrets = sealed.into_iter().map(Sealed::new).collect();
        Self { endpoint: endpoint_id, event: event_id, url, body, trace, secrets, attempt: attempts, round }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct EndedRow {
    ended: bool,
    disabled_reason: Option<String>,
}

impl TryFrom<EndedRow> for Ended {
    type Error = StoreError;

    fn try_from(row: EndedRow) -> Result<Self, StoreError> {
        let EndedRow { ended, disabled_reason } = row;
        let disabled = disabled_reason.map(|text| DisableReason::parse(&text)).transpose().map_err(broken)?;
        Ok(Self { stored: ended, disabled })
    }
}
