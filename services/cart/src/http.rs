//! HTTP API: the routers of both ports and the mapping from errors to problem responses. Independent of SQL.

mod internal;
mod public;

use agora_chassis::{Process, Routers, WatchedSecret};
use agora_outbox::DedupKey;
use agora_vocab::{Quantity, UserId};
use agora_web::{Idempotency, PortSettings, Problem, TokenVerifier, public_stack};
use http::StatusCode;

use crate::{
    domain::{LINES_MAX, Refused},
    ports::StoreError,
    service::{CartService, Error},
};

const NO_SUCH_VARIANT: &str = "is not a variant of the product";

/// Builds the routers of the public and the internal port, including all middleware.
pub fn routers(
    service: CartService,
    verifier: TokenVerifier,
    internal_secret: WatchedSecret,
    process: &Process,
) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers {
        public: public_stack(public::routes().with_state(service.clone()), settings),
        internal: agora_web::internal(
            internal::routes().with_state(service),
            internal_secret,
            &agora_topology::CART,
            PortSettings::of(process),
        ),
    }
}

/// The deduplication key of a user's request; `None` without an `Idempotency-Key`.
fn request(user: UserId, idempotency: Option<Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => DedupKey::Request { scope: user.to_string(), key, route, hash },
        None => DedupKey::None,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
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

/// Parses the quantity of a body.
fn quantity(units: i64) -> Result<Quantity, Problem> {
    Ok(Quantity::parse(units)?)
}
