//! Public routes of a guest's cart, whose token is in a header. Depends on wire types and use cases, not on SQL.

use agora_api::cart as api;
use agora_vocab::{LineId, Secret};
use agora_web::{Command, Idempotency, Json, Path, Problem, Routes, caller_address, created, no_content};
use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};

use super::{PRIVATE, cart, new_line, quantity, request};
use crate::service::{CartService, CreationKey};

const TOKEN: HeaderName = HeaderName::from_static("x-cart-token");
/// Fewest characters of the key of a creation: 128 random bits in Base64.
const KEY_CHARS_MIN: usize = 22;
/// The path of every guest's cart: the token says which one it is.
const LOCATION: &str = "/api/v1/guest-carts/current";

pub(super) fn routes() -> Routes<CartService> {
    use api::routes::{ADD_GUEST_ITEM, CHANGE_GUEST_ITEM, CREATE_GUEST, REMOVE_GUEST_ITEM, VIEW_GUEST};
    Routes::new()
        .on(CREATE_GUEST, create)
        .on(VIEW_GUEST, view)
        .on(ADD_GUEST_ITEM, add)
        .on(CHANGE_GUEST_ITEM, change)
        .on(REMOVE_GUEST_ITEM, remove)
}

/// The token of the request's cart. Any text may be one; the store knows which is.
struct CartToken(Secret);

impl<S: Send + Sync> FromRequestParts<S> for CartToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all(TOKEN).iter();
        match (sent.next(), sent.next()) {
            (Some(token), None) => Ok(Self(Secret::new(String::from_utf8_lossy(token.as_bytes())))),
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "CART_TOKEN_REQUIRED")
                .detail("send the token that POST /guest-carts returned in one header X-Cart-Token")),
        }
    }
}

async fn create(
    State(service): State<CartService>,
    headers: HeaderMap,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let request = idempotency.map(creation_key).transpose()?;
    let (token, view) = service.create_guest_cart(caller_address(&headers), request.as_ref()).await?;
    let answer = api::GuestCart { cart_token: token.expose().to_owned(), cart: cart(view, service.assets()) };
    Ok(private(created(LOCATION.to_owned(), answer)))
}

/// Who has the key gets the token: it must be one that no other visitor sends.
fn creation_key(Idempotency { key, route, hash }: Idempotency) -> Result<CreationKey, Problem> {
    if key.len() < KEY_CHARS_MIN {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "INVALID_IDEMPOTENCY_KEY").detail(format!(
            "the Idempotency-Key of a guest's cart stands for its token: send at least {KEY_CHARS_MIN} random characters, \
             such as a UUID"
        )));
    }
    Ok(CreationKey { key: Secret::new(key), route, hash })
}

async fn view(State(service): State<CartService>, CartToken(token): CartToken) -> Result<Response, Problem> {
    let view = service.view(service.guest(&token)).await?;
    Ok(private(Json(cart(view, service.assets()))))
}

async fn add(
    State(service): State<CartService>,
    CartToken(token): CartToken,
    Command { body, idempotency }: Command<api::AddItem>,
) -> Result<Response, Problem> {
    let (product, variant, units) = new_line(body)?;
    let owner = service.guest(&token);
    let done = service.add(owner, product, variant, units, &request(owner, idempotency)).await?;
    Ok(private(created(LOCATION.to_owned(), cart(done.into_inner(), service.assets()))))
}

async fn change(
    State(service): State<CartService>,
    Path(id): Path<LineId>,
    CartToken(token): CartToken,
    Command { body, idempotency }: Command<api::ChangeItem>,
) -> Result<Response, Problem> {
    let units = quantity(body.quantity)?;
    let owner = service.guest(&token);
    let done = service.change(owner, id, units, &request(owner, idempotency)).await?;
    Ok(private(Json(cart(done.into_inner(), service.assets()))))
}

async fn remove(
    State(service): State<CartService>,
    Path(id): Path<LineId>,
    CartToken(token): CartToken,
    Command { body: (), idempotency }: Command<()>,
) -> Result<Response, Problem> {
    let owner = service.guest(&token);
    service.remove(owner, id, &request(owner, idempotency)).await?;
    Ok(private(no_content()))
}

/// The answer, which no cache may keep.
fn private(answer: impl IntoResponse) -> Response {
    let mut answer = answer.into_response();
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(PRIVATE));
    answer
}
