//! `/users`: the caller's own account, and any account for support, which reads, and admins.

use agora_api::user as wire;
use agora_vocab::UserId;
use agora_web::{Command, Identity, Json, Path, Problem, Routes};
use axum::extract::State;

use super::{caller, dedup_key, preferences, profile, user_to_wire};
use crate::{
    domain::{Profile, Violations},
    service::UserService,
};

pub fn routes() -> Routes<UserService> {
    use wire::routes::{READ, READ_OWN, SET_OWN_PREFERENCES, SET_PREFERENCES, UPDATE, UPDATE_OWN};
    Routes::new()
        .on(READ_OWN, read_me)
        .on(UPDATE_OWN, update_me)
        .on(READ, read)
        .on(UPDATE, update)
        .on(SET_OWN_PREFERENCES, set_own_preferences)
        .on(SET_PREFERENCES, set_preferences)
}

async fn read_me(State(service): State<UserService>, identity: Identity) -> Result<Json<wire::User>, Problem> {
    let id = identity.user;
    Ok(Json(user_to_wire(service.read(&caller(identity), id).await?)))
}

async fn read(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<UserId>,
) -> Result<Json<wire::User>, Problem> {
    Ok(Json(user_to_wire(service.read(&caller(identity), id).await?)))
}

async fn update_me(
    service: State<UserService>,
    identity: Identity,
    command: Command<wire::UpdateProfile>,
) -> Result<Json<wire::User>, Problem> {
    let id = identity.user;
    update(service, identity, Path(id), command).await
}

async fn update(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<UserId>,
    Command { body, idempotency }: Command<wire::UpdateProfile>,
) -> Result<Json<wire::User>, Problem> {
    let dedup_key = dedup_key(identity.user, idempotency);
    let user = service.update(&caller(identity), id, &change(body)?, &dedup_key).await?;
    Ok(Json(user_to_wire(user.into_inner())))
}

async fn set_own_preferences(
    service: State<UserService>,
    identity: Identity,
    command: Command<wire::UpdatePreferences>,
) -> Result<Json<wire::User>, Problem> {
    let id = identity.user;
    set_preferences(service, identity, Path(id), command).await
}

async fn set_preferences(
    State(service): State<UserService>,
    identity: Identity,
    Path(id): Path<UserId>,
    Command { body, idempotency }: Command<wire::UpdatePreferences>,
) -> Result<Json<wire::User>, Problem> {
    let dedup_key = dedup_key(identity.user, idempotency);
    let user = service.set_preferences(&caller(identity), id, preferences(body), &dedup_key).await?;
    Ok(Json(user_to_wire(user.into_inner())))
}

fn change(body: wire::UpdateProfile) -> Result<Profile, Violations> {
    let mut violations = Violations::default();
    let profile = profile(&mut violations, body);
    violations.unless_any(Some(profile))
}
