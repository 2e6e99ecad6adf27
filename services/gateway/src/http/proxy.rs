//! The reverse proxy: forwards each declared route to its service, with path and query unchanged and streamed responses.

use std::net::SocketAddr;

use agora_topology::Service;
use agora_web::{Problem, Routes};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::uri::PathAndQuery,
    response::Response,
};

use percent_encoding::percent_decode_str;

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
    if is_ambiguous(parts.uri.path()) {
        return Err(Problem::not_found());
    }
    let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let headers = request_headers(&parts.headers, parts.extensions.get::<ConnectInfo<SocketAddr>>());
    let answer = upstreams.send(service.name, Call { method: parts.method, target, headers, body }).await?;
    let (mut parts, body) = answer.into_parts();
    parts.headers = response_headers(&parts.headers);
    Ok(Response::from_parts(parts, body))
}

/// Whether the service might take the path for another one: segments `.` or `..`, separators, and control characters, in any
/// encoding. No path of the API has any of them.
fn is_ambiguous(path: &str) -> bool {
    let plain = percent_decode_str(path).collect::<Vec<u8>>();
    let separators = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'/' | b'\\')).count();
    let plain_separators = path.bytes().filter(|byte| *byte == b'/').count();
    separators(&plain) != plain_separators
        || plain.iter().any(u8::is_ascii_control)
        || plain.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::is_ambiguous;

    #[test]
    fn every_public_route_has_an_owner() {
        for route in agora_api::public_routes() {
            assert!(agora_topology::owner(route.path).is_some(), "{}", route.path);
            assert!(!is_ambiguous(route.path));
        }
    }

    #[test]
    fn dot_segments_separators_and_control_characters_are_found_in_every_encoding() {
        for path in [
            "/api/v1/products/../auth",
            "/api/v1/products/%2e%2E/x",
            "/api/v1/products/.%2e",
            "/./x",
            "/api/v1/auth/x\\..\\login",
            "/api/v1/auth/x%5c..%5Clogin",
            "/api/v1/products/..%2fauth",
            "/api/v1/products/a%2Fb",
            "/api/v1/products/a%00",
            "/api/v1/products/a%0d%0a",
            "/api/v1/products/%7f",
        ] {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in ["/api/v1/products/a..b", "/api/v1/products/...", "/api/v1/products/1", "/api/v1/products/%20%ff"] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }
}
