//! HTTP API: the routers of both ports and the mapping from errors to problem responses. Independent of SQL.

mod guest;
mod internal;
mod public;

use std::time::Duration;

use agora_api::cart as api;
use agora_chassis::{Process, Routers, WatchedSecret};
use agora_outbox::DedupKey;
use agora_vocab::{AssetBase, Invalid, ProductId, Quantity, Variant};
use agora_web::{Idempotency, PortSettings, Problem, TokenVerifier, public_stack};
use http::{HeaderValue, StatusCode, header};

use crate::{
    domain::{Item, LINES_MAX, Owner, Refused, RemovedItem, View},
    ports::StoreError,
    service::{CartService, Error},
};

const NO_SUCH_VARIANT: &str = "is not a variant of the product";
/// What only one client may see, and no cache may keep.
const PRIVATE: &str = "no-store";

/// Builds the routers of the public and the internal port, including all middleware.
pub fn routers(
    service: CartService,
    verifier: TokenVerifier,
    internal_secret: WatchedSecret,
    process: &Process,
) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers {
        public: public_stack(public::routes().merge(guest::routes()).with_state(service.clone()), settings),
        internal: agora_web::internal(
            internal::routes().with_state(service),
            internal_secret,
            &agora_topology::CART,
            PortSettings::of(process),
        ),
    }
}

/// The deduplication key of an owner's request; `None` without an `Idempotency-Key`.
fn request(owner: Owner, idempotency: Option<Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: owner.to_string(), key, route, hash },
        None => DedupKey::None,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoCart => Self::new(StatusCode::NOT_FOUND, "CART_NOT_FOUND")
                .detail(
                    "no cart has this token, or it has expired or was merged: create another one at POST /guest-carts",
                )
                .header(header::CACHE_CONTROL, HeaderValue::from_static(PRIVATE)),
            Error::NotFound => Self::not_found(),
            Error::TooManyGuestCarts { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_GUEST_CARTS")
                    .detail("too many carts were created from this address: use one that exists, or try again later")
                    .retry_after(whole_seconds(retry_after))
            }
            Error::NotRepeatable => Self::new(StatusCode::CONFLICT, "NOT_REPEATABLE").detail(
                "the token of this cart cannot be given again: create another one with a fresh Idempotency-Key",
            ),
            Error::NoRandomness(error) => Self::unavailable(error),
            Error::NoTokenKey(error) => Self::unavailable(error),
            Error::Refused(refused) => refusal(refused),
            Error::Empty => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "EMPTY_CART"),
            Error::Cancelled => Self::new(StatusCode::CONFLICT, "CANCELLED").detail("this checkout was cancelled"),
            Error::CatalogUnavailable(error) => Self::unavailable(error),
            Error::Store(error) => store(error),
        }
    }
}

fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::UnknownProduct => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_PRODUCT")
            .field("productId", "is not in the catalog"),
        Refused::UnknownVariant => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_VARIANT").field("variant", NO_SUCH_VARIANT)
        }
        Refused::Insufficient { product, requested, available } => {
            Problem::new(StatusCode::CONFLICT, "INSUFFICIENT_QUANTITY")
                .detail(format!("only {available} of {requested} units can be had"))
                .field("quantity", format!("must be at most {available} in all"))
                .extra("productId", product.to_string())
                .extra("requested", requested)
                .extra("available", available)
        }
        Refused::QuantityTooLarge => {
            Problem::unprocessable().field("quantity", format!("must be at most {} in all", agora_vocab::QUANTITY_MAX))
        }
        Refused::TooManyLines => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "CART_FULL")
            .detail(format!("a cart has at most {LINES_MAX} lines")),
        Refused::OtherCurrency => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "CURRENCY_MISMATCH")
            .field("productId", "is sold in another currency than the rest of the cart"),
    }
}

fn store(error: StoreError) -> Problem {
    match error {
        StoreError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            .detail("this Idempotency-Key was sent with another request: use a fresh one"),
        StoreError::Running => Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS")
            .detail("the same request has not ended")
            .retry_after(1),
        StoreError::Unavailable(source) => Problem::unavailable(source),
        StoreError::Broken(source) => Problem::internal(source),
    }
}

/// Rounded up: a client that waits so long is accepted.
fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Parses the line of a body. The error names every invalid field.
fn new_line(body: api::AddItem) -> Result<(ProductId, Variant, Quantity), Problem> {
    let api::AddItem { product_id, quantity: units, variant } = body;
    match (quantity(units), Variant::parse(variant.as_deref().unwrap_or_default())) {
        (Ok(units), Ok(variant)) => Ok((product_id, variant, units)),
        (units, Err(Invalid { field, message })) => {
            Err(units.err().unwrap_or_else(Problem::unprocessable).field(field, message))
        }
        (Err(problem), Ok(_)) => Err(problem),
    }
}

/// Parses the quantity of a body.
fn quantity(units: i64) -> Result<Quantity, Problem> {
    Ok(Quantity::parse(units)?)
}

fn cart(view: View, assets: &AssetBase) -> api::Cart {
    let View { id, version, items, total, removed: left_out } = view;
    let removed = left_out.into_iter().map(removed).collect();
    api::Cart { id, items: items.into_iter().map(|shown| item(shown, assets)).collect(), total, removed, version }
}

fn item(item: Item, assets: &AssetBase) -> api::Item {
    let (price_changed, previous_price) = (item.price_changed(), item.previous_price());
    let Item { line, name, image_url, price, available } = item;
    api::Item {
        id: line.id,
        product_id: line.product,
        variant: line.variant.as_str().to_owned(),
        name,
        image_url: image_url.map(|url| assets.resolve(url)),
        quantity: line.quantity.get(),
        price,
        available,
        price_changed,
        previous_price,
    }
}

fn removed(removed: RemovedItem) -> api::RemovedItem {
    let RemovedItem { line, name, reason } = removed;
    api::RemovedItem {
        product_id: line.product,
        variant: line.variant.as_str().to_owned(),
        name,
        quantity: line.quantity.get(),
        price: line.seen,
        reason: reason.as_str().to_owned(),
    }
}
