//! Routes of admins for what services gave up. Calls use cases only.

use agora_api::{List, notification as api};
use agora_web::{Identity, Json, PageQuery, Path, Problem, Query, Routes, Start};
use axum::extract::State;
use serde_json::Value;
use uuid::Uuid;

use super::{Api, cursor, place};
use crate::domain::{DeadLetter, LetterState};

/// Longest reason of an admin, in characters.
const REASON_CHARS_MAX: usize = 500;

pub(super) fn routes() -> Routes<Api> {
    use api::routes::{DISCARD_DEAD, LIST_DEAD, READ_DEAD, REPLAY_DEAD};
    Routes::new().on(LIST_DEAD, list).on(READ_DEAD, read).on(REPLAY_DEAD, replay).on(DISCARD_DEAD, discard)
}

async fn list(
    State(api): State<Api>,
    Query(api::LettersQuery { state, limit, cursor: after }): Query<api::LettersQuery>,
) -> Result<Json<List<api::DeadLetter>>, Problem> {
    let state = state.map(|state| LetterState::parse(&state)).transpose()?;
    let request = PageQuery { limit, cursor: after, offset: None }.parse()?;
    let before = match &request.start {
        Start::Cursor(cursor) => Some(place(cursor)?),
        _ => None,
    };
    let mut page = api.service.dead_letters(state, before, request.size).await?;
    page.next = cursor(page.next);
    Ok(Json(page.map(wire).into()))
}

async fn read(State(api): State<Api>, Path(id): Path<Uuid>) -> Result<Json<api::DeadLetter>, Problem> {
    Ok(Json(wire(api.service.dead_letter(id).await?)))
}

async fn replay(
    State(api): State<Api>,
    who: Identity,
    Path(id): Path<Uuid>,
    Json(body): Json<api::Decision>,
) -> Result<Json<api::DeadLetter>, Problem> {
    Ok(Json(wire(api.service.replay(id, who.user, note(&body)?).await?)))
}

async fn discard(
    State(api): State<Api>,
    who: Identity,
    Path(id): Path<Uuid>,
    Json(body): Json<api::Decision>,
) -> Result<Json<api::DeadLetter>, Problem> {
    Ok(Json(wire(api.service.discard(id, who.user, note(&body)?).await?)))
}

fn note(body: &api::Decision) -> Result<String, Problem> {
    let reason = body.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.contains('\0') {
        return Err(Problem::unprocessable().field("reason", format!("must have 1 to {REASON_CHARS_MAX} characters")));
    }
    Ok(reason.to_owned())
}

fn wire(letter: DeadLetter) -> api::DeadLetter {
    let DeadLetter {
        id,
        kind,
        consumer,
        origin,
        payload,
        notification,
        reason,
        state,
        decided_by,
        decided_at,
        note,
        created_at,
    } = letter;
    let origin = origin.map(|origin| api::Origin {
        topic: origin.topic,
        partition: origin.partition,
        offset: origin.offset,
        headers: origin.headers,
    });
    api::DeadLetter {
        id,
        kind: kind.as_str().to_owned(),
        consumer,
        origin,
        notification_id: notification,
        reason,
        state: state.as_str().to_owned(),
        decided_by,
        decided_at,
        note,
        created_at,
        message: payload.map(|payload| shown(&payload)),
    }
}

/// JSON as such, any other bytes as text.
fn shown(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into())
}
