//! HTTP routes: conversion between wire and domain types, and the mapping of errors to statuses.
//!
//! Must not contain rules.

mod account;
mod addresses;
mod admin;
mod auth;
mod problem;
mod sessions;
mod staff;
mod users;

use agora_api::user as wire;
use agora_chassis::{Process, Routers, WatchedSecret};
use agora_outbox::DedupKey;
use agora_vocab::UserId;
use agora_web::{Idempotency, Identity, PortSettings, Problem, Routes, TokenVerifier, caller_address};
use axum::http::{HeaderMap, header};

use crate::{
    domain::{Device, Password, Phone, PreferencesChange, Profile, Text, User, Username, Violations},
    service::{Caller, UserService},
};

/// The routers of both ports with all their layers.
pub fn routers(
    service: UserService,
    verifier: TokenVerifier,
    internal_secret: WatchedSecret,
    process: &Process,
) -> Routers {
    let public = Routes::new()
        .merge(auth::routes())
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(staff::routes())
        .merge(account::routes())
        .merge(admin::routes())
        .merge(addresses::routes())
        .with_state(service.clone());
    let internal = addresses::internal_routes().with_state(service);
    Routers {
        public: agora_web::public_stack(public, PortSettings { verifier: Some(verifier), ..PortSettings::of(process) }),
        internal: agora_web::internal(internal, internal_secret, &agora_topology::USER, PortSettings::of(process)),
    }
}

/// The deduplication key of a request.
fn dedup_key(user: UserId, idempotency: Option<Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: user.to_string(), key, route, hash },
        None => DedupKey::None,
    }
}

fn caller(identity: Identity) -> Caller {
    let Identity { user, roles, session, token: _, expires_at: _ } = identity;
    Caller { user, roles, session }
}

fn user_to_wire(user: User) -> wire::User {
    let User { id, email, profile, roles, status, preferences, created_at, updated_at } = user;
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
        preferences: wire::Preferences {
            promotions: preferences.promotions,
            order_updates: preferences.order_updates,
            recommendations: preferences.recommendations,
        },
        created_at,
        updated_at,
    }
}

fn new_password_of(text: &str) -> Result<Password, Problem> {
    Password::parse(text).map_err(|invalid| Problem::unprocessable().field("newPassword", invalid.message))
}

fn preferences(body: wire::UpdatePreferences) -> PreferencesChange {
    let wire::UpdatePreferences { promotions, order_updates, recommendations } = body;
    PreferencesChange { promotions, order_updates, recommendations }
}

fn device(headers: &HeaderMap) -> Device {
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Device::new(caller_address(headers), user_agent)
}

fn profile(violations: &mut Violations, body: wire::UpdateProfile) -> Profile {
    let wire::UpdateProfile { firstname, lastname, username, name, phone } = body;
    Profile {
        firstname: violations.check_optional(firstname, |text| Text::parse("firstname", text)),
        lastname: violations.check_optional(lastname, |text| Text::parse("lastname", text)),
        username: violations.check_optional(username, Username::parse),
        name: violations.check_optional(name, |text| Text::parse("name", text)),
        phone: violations.check_optional(phone, Phone::parse),
    }
}
