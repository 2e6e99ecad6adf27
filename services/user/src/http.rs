//! Accounts over HTTP: wire to domain and back, and the one map from errors to statuses.
//!
//! Knows routes and bodies; decides nothing.

mod addresses;
mod auth;
mod problem;
mod users;

use agora_api::user as wire;
use agora_chassis::{Routers, WatchedSecret};
use agora_outbox::DedupKey;
use agora_vocab::UserId;
use agora_web::{Edge, Idempotency, Identity, TokenVerifier};
use axum::Router;

use crate::{
    domain::{Phone, Profile, Text, User, Username, Violations},
    usecases::{Accounts, Asker},
};

/// Everything that this service answers, on both ports, with every layer.
pub fn routers(accounts: Accounts, verifier: TokenVerifier, internal_secret: WatchedSecret) -> Routers {
    let public = Router::new()
        .merge(auth::router())
        .merge(users::router())
        .merge(addresses::router())
        .with_state(accounts.clone());
    let internal = addresses::internal_router().with_state(accounts);
    Routers {
        public: agora_web::public(public, Edge { verifier: Some(verifier), ..Edge::default() }),
        internal: agora_web::internal(internal, internal_secret, "user", CALLERS),
    }
}

/// Who may call the internal port.
pub const CALLERS: &[&str] = &["order"];

/// The request, as the stores remember it.
fn dedup_key(user: UserId, idempotency: Option<Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: user.to_string(), key, route, hash },
        None => DedupKey::None,
    }
}

fn asker(identity: Identity) -> Asker {
    let Identity { user, roles, session, token: _, expires_at: _ } = identity;
    Asker { user, roles, session }
}

fn user_to_wire(user: User) -> wire::User {
    let User { id, email, profile, roles, status, created_at } = user;
    let name = profile.whole_name();
    let Profile { firstname, lastname, username, name: _, phone } = profile;
    wire::User {
        id,
        email: email.to_string(),
        firstname: firstname.map(|text| text.as_str().to_owned()),
        lastname: lastname.map(|text| text.as_str().to_owned()),
        username: username.map(|text| text.as_str().to_owned()),
        name,
        phone: phone.map(|text| text.as_str().to_owned()),
        roles,
        status: status.as_str().to_owned(),
        created_at,
    }
}

fn profile(violations: &mut Violations, told: wire::UpdateProfile) -> Profile {
    let wire::UpdateProfile { firstname, lastname, username, name, phone } = told;
    Profile {
        firstname: violations.check_optional(firstname, |text| Text::parse("firstname", text)),
        lastname: violations.check_optional(lastname, |text| Text::parse("lastname", text)),
        username: violations.check_optional(username, Username::parse),
        name: violations.check_optional(name, |text| Text::parse("name", text)),
        phone: violations.check_optional(phone, Phone::parse),
    }
}
