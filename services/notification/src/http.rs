//! HTTP API: the router, wire types, and the mapping from errors to problem responses. Independent of SQL and SMTP.

mod admin;
mod dead_letters;
mod public;
mod webhooks;

use std::sync::Arc;

use agora_api::notification as api;
use agora_chassis::{Process, Routers};
use agora_vocab::Clock;
use agora_web::{PageRequest, PortSettings, Problem, Start, TokenVerifier, decode_cursor, encode_cursor, public_stack};
use http::StatusCode;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::Notification,
    ports::{PageStart, StoreError},
    service::{Error, LetterError, NotificationService},
};

/// What the handlers need.
#[derive(Clone, Debug)]
struct Api {
    service: NotificationService,
    clock: Arc<dyn Clock>,
}

/// Builds the router of the public port, including all middleware. There is no internal port.
pub fn routers(service: NotificationService, verifier: TokenVerifier, process: &Process) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    let routes = public::routes().merge(admin::routes()).merge(dead_letters::routes()).merge(webhooks::routes());
    let api = Api { service, clock: process.clock() };
    Routers { public: public_stack(routes.with_state(api), settings), internal: axum::Router::new() }
}

/// What its user sees of a notification.
fn wire(notification: Notification) -> api::Notification {
    let Notification {
        id,
        user,
        kind,
        priority,
        subject,
        summary,
        metadata,
        read_at,
        mail,
        sent_at,
        opened_at,
        created_at,
        ..
    } = notification;
    api::Notification {
        id,
        user_id: user,
        kind: kind.as_str().to_owned(),
        priority: priority.as_str().to_owned(),
        subject,
        content: summary,
        metadata,
        read: read_at.is_some(),
        read_at,
        mail: mail.as_str().to_owned(),
        mail_error: None,
        sent_at,
        opened_at,
        tracking_url: None,
        created_at,
    }
}

/// What admins see of a notification.
fn admin_wire(notification: Notification) -> api::Notification {
    let mail_error = notification.mail_error.clone();
    let tracking_url = notification.tracking.map(|id| api::routes::TRACK.path_of([&id]));
    api::Notification { mail_error, tracking_url, ..wire(notification) }
}

/// Where a page starts; 400 for a cursor of another list.
fn start(request: &PageRequest) -> Result<PageStart, Problem> {
    Ok(match &request.start {
        Start::First => PageStart::Offset(0),
        Start::Offset(offset) => PageStart::Offset(*offset),
        Start::Cursor(cursor) => {
            let (at, id) = place(cursor)?;
            PageStart::Before(at, id)
        }
    })
}

/// The place that a cursor names.
fn place(cursor: &str) -> Result<(OffsetDateTime, Uuid), Problem> {
    let place: String = decode_cursor(cursor)?;
    let read = || {
        let (micros, id) = place.split_once('/')?;
        let nanos = micros.parse::<i128>().ok()?.checked_mul(1_000)?;
        Some((OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?, id.parse().ok()?))
    };
    read().ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field("cursor", "must be nextCursor of another page")
    })
}

/// The cursor of the next page.
fn cursor(next: Option<String>) -> Option<String> {
    next.map(|place| encode_cursor(&place))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::UnknownUser => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_USER")
                .field("userId", "is not a user whose events have arrived"),
            Error::Template(error) => Self::internal(error),
            Error::Store(error) => store(error),
        }
    }
}

impl From<LetterError> for Problem {
    fn from(error: LetterError) -> Self {
        match error {
            LetterError::NotFound => Self::not_found(),
            LetterError::Decided(_) => Self::new(StatusCode::CONFLICT, "ALREADY_DECIDED").detail(error.to_string()),
            LetterError::NotCopied(_) | LetterError::NotAnEvent => {
                Self::new(StatusCode::CONFLICT, "NOT_REPLAYABLE").detail(error.to_string())
            }
            LetterError::Broker(error) => Self::unavailable(error),
            LetterError::Store(error) => store(error),
        }
    }
}

fn store(error: StoreError) -> Problem {
    match error {
        StoreError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            .detail("this Idempotency-Key was sent with another request: use a fresh one"),
        StoreError::Running => Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS")
            .detail("the same request has not ended")
            .retry_after(1),
        StoreError::Unavailable(source) => Problem::unavailable(source),
        StoreError::Broken(source) => Problem::internal(source),
    }
}
