//! The reverse proxy: forwards each declared route to its service, with path and query unchanged and streamed bodies.

use std::net::SocketAddr;

use agora_topology::Service;
use agora_web::{Problem, Routes};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::uri::PathAndQuery,
    response::Response,
};

use crate::{
    clients::upstream::{Call, Upstreams},
    http::headers::{request_headers, response_headers},
};

/// The public routes of all services behind the gateway.
pub fn routes() -> Routes<Upstreams> {
    let owned = agora_api::public_routes().filter_map(|route| Some((route, agora_topology::owner(route.path)?)));
    owned.fold(Routes::new(), |routes, (route, service)| {
        routes.on(route, move |state, request| pass_on(service, state, request))
    })
}

async fn pass_on(
    service: &'static Service,
    State(upstreams): State<Upstreams>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if has_dot_segments(parts.uri.path()) {
        return Err(Problem::not_found());
    }
    let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let headers = request_headers(&parts.headers, parts.extensions.get::<ConnectInfo<SocketAddr>>());
    let answer = upstreams.send(service.name, Call { method: parts.method, target, headers, body }).await?;
    let (mut parts, body) = answer.into_parts();
    parts.headers = response_headers(&parts.headers);
    Ok(Response::from_parts(parts, body))
}

/// Whether a path has segments `.` or `..` in any encoding: the service would resolve it to another route.
fn has_dot_segments(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

#[cfg(test)]
mod tests {
    use super::has_dot_segments;

    #[test]
    fn every_public_route_has_an_owner() {
        for route in agora_api::public_routes() {
            assert!(agora_topology::owner(route.path).is_some(), "{}", route.path);
        }
    }

    #[test]
    fn dot_segments_are_found_in_every_encoding() {
        for path in ["/api/v1/products/../auth", "/api/v1/products/%2e%2E/x", "/api/v1/products/.%2e", "/./x"] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["/api/v1/products/a..b", "/api/v1/products/...", "/api/v1/products/1"] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }
}
