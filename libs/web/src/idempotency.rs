//! The `Idempotency-Key` header beside the body that it stands for. Only parses: what was done under a key is kept and
//! decided by the outbox.

use std::any::TypeId;

use axum::{
    extract::{FromRequest, OriginalUri, Request},
    http::{HeaderMap, HeaderName, StatusCode},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    checks,
    json::{bytes, parse, require_json},
    problem::Problem,
};

/// The header's name.
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// A body like [`crate::Json`], with the idempotency key of the request. `Command<()>` takes an empty body or `{}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<T> {
    pub body: T,
    /// The key, if the client sent one.
    pub idempotency: Option<Idempotency>,
}

/// What makes a repeated request the same request, together with the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// What the client sent: 1-255 visible ASCII characters.
    pub key: String,
    /// The method and the path as requested, without the query: "POST /api/v1/orders".
    pub route: String,
    /// SHA-256 of the parsed body in its one written form: the order of members, white space and absent optional members make
    /// no difference.
    pub hash: [u8; 32],
}

impl<T> Command<T> {
    /// The key, or 400 where none came.
    pub fn required(&self) -> Result<&Idempotency, Problem> {
        self.idempotency.as_ref().ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_REQUIRED")
                .detail("send a fresh Idempotency-Key with each new command, and the same one with its repetitions")
        })
    }
}

impl<T, S> FromRequest<S> for Command<T>
where
    T: DeserializeOwned + Serialize + 'static,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = key(request.headers())?;
        let route = format!("{} {}", request.method(), path(&request));
        let named_json = require_json(request.headers());
        let body: T = read(&bytes(request, state).await?, named_json)?;
        let idempotency = match key {
            Some(key) => Some(Idempotency { key, route, hash: hash(&body)? }),
            None => None,
        };
        Ok(Self { body, idempotency })
    }
}

/// An empty body stands for `null`, which `()` and `Option` take; `{}` stands for it where nothing is expected.
fn read<T: DeserializeOwned + 'static>(body: &[u8], named_json: Result<(), Problem>) -> Result<T, Problem> {
    let empty_object = || serde_json::from_slice::<Empty>(body).is_ok();
    let nothing = body.is_empty() || (TypeId::of::<T>() == TypeId::of::<()>() && empty_object());
    if nothing && let Ok(value) = serde_json::from_slice(b"null") {
        return Ok(value);
    }
    named_json?;
    parse(body)
}

/// `{}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

/// The path that the client named, also below a nested router.
fn path(request: &Request) -> String {
    request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().path(), |uri| uri.0.path()).to_owned()
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    checks::refuse_card(headers, HEADER.as_str())?;
    let mut keys = headers.get_all(HEADER).iter();
    let (Some(key), second) = (keys.next(), keys.next()) else { return Ok(None) };
    let well_formed =
        second.is_none() && (1..=KEY_BYTES_MAX).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(key) if well_formed => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "INVALID_IDEMPOTENCY_KEY")
            .detail("one Idempotency-Key of 1 to 255 visible ASCII characters")),
    }
}

fn hash<T: Serialize>(body: &T) -> Result<[u8; 32], Problem> {
    let written = serde_json::to_vec(body).map_err(Problem::internal)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &written).as_ref());
    Ok(hash)
}
