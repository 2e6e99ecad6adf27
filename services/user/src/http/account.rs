//! `/users/me/email`, `/auth/email-confirmation`, `/users/me/export` and `DELETE /users/me`: what concerns a whole account.
//! None of these reads an `Idempotency-Key`: a repetition is harmless, and a body with a password must leave no trace.

use agora_api::user as wire;
use agora_vocab::{Email, Secret};
use agora_web::{Identity, Json, Problem, Routes, no_content};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    addresses, caller, caller_address,
    problem::{of_address, of_password},
    sessions, user_to_wire,
};
use crate::{
    domain::{AccountExport, RequestedEmailChange, RequestedReset, StoredSession},
    service::UserService,
};

/// The name under which a browser stores an export.
const ATTACHMENT: HeaderValue = HeaderValue::from_static("attachment; filename=\"account.json\"");

pub fn routes() -> Routes<UserService> {
    use wire::routes::{CHANGE_EMAIL, CONFIRM_EMAIL, ERASE_OWN, EXPORT_ACCOUNT};
    Routes::new()
        .on(CHANGE_EMAIL, change_email)
        .on(CONFIRM_EMAIL, confirm_email)
        .on(EXPORT_ACCOUNT, export)
        .on(ERASE_OWN, erase)
}

/// The same answer whether or not another account has the address.
async fn change_email(
    State(service): State<UserService>,
    identity: Identity,
    headers: HeaderMap,
    Json(body): Json<wire::ChangeEmail>,
) -> Result<StatusCode, Problem> {
    let wire::ChangeEmail { new_email, password } = body;
    let new =
        Email::parse(&new_email).map_err(|invalid| Problem::unprocessable().field("newEmail", invalid.message))?;
    let (caller, ip) = (caller(identity), caller_address(&headers));
    service.request_email_change(&caller, &new, &Secret::new(password), ip).await.map_err(of_password)?;
    Ok(StatusCode::ACCEPTED)
}

async fn confirm_email(
    State(service): State<UserService>,
    Json(body): Json<wire::ConfirmEmail>,
) -> Result<Response, Problem> {
    service.confirm_email_change(&body.token).await.map_err(of_address)?;
    Ok(no_content())
}

async fn export(
    State(service): State<UserService>,
    identity: Identity,
    headers: HeaderMap,
    Json(body): Json<wire::PresentPassword>,
) -> Result<Response, Problem> {
    let (present, ip) = (identity.session, caller_address(&headers));
    let password = Secret::new(body.password);
    let export = service.export_account(&caller(identity), &password, ip).await.map_err(of_password)?;
    let AccountExport {
        exported_at,
        user,
        updated_at,
        addresses,
        sessions,
        has_more_sessions,
        email_change,
        password_resets,
    } = export;
    let session = |stored: StoredSession| {
        let StoredSession { session, ended_at, end_reason } = stored;
        wire::ExportedSession { session: sessions::to_wire(session, present), ended_at, end_reason }
    };
    let body = wire::AccountExport {
        exported_at,
        account: user_to_wire(user),
        updated_at,
        addresses: addresses.into_iter().map(addresses::to_wire).collect(),
        sessions: sessions.into_iter().map(session).collect(),
        has_more_sessions,
        email_change: email_change.map(change_to_wire),
        password_resets: password_resets.into_iter().map(reset_to_wire).collect(),
    };
    let headers =
        [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (header::CONTENT_DISPOSITION, ATTACHMENT)];
    Ok((headers, Json(body)).into_response())
}

async fn erase(
    State(service): State<UserService>,
    identity: Identity,
    headers: HeaderMap,
    Json(body): Json<wire::PresentPassword>,
) -> Result<Response, Problem> {
    let (password, ip) = (Secret::new(body.password), caller_address(&headers));
    service.erase_own_account(&caller(identity), &password, ip).await.map_err(of_password)?;
    Ok(no_content())
}

fn change_to_wire(change: RequestedEmailChange) -> wire::RequestedEmailChange {
    let RequestedEmailChange { email, requested_at, expires_at } = change;
    wire::RequestedEmailChange { new_email: email.to_string(), requested_at, expires_at }
}

fn reset_to_wire(reset: RequestedReset) -> wire::RequestedReset {
    let RequestedReset { requested_at, expires_at, used_at } = reset;
    wire::RequestedReset { requested_at, expires_at, used_at }
}
