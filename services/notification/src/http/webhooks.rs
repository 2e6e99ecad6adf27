//! Routes of admins for webhooks. Calls use cases only.

use agora_api::{List, notification as api};
use agora_outbox::DedupKey;
use agora_vocab::Invalid;
use agora_web::{
    Command, Idempotency, Identity, Json, PageQuery, Path, Problem, Query, Routes, Start, created, no_content,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use uuid::Uuid;

use super::{Api, cursor, place, store};
use crate::{
    domain::webhook::{
        DESCRIPTION_CHARS_MAX, Delivery, DeliveryState, Disabled, ENDPOINTS_MAX, Endpoint, EndpointChange, EventTypes,
        SECRETS_MAX, message_id,
    },
    service::{EndpointDraft, EndpointWithSecret, Redriven, WebhookError},
};

pub(super) fn routes() -> Routes<Api> {
    use api::routes::{
        CHANGE_WEBHOOK, CREATE_WEBHOOK, DELETE_WEBHOOK, LIST_DELIVERIES, LIST_WEBHOOKS, READ_WEBHOOK, REDELIVER,
        REDRIVE_WEBHOOK, ROTATE_WEBHOOK_SECRET, TEST_WEBHOOK,
    };
    Routes::new()
        .on(LIST_WEBHOOKS, list)
        .on(CREATE_WEBHOOK, create)
        .on(READ_WEBHOOK, read)
        .on(CHANGE_WEBHOOK, change)
        .on(DELETE_WEBHOOK, remove)
        .on(ROTATE_WEBHOOK_SECRET, rotate)
        .on(TEST_WEBHOOK, test)
        .on(LIST_DELIVERIES, deliveries)
        .on(REDELIVER, redeliver)
        .on(REDRIVE_WEBHOOK, redrive)
}

/// What a client sends about an endpoint, parsed.
#[derive(Default)]
struct Parsed {
    url: Option<String>,
    description: Option<String>,
    event_types: Option<EventTypes>,
}

async fn list(State(api): State<Api>) -> Result<Json<List<api::Webhook>>, Problem> {
    let items = api.service.webhooks().endpoints().await?.into_iter().map(wire).collect();
    Ok(Json(List { items, total: None, next_cursor: None }))
}

async fn create(
    State(api): State<Api>,
    who: Identity,
    Command { body, idempotency }: Command<api::NewWebhook>,
) -> Result<Response, Problem> {
    let api::NewWebhook { url, event_types, description, active } = body;
    let Parsed { url, description, event_types } = parse(&api, Some(url), description, event_types)?;
    let draft = EndpointDraft {
        url: url.unwrap_or_default(),
        description: description.unwrap_or_default(),
        event_types: event_types.unwrap_or(EventTypes::All),
        active: active.unwrap_or(true),
    };
    let created_endpoint = api.service.webhooks().create(draft, &dedup_key(&who, idempotency)).await?;
    let location = api::routes::READ_WEBHOOK.path_of([&created_endpoint.endpoint.id]);
    Ok(created(location, with_secret(created_endpoint)))
}

async fn read(State(api): State<Api>, Path(id): Path<Uuid>) -> Result<Json<api::Webhook>, Problem> {
    Ok(Json(wire(api.service.webhooks().endpoint(id).await?)))
}

async fn change(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Json(body): Json<api::ChangeWebhook>,
) -> Result<Json<api::Webhook>, Problem> {
    let api::ChangeWebhook { url, event_types, description, active } = body;
    let Parsed { url, description, event_types } = parse(&api, url, description, event_types)?;
    let change = EndpointChange { url, description, event_types, active };
    Ok(Json(wire(api.service.webhooks().change(id, &change).await?)))
}

async fn remove(State(api): State<Api>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    api.service.webhooks().delete(id).await?;
    Ok(no_content())
}

async fn rotate(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    who: Identity,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Json<api::WebhookWithSecret>, Problem> {
    let rotated = api.service.webhooks().rotate_secret(id, &dedup_key(&who, idempotency)).await?;
    Ok(Json(with_secret(rotated)))
}

async fn test(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    who: Identity,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Json<api::WebhookDelivery>, Problem> {
    let sent = api.service.webhooks().test(id, api.clock.now(), &dedup_key(&who, idempotency)).await?;
    Ok(Json(delivery(sent)))
}

async fn deliveries(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Query(api::DeliveriesQuery { status, limit, cursor: after }): Query<api::DeliveriesQuery>,
) -> Result<Json<List<api::WebhookDelivery>>, Problem> {
    let state = status.map(|status| DeliveryState::parse(&status)).transpose()?;
    let request = PageQuery { limit, cursor: after, offset: None }.parse()?;
    let before = match &request.start {
        Start::Cursor(cursor) => Some(place(cursor)?),
        _ => None,
    };
    let mut page = api.service.webhooks().deliveries(id, state, before, request.size).await?;
    page.next = cursor(page.next);
    Ok(Json(page.map(delivery).into()))
}

async fn redeliver(
    State(api): State<Api>,
    Path((id, event)): Path<(Uuid, Uuid)>,
) -> Result<Json<api::WebhookDelivery>, Problem> {
    Ok(Json(delivery(api.service.webhooks().redeliver(id, event).await?)))
}

async fn redrive(
    State(api): State<Api>,
    Path(id): Path<Uuid>,
    Json(api::Redrive { from, to }): Json<api::Redrive>,
) -> Result<Json<api::Redriven>, Problem> {
    if from >= to {
        return Err(Invalid::new("to", "must be later than from").into());
    }
    let Redriven { count, more } = api.service.webhooks().redrive(id, (from, to)).await?;
    Ok(Json(api::Redriven { count, more }))
}

fn dedup_key(who: &Identity, idempotency: Option<Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: who.user.to_string(), key, route, hash },
        None => DedupKey::None,
    }
}

/// Names every field that is not acceptable.
fn parse(
    api: &Api,
    url: Option<String>,
    description: Option<String>,
    event_types: Option<Vec<String>>,
) -> Result<Parsed, Problem> {
    let mut faults = Vec::new();
    if let Some(url) = &url {
        faults.extend(api.service.webhooks().check_url(url).err());
    }
    let is_line = |text: &String| text.chars().count() <= DESCRIPTION_CHARS_MAX && !text.chars().any(char::is_control);
    if description.as_ref().is_some_and(|description| !is_line(description)) {
        let message = format!("must be one line of at most {DESCRIPTION_CHARS_MAX} characters");
        faults.push(Invalid::new("description", message));
    }
    let event_types = event_types.map(|texts| EventTypes::parse(&texts)).transpose();
    let event_types = event_types.map_err(|fault| faults.push(fault)).unwrap_or_default();
    if faults.is_empty() {
        return Ok(Parsed { url, description, event_types });
    }
    let named = |problem: Problem, Invalid { field, message }| problem.field(field, message);
    Err(faults.into_iter().fold(Problem::unprocessable(), named))
}

fn wire(endpoint: Endpoint) -> api::Webhook {
    let Endpoint { id, url, description, event_types, active, disabled, failing_since, created_at, updated_at } =
        endpoint;
    let disabled =
        disabled.map(|Disabled { reason, at }| api::WebhookDisabled { reason: reason.as_str().to_owned(), at });
    api::Webhook {
        id,
        url,
        description,
        event_types: event_types.texts(),
        active,
        disabled,
        failing_since,
        created_at,
        updated_at,
    }
}

fn with_secret(endpoint: EndpointWithSecret) -> api::WebhookWithSecret {
    let EndpointWithSecret { endpoint, secret } = endpoint;
    api::WebhookWithSecret { webhook: wire(endpoint), secret: secret.expose().to_owned() }
}

fn delivery(delivery: Delivery) -> api::WebhookDelivery {
    let Delivery {
        endpoint,
        event,
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
    } = delivery;
    api::WebhookDelivery {
        id: event,
        message_id: message_id(event, endpoint),
        kind,
        status: state.as_str().to_owned(),
        attempts,
        status_code,
        answer,
        error,
        next_attempt_at,
        last_attempt_at,
        delivered_at,
        created_at,
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NotFound => Self::not_found(),
            WebhookError::TooManyEndpoints => Self::new(StatusCode::CONFLICT, "TOO_MANY_WEBHOOKS")
                .detail(format!("the shop has {ENDPOINTS_MAX} webhooks: delete one first")),
            WebhookError::TooManySecrets => Self::new(StatusCode::CONFLICT, "TOO_MANY_SECRETS").detail(format!(
                "{SECRETS_MAX} secrets are valid: a replaced one ends after 24 hours; to end all at once, delete the webhook"
            )),
            WebhookError::Inactive => Self::new(StatusCode::CONFLICT, "WEBHOOK_INACTIVE")
                .detail("nothing is sent to an inactive webhook: set active to true first"),
            WebhookError::Event(error) => Self::internal(error),
            WebhookError::Cipher(error) => Self::internal(error),
            WebhookError::Store(error) => store(error),
        }
    }
}
