//! `/users/me/sessions` and `/users/me/password`: where the caller is logged in, and the caller's own password.

use agora_api::{List, user as wire};
use agora_vocab::{Secret, SessionId};
use agora_web::{Identity, Json, Path, Problem, Routes, no_content};
use axum::{extract::State, http::HeaderMap, response::Response};

use super::{caller, caller_address, new_password_of};
use crate::{
    domain::{Device, Session},
    service::UserService,
};

pub fn routes() -> Routes<UserService> {
    use wire::routes::{CHANGE_PASSWORD, END_SESSION, END_SESSIONS, LIST_SESSIONS};
    Routes::new()
        .on(LIST_SESSIONS, list)
        .on(END_SESSION, end)
        .on(END_SESSIONS, end_all)
        .on(CHANGE_PASSWORD, change_password)
}

async fn list(State(service): State<UserService>, identity: Identity) -> Result<Json<List<wire::Session>>, Problem> {
    let present = identity.session;
    let sessions = service.own_sessions(&caller(identity)).await?;
    let items = sessions.into_iter().map(|session| to_wire(session, present)).collect();
    Ok(Json(List { items, total: None, next_cursor: None }))
}

async fn end(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<SessionId>,
) -> Result<Response, Problem> {
    service.end_session(&caller(identity), id).await?;
    Ok(no_content())
}

async fn end_all(State(service): State<UserService>, identity: Identity) -> Result<Response, Problem> {
    service.end_sessions(&caller(identity)).await?;
    Ok(no_content())
}

/// Ignores an `Idempotency-Key`: its body would be stored, and a repetition finds another present password.
async fn change_password(
    State(service): State<UserService>,
    identity: Identity,
    headers: HeaderMap,
    Json(body): Json<wire::ChangePassword>,
) -> Result<Response, Problem> {
    let wire::ChangePassword { current_password, new_password } = body;
    let (present, new) = (Secret::new(current_password), new_password_of(&new_password)?);
    service.change_password(&caller(identity), &present, &new, caller_address(&headers)).await?;
    Ok(no_content())
}

pub(super) fn to_wire(session: Session, present: SessionId) -> wire::Session {
    let Session { id, device: Device { ip, user_agent }, issued_at, used_at, expires_at } = session;
    let ip = ip.map(|ip| ip.to_string());
    wire::Session { id, current: id == present, ip, user_agent, issued_at, used_at, expires_at }
}
