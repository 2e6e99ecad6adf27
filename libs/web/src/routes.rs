//! Routers made of declared routes.

use std::collections::HashMap;

use agora_api::{Method, Route};
use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};

/// A router in which every route is declared, and so has a policy. The layer of the port applies the declarations.
#[derive(Clone, Debug)]
pub struct Routes<S = ()> {
    router: Router<S>,
    declared: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self { router: Router::new(), declared: Vec::new() }
    }

    /// Adds a route.
    ///
    /// # Panics
    /// If a route with the same method and path was added.
    #[must_use]
    pub fn on<H, T>(mut self, route: Route, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = match route.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        };
        self.declared.push(route);
        Self { router: self.router.route(route.path, on(filter, handler)), ..self }
    }

    /// Adds all routes of another router.
    ///
    /// # Panics
    /// If both have a route with the same method and path.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { router: self.router.merge(other.router), declared: [self.declared, other.declared].concat() }
    }

    /// Provides the state of the handlers.
    pub fn with_state(self, state: S) -> Routes {
        Routes { router: self.router.with_state(state), declared: self.declared }
    }
}

impl Routes {
    /// The router without the layer of a port.
    pub(crate) fn into_parts(self) -> (Router, RouteTable) {
        (self.router, RouteTable::of(&self.declared))
    }
}

/// Declarations by path and method.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteTable(HashMap<&'static str, Vec<Route>>);

impl RouteTable {
    fn of(routes: &[Route]) -> Self {
        let mut table = HashMap::<_, Vec<_>>::new();
        for route in routes {
            table.entry(route.path).or_default().push(*route);
        }
        Self(table)
    }

    /// The declaration of the route that serves the method on a matched path; none if the router answers 404 or 405.
    pub(crate) fn find(&self, method: &str, matched_path: &str) -> Option<&Route> {
        let method = Method::serving(method)?;
        self.0.get(matched_path)?.iter().find(|route| route.method == method)
    }
}
