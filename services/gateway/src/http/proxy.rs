//! The reverse proxy: forwards each declared route to its service, with path and query unchanged and streamed responses.
//! Only a list of products with a text to search for goes to another service than its path says. A product and a list of
//! recommendations have a fallback.

use std::net::SocketAddr;

use agora_api::{Route, catalog, recommendation, search};
use agora_topology::Service;
use agora_web::{Problem, Routes};
use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::uri::PathAndQuery,
    response::Response,
};

use percent_encoding::percent_decode_str;

use crate::{
    clients::upstream::{Call, Upstreams},
    http::{
        compression::Acceptable,
        fallbacks::{self, RecentProducts},
        headers::{request_headers, response_headers},
    },
};

/// Where a request goes.
#[derive(Clone, Copy)]
struct Target {
    service: &'static Service,
    route: Route,
}

const CATALOG_LIST: Target = Target { service: &agora_topology::CATALOG, route: catalog::routes::LIST };

/// The public routes of all services behind the gateway.
pub fn routes() -> Routes<Upstreams> {
    let recent = RecentProducts::default();
    let owned = agora_api::public_routes().filter_map(|route| Some((route, agora_topology::owner(route.path)?)));
    owned.fold(Routes::new(), |routes, (route, service)| {
        if route == catalog::routes::LIST {
            routes.on(route, list_products)
        } else if route == catalog::routes::READ {
            let recent = recent.clone();
            routes.on(route, move |state, request| read_product(recent.clone(), state, request))
        } else if route == recommendation::routes::LIST {
            routes.on(route, list_recommendations)
        } else if route.is_streamed() {
            routes.on(route, move |state, request| pass_on_stream(Target { service, route }, state, request))
        } else {
            routes.on(route, move |state, request| pass_on(Target { service, route }, state, request))
        }
    })
}

/// Forwards a list of products to the search if it has a text to search for. If the search cannot answer, the catalog
/// does, whose own search needs more time; but not for a further page, because cursors of one are unknown to the other.
async fn list_products(upstreams: State<Upstreams>, request: Request) -> Result<Response, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let Some(target) = searched(search::routes::PRODUCTS, query) else {
        return pass_on(CATALOG_LIST, upstreams, request).await;
    };
    let (is_first_page, acceptable) = (value(query, "cursor").is_none(), Acceptable::of(&request));
    let headers = request_headers(request.headers(), request.extensions().get::<ConnectInfo<SocketAddr>>());
    let demand = (&search::routes::PRODUCTS).into();
    let call = Call { demand, method: request.method().clone(), target, headers, body: Body::empty() };
    match upstreams.send(agora_topology::SEARCH.name, call).await {
        Ok(answer) if answer.status().is_server_error() && is_first_page => {}
        Err(error) if error.is_of_the_service() && is_first_page => {}
        answer => return Ok(acceptable.encode(returned(answer?)).await),
    }
    pass_on(CATALOG_LIST, upstreams, request).await
}

/// Reads a product from the catalog; while it cannot answer, as it was a moment ago.
async fn read_product(
    recent: RecentProducts,
    State(upstreams): State<Upstreams>,
    request: Request,
) -> Result<Response, Problem> {
    let (key, acceptable) = (fallbacks::key(&request), Acceptable::of(&request));
    let stale = || recent.find(key.as_deref()?);
    let answer = match upstreams.send(agora_topology::CATALOG.name, forwarded(&catalog::routes::READ, request)?).await {
        Ok(answer) if fallbacks::is_away(answer.status()) => stale().unwrap_or_else(|| returned(answer)),
        Ok(answer) => match &key {
            Some(key) => recent.keep(key, returned(answer)).await,
            None => returned(answer),
        },
        Err(error) if error.is_of_the_service() => stale().ok_or(error)?,
        Err(error) => return Err(error.into()),
    };
    Ok(acceptable.encode(answer).await)
}

/// A page without recommendations is better than none, so their absence is not an error.
async fn list_recommendations(State(upstreams): State<Upstreams>, request: Request) -> Result<Response, Problem> {
    let call = forwarded(&recommendation::routes::LIST, request)?;
    match upstreams.send(agora_topology::RECOMMENDATION.name, call).await {
        Ok(answer) if !fallbacks::is_away(answer.status()) => Ok(returned(answer)),
        Err(error) if !error.is_of_the_service() => Err(error.into()),
        _ => Ok(fallbacks::no_recommendations()),
    }
}

/// The path of the route with the query, if that has a text to search for. The search knows nothing to expand, and no other
/// currencies.
fn searched(route: Route, query: &str) -> Option<PathAndQuery> {
    let unknown = || ["expand", "currency"].iter().any(|name| value(query, name).is_some());
    value(query, "q").filter(|text| !text.trim().is_empty() && !unknown())?;
    PathAndQuery::try_from(format!("{}?{query}", route.path)).ok()
}

/// The first value of a query parameter.
fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

async fn pass_on(
    Target { service, route }: Target,
    State(upstreams): State<Upstreams>,
    request: Request,
) -> Result<Response, Problem> {
    let acceptable = Acceptable::of(&request);
    let answer = returned(upstreams.send(service.name, forwarded(&route, request)?).await?);
    Ok(acceptable.encode(answer).await)
}

/// Sends the body as it arrives: it may be larger than what the gateway can hold.
async fn pass_on_stream(
    Target { service, route }: Target,
    State(upstreams): State<Upstreams>,
    request: Request,
) -> Result<Response, Problem> {
    Ok(returned(upstreams.send_stream(service.name, forwarded(&route, request)?).await?))
}

/// The request as the service gets it; 404 if its path could be taken for another one.
fn forwarded(route: &Route, request: Request) -> Result<Call, Problem> {
    let (parts, body) = request.into_parts();
    if is_ambiguous(parts.uri.path()) {
        return Err(Problem::not_found());
    }
    let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let headers = request_headers(&parts.headers, parts.extensions.get::<ConnectInfo<SocketAddr>>());
    Ok(Call { demand: route.into(), method: parts.method, target, headers, body })
}

/// The answer of a service as the client gets it.
fn returned(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers = response_headers(&parts.headers);
    Response::from_parts(parts, body)
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
    use agora_api::search;

    use super::{is_ambiguous, searched};

    #[test]
    fn every_public_route_has_an_owner() {
        for route in agora_api::public_routes() {
            assert!(agora_topology::owner(route.path).is_some(), "{}", route.path);
            assert!(!is_ambiguous(route.path));
        }
    }

    #[test]
    fn a_list_of_products_is_a_search_if_it_has_a_text() {
        let target = |query| searched(search::routes::PRODUCTS, query).map(|target| target.to_string());
        assert_eq!(target("limit=3&q=oak%20chair").unwrap(), "/api/v1/search/products?limit=3&q=oak%20chair");
        for query in ["", "limit=3", "q=", "q=%20", "query=x", "q=oak&expand=brand", "q=oak&currency=USD"] {
            assert_eq!(target(query), None, "{query}");
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
