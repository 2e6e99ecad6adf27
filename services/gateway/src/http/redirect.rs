//! The plain port of a gateway that terminates TLS itself: nothing is read or changed without encryption.

use agora_web::Problem;
use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};

/// Sends readers to the same path of the shop's address, and refuses every other request with 403 `TLS_REQUIRED`; a reader too
/// if that address is not known or not of TLS.
pub fn to_tls(public_url: Option<String>) -> Router {
    let base = public_url.filter(|url| url.starts_with("https://"));
    Router::new().fallback(move |request: Request| {
        let answer = answer(base.as_deref(), request.method(), request.uri());
        async move { answer }
    })
}

fn answer(base: Option<&str>, method: &Method, uri: &Uri) -> Response {
    let no_store = (header::CACHE_CONTROL, "no-store".to_owned());
    match base.filter(|_| matches!(*method, Method::GET | Method::HEAD)) {
        Some(base) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let location = (header::LOCATION, format!("{}{path}", base.trim_end_matches('/')));
            (StatusCode::PERMANENT_REDIRECT, [no_store, location]).into_response()
        }
        None => {
            let problem = Problem::new(StatusCode::FORBIDDEN, "TLS_REQUIRED")
                .detail("nothing was done: send the request to the https address of the shop");
            ([no_store], problem.into_response()).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::answer;

    #[test]
    fn gw14_readers_are_sent_to_the_shops_own_address_and_commands_are_refused() {
        let base = Some("https://shop.example");
        for (method, base, target, location) in [
            (Method::GET, base, "/api/v1/products?limit=3", "https://shop.example/api/v1/products?limit=3"),
            (Method::HEAD, base, "//evil.example/", "https://shop.example//evil.example/"),
            (Method::POST, base, "/api/v1/auth/login", ""),
            (Method::GET, None, "/api/v1/products", ""),
        ] {
            let answer = answer(base, &method, &target.parse().unwrap());
            let found = answer.headers().get("location").map_or("", |value| value.to_str().unwrap());
            assert_eq!((answer.status().as_u16(), found), (if location.is_empty() { 403 } else { 308 }, location));
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
    }
}
