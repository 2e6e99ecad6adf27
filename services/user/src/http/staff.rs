//! `/auth/staff`: logins of the staff at an identity provider.

use agora_api::user as wire;
use agora_vocab::Secret;
use agora_web::{Json, Problem, Routes};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{auth::tokens, caller_address, device};
use crate::service::{StaffLoginBegun, UserService};

pub fn routes() -> Routes<UserService> {
    use wire::routes::{BEGIN_STAFF_LOGIN, END_STAFF_LOGIN};
    Routes::new().on(BEGIN_STAFF_LOGIN, begin).on(END_STAFF_LOGIN, end)
}

async fn begin(State(service): State<UserService>, headers: HeaderMap) -> Result<Response, Problem> {
    let StaffLoginBegun { authorization_url, state } = service.begin_staff_login(caller_address(&headers)).await?;
    let body = wire::StaffLogin { authorization_url, state: state.expose().to_owned() };
    let caching = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, caching, Json(body)).into_response())
}

async fn end(
    State(service): State<UserService>,
    headers: HeaderMap,
    Json(body): Json<wire::EndStaffLogin>,
) -> Result<Response, Problem> {
    let wire::EndStaffLogin { state, code } = body;
    let (state, code) = (Secret::new(state), Secret::new(code));
    Ok(tokens(service.end_staff_login(&state, &code, device(&headers)).await?))
}
