//! The audit log: one line for each request that staff makes with its rights. Written by the service that owns the route, not by
//! the gateway, so that each action has one line.

use agora_api::{Policy, Route};
use agora_vocab::{Role, UserId};
use axum::{extract::Request, http::StatusCode};

use crate::identity::Identity;

/// A request of staff, before it has an outcome.
#[derive(Debug)]
pub(crate) struct StaffAction {
    actor: UserId,
    role: Role,
    method: String,
    route: &'static str,
    /// With the ids of what the action is about; without the query.
    path: String,
}

impl StaffAction {
    /// What `request`, which has been admitted, does with the rights of staff: anything on a route that takes a role, and changes
    /// elsewhere.
    pub fn of(route: Option<&Route>, request: &Request) -> Option<Self> {
        let route = route?;
        let identity: &Identity = request.extensions().get()?;
        // Of several roles, one that opens the route.
        let opens = |role: &Role| match route.policy {
            Policy::Role(roles) => Role::grants(&[*role], roles),
            _ => *role != Role::Customer,
        };
        let role = identity.roles.iter().copied().find(opens)?;
        let with_rights = matches!(route.policy, Policy::Role(_)) || !request.method().is_safe();
        with_rights.then(|| Self {
            actor: identity.user,
            role,
            method: request.method().as_str().to_owned(),
            route: route.path,
            path: request.uri().path().to_owned(),
        })
    }

    /// Writes the line, whatever the outcome: a refused attempt is one too.
    pub fn write(self, status: StatusCode) {
        let Self { actor, role, method, route, path } = self;
        let (actor, role, status) = (tracing::field::display(actor), role.as_str(), status.as_u16());
        tracing::info!(target: "audit", actor, role, method, route, path, status, "staff action");
    }
}
