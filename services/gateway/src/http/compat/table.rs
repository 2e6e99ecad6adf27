//! The table of compatibility routes: its row type and builder.

use agora_api::{Method, Policy, Route, RouteClass};
use agora_web::Problem;
use axum::http::StatusCode;
use serde_json::Value;

use super::{exchange::Exchange, gateway_demo, graphql_demo, reference, umarketplace};

/// The earlier API that a path comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Node/Fastify, with the code of uMarketplace.
    Umarketplace,
    /// Node/Express behind a gateway.
    GatewayDemo,
    /// Node/Express/TypeScript; its REST services lie below `/s3`.
    GraphqlDemo,
    /// The reference architecture.
    Reference,
}

/// One path of one or more earlier APIs.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The APIs that have this path.
    pub documents: &'static [Document],
    /// Method of the compatibility route.
    pub method: Method,
    /// Path with placeholders.
    pub path: &'static str,
    /// Calls made in this order; the first error response is returned.
    pub(super) steps: Vec<Step>,
    /// Success status, if it differs from the last call's.
    pub(super) status: Option<StatusCode>,
    /// Builds the response body.
    pub(super) shape: fn(&Exchange) -> Value,
}

/// Builds the body of a call, or rejects input that no service could interpret.
pub(super) type Make = fn(&Exchange) -> Result<Value, Problem>;

/// One call of `/api/v1`.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The route; its parameters are filled from the compatibility route.
    pub route: Route,
    /// Name of the service that owns the route.
    pub service: &'static str,
    pub query: Query,
    /// Builds the body, if there is one.
    pub body: Option<Make>,
    /// Whether an `Idempotency-Key` is required.
    pub needs_key: bool,
    /// Whether the path's `id` must be the caller's.
    pub only_own: bool,
}

/// Query parameters that are passed to the call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Query {
    Dropped,
    /// `limit`, clamped to the page limit, `offset`, and these.
    Page {
        limit: u16,
        others: &'static [&'static str],
    },
}

/// All compatibility routes.
pub fn table() -> Vec<Alias> {
    [umarketplace::rows(), gateway_demo::rows(), graphql_demo::rows(), reference::rows()].concat()
}

/// Starts a row.
pub(super) fn alias(documents: &'static [Document], method: Method, path: &'static str) -> Alias {
    Alias { documents, method, path, steps: Vec::new(), status: None, shape: |exchange| exchange.last().clone() }
}

impl Alias {
    /// Calls a service.
    pub(super) fn calls(mut self, route: Route) -> Self {
        // A test of the proxy asserts that every public route has an owner.
        let service = agora_topology::owner(route.path).map_or(route.path, |owner| owner.name);
        self.steps.push(Step { route, service, query: Query::Dropped, body: None, needs_key: false, only_own: false });
        self
    }

    /// The declaration of the compatibility route, with the most important class and the largest body of its calls. A
    /// token is read unless all calls ignore it; the services decide whether one is required, so that their errors are
    /// translated.
    pub(super) fn route(&self) -> Route {
        let open = self.steps.iter().all(|step| step.route.policy == Policy::Open);
        let class = self.steps.iter().map(|step| step.route.class).max().unwrap_or(RouteClass::Browsing);
        let policy = if open { Policy::Open } else { Policy::Optional };
        let route = Route::new(self.method, self.path, policy).in_class(class);
        match self.steps.iter().map(|step| step.route.body_bytes_max).max() {
            Some(body_bytes_max) => route.with_body_max(body_bytes_max),
            None => route,
        }
    }

    /// Sets the body of the last call.
    pub(super) fn sends(mut self, body: Make) -> Self {
        self.last_step(|step| step.body = Some(body));
        self
    }

    /// Marks the last call as requiring an `Idempotency-Key`.
    pub(super) fn keyed(mut self) -> Self {
        self.last_step(|step| step.needs_key = true);
        self
    }

    /// Marks the last call as the caller's own: 404 if the path's `id` is another user's.
    pub(super) fn only_own(mut self) -> Self {
        self.last_step(|step| step.only_own = true);
        self
    }

    /// Passes paging (default `limit`) and these query parameters to the last call.
    pub(super) fn paged(mut self, limit: u16, others: &'static [&'static str]) -> Self {
        self.last_step(|step| step.query = Query::Page { limit, others });
        self
    }

    /// Sets the response body.
    pub(super) fn answers(self, shape: fn(&Exchange) -> Value) -> Self {
        Self { shape, ..self }
    }

    /// Sets the success status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    fn last_step(&mut self, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.last_mut() {
            change(step);
        }
    }
}
