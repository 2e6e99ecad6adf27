//! `/users`: oneself, and for admins everybody.

use agora_api::user as wire;
use agora_vocab::UserId;
use agora_web::{Command, Identity, Json, Path, Problem};
use axum::{Router, extract::State, routing::get};

use super::{asker, dedup_key, profile, user_to_wire};
use crate::{
    domain::{Profile, Violations},
    usecases::Accounts,
};

/// The routes.
pub fn router() -> Router<Accounts> {
    Router::new()
        .route("/api/v1/users/me", get(read_me).put(update_me))
        .route("/api/v1/users/{id}", get(read).put(update))
}

async fn read_me(State(accounts): State<Accounts>, identity: Identity) -> Result<Json<wire::User>, Problem> {
    let id = identity.user;
    Ok(Json(user_to_wire(accounts.read(&asker(identity), id).await?)))
}

async fn read(
    State(accounts): State<Accounts>,
    identity: Identity,
    Path(id): Path<UserId>,
) -> Result<Json<wire::User>, Problem> {
    Ok(Json(user_to_wire(accounts.read(&asker(identity), id).await?)))
}

async fn update_me(
    accounts: State<Accounts>,
    identity: Identity,
    command: Command<wire::UpdateProfile>,
) -> Result<Json<wire::User>, Problem> {
    let id = identity.user;
    update(accounts, identity, Path(id), command).await
}

async fn update(
    State(accounts): State<Accounts>,
    identity: Identity,
    Path(id): Path<UserId>,
    Command { body, idempotency }: Command<wire::UpdateProfile>,
) -> Result<Json<wire::User>, Problem> {
    let dedup_key = dedup_key(identity.user, idempotency);
    let user = accounts.update(&asker(identity), id, &change(body)?, &dedup_key).await?;
    Ok(Json(user_to_wire(user.into_inner())))
}

fn change(body: wire::UpdateProfile) -> Result<Profile, Violations> {
    let mut violations = Violations::default();
    let profile = profile(&mut violations, body);
    violations.unless_any(Some(profile))
}
