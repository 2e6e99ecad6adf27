//! HTTP API: the routers of both ports and the mapping from errors to problem responses. Independent of SQL.

mod internal;
mod public;
mod wire;

use agora_chassis::{Process, Routers, WatchedSecret};
use agora_outbox::DedupKey;
use agora_vocab::UserId;
use agora_web::{Idempotency, PortSettings, Problem, TokenVerifier, public_stack};
use http::StatusCode;
use serde_json::json;

use crate::{
    domain::{AdjustRefused, Shortage, Stale},
    ports::{AdjustError, ProductError, StoreError},
    service::{CatalogService, Error},
};

/// Builds the routers of the public and the internal port, including all middleware.
pub fn routers(
    catalog: CatalogService,
    verifier: TokenVerifier,
    internal_secret: WatchedSecret,
    process: &Process,
) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers {
        public: public_stack(public::routes().with_state(catalog.clone()), settings),
        internal: agora_web::internal(
            internal::routes().with_state(catalog),
            internal_secret,
            &agora_topology::CATALOG,
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
            Error::VersionNeeded => Self::new(StatusCode::PRECONDITION_REQUIRED, "VERSION_REQUIRED")
                .detail("send the product's ETag as If-Match, or its version in the body"),
            Error::Short(shortages) => short(&shortages),
            Error::Cancelled => {
                Self::new(StatusCode::CONFLICT, "CANCELLED").detail("this hold was released or has expired")
            }
            Error::Product(error) => product(error),
            Error::Adjust(error) => adjust(error),
            Error::Store(error) => store(error),
        }
    }
}

fn product(error: ProductError) -> Problem {
    match error {
        ProductError::NotFound => Problem::not_found(),
        ProductError::Stale(Stale::IfMatch) => Problem::new(StatusCode::PRECONDITION_FAILED, "STALE_VERSION")
            .detail("the product has changed: read it again and send its present ETag as If-Match"),
        ProductError::Stale(Stale::Version { current }) => Problem::new(StatusCode::CONFLICT, "STALE_VERSION")
            .detail("the product has changed: read it again and send its present version")
            .field("version", format!("is {current} now"))
            .extra("currentVersion", current),
        ProductError::SkuTaken => {
            Problem::new(StatusCode::CONFLICT, "SKU_TAKEN").field("sku", "belongs to another product")
        }
        ProductError::Invalid(invalid) => invalid.into(),
        ProductError::Store(error) => store(error),
    }
}

fn adjust(error: AdjustError) -> Problem {
    match error {
        AdjustError::NotFound => Problem::not_found(),
        AdjustError::UnknownWarehouse => Problem::unprocessable().field("warehouseId", "is not known"),
        AdjustError::Refused(AdjustRefused::TooMany) => {
            Problem::unprocessable().field("delta", "would leave more units than can be kept")
        }
        AdjustError::Refused(AdjustRefused::BelowReserved { requested, reserved }) => {
            Problem::new(StatusCode::CONFLICT, "BELOW_RESERVED")
                .detail(format!("orders hold {reserved} units: no fewer can be on hand"))
                .extra("requested", requested)
                .extra("reserved", reserved)
        }
        AdjustError::Store(error) => store(error),
    }
}

/// Lists every shortage in `shortages`; compatibility clients read the first one from the top-level members.
fn short(shortages: &[Shortage]) -> Problem {
    let mut problem = Problem::new(StatusCode::CONFLICT, "INSUFFICIENT_QUANTITY");
    if let Some(Shortage { product, variant: _, requested, available }) = shortages.first() {
        problem = problem
            .detail(format!("only {available} of {requested} units can be had"))
            .extra("productId", product.to_string())
            .extra("requested", *requested)
            .extra("available", *available);
    }
    for Shortage { product, variant: _, requested, available } in shortages {
        problem = problem.field(product.to_string(), format!("requested {requested}, available {available}"));
    }
    let all: Vec<_> = shortages
        .iter()
        .map(|Shortage { product, variant, requested, available }| {
            json!({"productId": product, "variant": variant, "requested": requested, "available": available})
        })
        .collect();
    problem.extra("shortages", all)
}

fn store(error: StoreError) -> Problem {
    match error {
        StoreError::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            .detail("this Idempotency-Key was sent with another request: use a fresh one"),
        StoreError::Running => Problem::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS")
            .detail("the first request with this Idempotency-Key has not ended")
            .retry_after(1),
        StoreError::Unavailable(source) => Problem::unavailable(source),
        StoreError::Broken(source) => Problem::internal(source),
    }
}
