//! `/auth`: register, log in, refresh, log out, validate.

use std::net::IpAddr;

use agora_api::user as wire;
use agora_events::user::Preferences;
use agora_outbox::DedupKey;
use agora_vocab::{Email, Secret};
use agora_web::{Identity, Json, Problem, Routes, created, no_content};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{caller, caller_address, device, new_password_of, preferences, profile, user_to_wire};
use crate::{
    domain::{Password, Violations},
    service::{Attempt, LoggedIn, Registration, UserService},
};

pub fn routes() -> Routes<UserService> {
    use wire::routes::{LOGIN, LOGOUT, REFRESH, REGISTER, REQUEST_PASSWORD_RESET, RESET_PASSWORD, VALIDATE};
    Routes::new()
        .on(REGISTER, register)
        .on(LOGIN, login)
        .on(REFRESH, refresh)
        .on(LOGOUT, logout)
        .on(REQUEST_PASSWORD_RESET, request_password_reset)
        .on(RESET_PASSWORD, reset_password)
        .on(VALIDATE, validate)
}

/// Ignores an `Idempotency-Key`: the e-mail address is unique.
async fn register(
    State(service): State<UserService>,
    headers: HeaderMap,
    Json(body): Json<wire::Register>,
) -> Result<Response, Problem> {
    let registration = registration(body, caller_address(&headers))?;
    let user = service.register(registration, &DedupKey::None).await?.into_inner();
    Ok(created(format!("/api/v1/users/{}", user.id), user_to_wire(user)))
}

async fn login(
    State(service): State<UserService>,
    headers: HeaderMap,
    Json(body): Json<wire::Login>,
) -> Result<Response, Problem> {
    let wire::Login { email, password } = body;
    let attempt =
        Attempt { email: Email::parse(&email).ok(), password: Secret::new(password), device: device(&headers) };
    Ok(tokens(service.login(attempt).await?))
}

async fn refresh(State(service): State<UserService>, Json(body): Json<wire::Refresh>) -> Result<Response, Problem> {
    Ok(tokens(service.refresh(&Secret::new(body.refresh_token)).await?))
}

async fn logout(State(service): State<UserService>, Json(body): Json<wire::Refresh>) -> Result<Response, Problem> {
    service.logout(&Secret::new(body.refresh_token)).await?;
    Ok(no_content())
}

/// The same answer whether or not an account has the address.
async fn request_password_reset(
    State(service): State<UserService>,
    headers: HeaderMap,
    Json(body): Json<wire::RequestPasswordReset>,
) -> Result<StatusCode, Problem> {
    service.request_password_reset(&Email::parse(&body.email)?, caller_address(&headers)).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn reset_password(
    State(service): State<UserService>,
    headers: HeaderMap,
    Json(body): Json<wire::ResetPassword>,
) -> Result<Response, Problem> {
    let wire::ResetPassword { token, new_password } = body;
    service.reset_password(&token, &new_password_of(&new_password)?, caller_address(&headers)).await?;
    Ok(no_content())
}

async fn validate(State(service): State<UserService>, identity: Identity) -> Result<Json<wire::Validated>, Problem> {
    let (sid, exp) = (identity.session, identity.expires_at.unix_timestamp());
    let user = service.validate(&caller(identity)).await?;
    Ok(Json(wire::Validated { id: user.id, email: user.email.to_string(), roles: user.roles, sid, exp }))
}

fn registration(body: wire::Register, ip: Option<IpAddr>) -> Result<Registration, Violations> {
    let wire::Register { email, password, firstname, lastname, username, name, phone, preferences: chosen } = body;
    let mut violations = Violations::default();
    let email = violations.check(Email::parse(&email));
    let password = violations.check(Password::parse(&password));
    let profile = profile(&mut violations, wire::UpdateProfile { firstname, lastname, username, name, phone });
    let preferences = preferences(chosen.unwrap_or_default()).apply(Preferences::default());
    let whole = email.zip(password).map(|(email, password)| Registration { email, password, profile, preferences, ip });
    violations.unless_any(whole)
}

/// Sent with `Cache-Control: no-store`.
pub(super) fn tokens(logged_in: LoggedIn) -> Response {
    let LoggedIn { access, refresh, user } = logged_in;
    let body = wire::Tokens {
        access_token: access.token.expose().to_owned(),
        token: access.token.expose().to_owned(),
        refresh_token: refresh.0.expose().to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: access.expires_in_s,
        user: user_to_wire(user),
    };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}
