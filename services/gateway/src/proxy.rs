//! Passing on: a route of the topology to its service, path and query unchanged, bodies streamed both ways.

use std::net::SocketAddr;

use agora_topology::Service;
use agora_web::Problem;
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    response::Response,
    routing::{MethodFilter, on},
};

use crate::{
    headers::{inward, outward},
    upstream::{Call, Upstreams},
};

/// What a service may be asked; anything else is 405.
const METHODS: MethodFilter = MethodFilter::GET
    .or(MethodFilter::HEAD)
    .or(MethodFilter::POST)
    .or(MethodFilter::PUT)
    .or(MethodFilter::PATCH)
    .or(MethodFilter::DELETE);

/// Every route of every service behind the gateway.
pub fn router() -> Router<Upstreams> {
    let services = agora_topology::ALL.iter().filter(|service| service.behind_gateway);
    services.flat_map(|service| service.routes.iter().map(move |route| (service, *route))).fold(
        Router::new(),
        |router, (service, route)| {
            let pass = move |state, request| pass_on(service, state, request);
            router
                .route(&format!("/api/v1{route}"), on(METHODS, pass))
                .route(&format!("/api/v1{route}/{{*rest}}"), on(METHODS, pass))
        },
    )
}

async fn pass_on(
    service: &'static Service,
    State(upstreams): State<Upstreams>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if climbs(parts.uri.path()) {
        return Err(Problem::not_found());
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let headers = inward(&parts.headers, parts.extensions.get::<ConnectInfo<SocketAddr>>());
    let answer = upstreams.send(service.name, Call { method: parts.method, target, headers, body }).await?;
    let (mut parts, body) = answer.into_parts();
    parts.headers = outward(&parts.headers);
    Ok(Response::from_parts(parts, body))
}

/// Whether a path has segments `.` or `..`, however written: it would name something else than was routed.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests {
    use super::climbs;

    #[test]
    fn a_path_that_climbs_is_told_in_every_spelling() {
        for path in ["/api/v1/products/../auth", "/api/v1/products/%2e%2E/x", "/api/v1/products/.%2e", "/./x"] {
            assert!(climbs(path), "{path}");
        }
        for path in ["/api/v1/products/a..b", "/api/v1/products/...", "/api/v1/products/1"] {
            assert!(!climbs(path), "{path}");
        }
    }
}
