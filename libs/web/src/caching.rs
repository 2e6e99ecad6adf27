//! What caches may do with an answer: `Cache-Control` by the class of its route, and the entity tag of an answer that has no
//! version, such as a list. Must not name a route.

use agora_api::{Method, Policy, Route, RouteClass};
use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::{etag::EntityTags, problem::Problem};

/// Caches of all kinds may store the answer, and ask whether it is current before each use: prices and stock change at any
/// time.
const SHARED: HeaderValue = HeaderValue::from_static("public, no-cache");
/// No cache may store the answer.
const PERSONAL: HeaderValue = HeaderValue::from_static("no-store");

/// Bytes of a digest that an entity tag has: enough that no two answers of a route have the same by chance.
const TAG_BYTES: usize = 16;

/// The `Cache-Control` of an answer that has none of its own. Only what anybody may read of the catalog and of the search is
/// shared, and only while the request has no token; errors are for the one who caused them.
pub(crate) fn control(route: Option<&Route>, personal: bool, status: StatusCode) -> HeaderValue {
    let is_read = |route: &Route| {
        route.method == Method::Get
            && route.class == RouteClass::Browsing
            && matches!(route.policy, Policy::Open | Policy::Optional)
    };
    let is_current = matches!(status, StatusCode::OK | StatusCode::NOT_MODIFIED);
    if !personal && is_current && route.is_some_and(is_read) { SHARED } else { PERSONAL }
}

/// The JSON of an answer, with a weak entity tag made of its text; 304 without a body if `If-None-Match` of the request lists
/// it. The answer is computed all the same: only its transfer is saved.
pub fn tagged_json<T: Serialize>(request: &HeaderMap, body: &T) -> Response {
    let text = match serde_json::to_vec(body) {
        Ok(text) => text,
        Err(error) => return Problem::internal(error).into_response(),
    };
    let digest = digest(&SHA256, &text);
    let opaque = BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref().get(..TAG_BYTES).unwrap_or_default());
    let tag = match HeaderValue::try_from(format!("W/\"{opaque}\"")) {
        Ok(tag) => [(header::ETAG, tag)],
        Err(error) => return Problem::internal(error).into_response(),
    };
    if EntityTags::none_match_lists(request, &opaque) {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    (tag, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

#[cfg(test)]
mod tests {
    use agora_api::{Method, Policy, Route, RouteClass};
    use axum::http::{HeaderMap, StatusCode};

    use super::{control, tagged_json};

    #[test]
    fn gw16_only_what_anybody_may_read_is_stored_by_caches() {
        let shared = Route::new(Method::Get, "/", Policy::Optional).in_class(RouteClass::Browsing);
        let of = |route: Route, personal, status| control(Some(&route), personal, status);
        for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
            assert_eq!(of(shared, false, status), "public, no-cache");
            assert_eq!(of(shared, true, status), "no-store", "the request has a token");
        }
        assert_eq!(of(shared, false, StatusCode::NOT_FOUND), "no-store");
        assert_eq!(control(None, false, StatusCode::OK), "no-store");
        for class in RouteClass::LIMITED.into_iter().filter(|class| *class != RouteClass::Browsing) {
            assert_eq!(of(shared.in_class(class), false, StatusCode::OK), "no-store", "{}", class.name());
        }
        for other in [Route { method: Method::Post, ..shared }, Route { policy: Policy::User, ..shared }] {
            assert_eq!(of(other, false, StatusCode::OK), "no-store");
        }
    }

    #[test]
    fn gw16_a_list_has_a_tag_of_its_text_and_is_not_sent_again() {
        let first = tagged_json(&HeaderMap::new(), &["a"]);
        let tag = first.headers()["etag"].clone();
        assert!(tag.to_str().unwrap().starts_with("W/\""));
        let known: HeaderMap = [(axum::http::header::IF_NONE_MATCH, tag.clone())].into_iter().collect();
        let again = tagged_json(&known, &["a"]);
        assert_eq!((again.status(), &again.headers()["etag"]), (StatusCode::NOT_MODIFIED, &tag));
        let changed = tagged_json(&known, &["b"]);
        assert_eq!(changed.status(), StatusCode::OK);
        assert_ne!(changed.headers()["etag"], tag);
    }
}
