//! Answers that more than one service gives. Knows status codes and headers, no bodies of any service.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use crate::{json::Json, problem::Problem};

/// 201 with the place of what was made, a path like `/api/v1/orders/…`, and its body.
pub fn created<T: Serialize>(location: String, body: T) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => (StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response(),
        Err(error) => Problem::internal(error).into_response(),
    }
}

pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
