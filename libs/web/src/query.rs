//! Values in the query and in the path: 400 where they do not parse. Knows where they stand, not what they mean.

use axum::{
    extract::{FromRequestParts, path::ErrorKind, rejection::PathRejection},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{card, problem::Problem};

/// The query string, into a type that denies unknown fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// The values of the path's placeholders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    #[expect(clippy::disallowed_types, reason = "wrapped here to answer with a Problem")]
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        use axum::extract::Query as Axum;
        let pairs = Axum::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| invalid("INVALID_QUERY"))?;
        for (name, value) in &pairs.0 {
            card::refuse_text(name, value)?;
        }
        let read = Axum::<T>::try_from_uri(&parts.uri);
        read.map(|Axum(value)| Self(value)).map_err(|rejection| in_query(&rejection.body_text()))
    }
}

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    #[expect(clippy::disallowed_types, reason = "wrapped here to answer with a Problem")]
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        use axum::extract::Path as Axum;
        match Axum::<T>::from_request_parts(parts, state).await {
            Ok(Axum(value)) => Ok(Self(value)),
            Err(rejection) => Err(in_path(rejection)),
        }
    }
}

fn invalid(code: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code)
}

/// axum says "Failed to deserialize query string: limit: invalid digit found in string".
fn in_query(said: &str) -> Problem {
    let said = said.split_once(": ").map_or(said, |(_, said)| said);
    let (field, message) = match said.split('`').nth(1) {
        Some(field) if said.starts_with("unknown field") => (field, "is not known here"),
        Some(field) if said.starts_with("missing field") => (field, "is required"),
        Some(field) if said.starts_with("duplicate field") => (field, "is given twice"),
        _ => (said.split_once(": ").map_or("query", |(field, _)| field), "cannot be read"),
    };
    invalid("INVALID_QUERY").field(field, message)
}

fn in_path(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return Problem::internal("a handler asks for values that its path does not have");
    };
    let field = match failure.into_kind() {
        ErrorKind::ParseErrorAtKey { key, .. }
        | ErrorKind::DeserializeError { key, .. }
        | ErrorKind::InvalidUtf8InPathParam { key } => key,
        ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. } => {
            return Problem::internal("a handler asks for values that its path does not have");
        }
        _ => "path".to_owned(),
    };
    invalid("INVALID_PATH").field(field, "cannot be read")
}
