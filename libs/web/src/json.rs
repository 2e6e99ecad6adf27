//! JSON bodies of requests and responses: 400 unreadable, 413, 415, 422 invalid.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    body::BodyFault,
    card::{self, CheckError},
    fault,
    problem::Problem,
    strict::Strict,
};

/// A JSON body. As an extractor it answers faults with a [`Problem`] that names the field; as an answer it is
/// `application/json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T, S> FromRequest<S> for Json<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        Ok(Self(parse(&bytes(request, state).await?)?))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// 415 unless the body says that it is JSON.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let json = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_json);
    if json {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")
            .detail("send the body as application/json"))
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The whole body, within the limits of the port.
pub(crate) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => BodyFault::TooLarge.into(),
        _ => BodyFault::of(&rejection).into(),
    })
}

/// The JSON value of a body, for code that translates bodies of other shapes; null if the body is empty. Has the limits and
/// refusals of [`Json`].
pub fn json_value(bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    readable(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "INVALID_JSON").detail(format!(
        "the body is not JSON: line {}, column {}",
        error.line(),
        error.column()
    ))
}

/// 400 for what is no JSON, 413 or 422 for what must not enter.
fn readable(bytes: &[u8]) -> Result<(), Problem> {
    card::check(bytes).map_err(|error| match error {
        CheckError::Refused(problem) => problem,
        CheckError::Unreadable(error) => unreadable(&error),
    })
}

/// A value of a part of a body that holds many, such as a line. Has the limits and refusals of [`Json`].
pub fn json_of<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    parse(text)
}

/// Reads the text as JSON first, so that an unreadable body (400) is distinguished from an invalid one (422), and so that
/// every string is checked before an error is explained. No tree is built: a body costs its bytes and its type.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    readable(bytes)?;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(Strict(&mut reader)).map_err(|error| {
        let (field, message) = fault::explain(error.path(), &error.inner().to_string());
        Problem::unprocessable().field(field, message)
    })
}
