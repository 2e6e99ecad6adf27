//! HTTP API: the routers of both ports and the mapping from errors to problem responses. Independent of SQL.

mod imports;
mod internal;
mod localized;
mod picture;
mod product_lines;
mod public;
mod records;
mod terms;
mod variants;
mod warehouses;
mod wire;

use agora_chassis::{Process, Routers, WatchedSecret};
use agora_outbox::DedupKey;
use agora_vocab::UserId;
use agora_web::{Idempotency, PortSettings, Problem, Routes, TokenVerifier, public_stack};
use http::StatusCode;
use serde_json::json;

use self::imports::Imports;
use crate::{
    domain::{AdjustRefused, Shortage, Stale, UsedBy, VARIANTS_MAX},
    ports::{AdjustError, NamedError, ProductError, StoreError},
    service::{CatalogService, Error},
};

/// Builds the routers of the public and the internal port, including all middleware.
pub fn routers(
    catalog: CatalogService,
    verifier: TokenVerifier,
    internal_secret: WatchedSecret,
    process: &Process,
) -> Routers {
    let imports = imports::routes(Imports { catalog: catalog.clone(), shutdown: process.shutdown() });
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers {
        public: public_stack(public_routes().with_state(catalog.clone()).merge(imports), settings),
        internal: agora_web::internal(
            internal::routes().with_state(catalog),
            internal_secret,
            &agora_topology::CATALOG,
            PortSettings::of(process),
        ),
    }
}

fn public_routes() -> Routes<CatalogService> {
    public::routes()
        .merge(picture::routes())
        .merge(variants::routes())
        .merge(terms::routes())
        .merge(warehouses::routes())
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
                .detail("send the ETag as If-Match, or the version in the body"),
            Error::Short(shortages) => short(&shortages),
            Error::Cancelled => {
                Self::new(StatusCode::CONFLICT, "CANCELLED").detail("this hold was released or has expired")
            }
            Error::Product(error) => product(error),
            Error::Adjust(error) => adjust(error),
            Error::Named(error) => named(error),
            Error::Store(error) => store(error),
        }
    }
}

fn product(error: ProductError) -> Problem {
    match error {
        ProductError::NotFound => Problem::not_found(),
        ProductError::Stale(why) => stale(why),
        ProductError::SkuTaken => {
            Problem::new(StatusCode::CONFLICT, "SKU_TAKEN").field("sku", "belongs to another product or a variant")
        }
        ProductError::Invalid(invalid) => invalid.into(),
        ProductError::Store(error) => store(error),
    }
}

fn named(error: NamedError) -> Problem {
    match error {
        NamedError::NotFound => Problem::not_found(),
        NamedError::Stale(why) => stale(why),
        NamedError::SkuTaken => {
            Problem::new(StatusCode::CONFLICT, "SKU_TAKEN").field("sku", "belongs to a product or another variant")
        }
        NamedError::TooManyVariants => Problem::new(StatusCode::CONFLICT, "TOO_MANY_VARIANTS").detail(format!(
            "a product has at most {VARIANTS_MAX} variants: delete one first, or create another product"
        )),
        NamedError::Invalid(invalid) => invalid.into(),
        NamedError::NameTaken => Problem::new(StatusCode::CONFLICT, "NAME_TAKEN")
            .field("name", "belongs to another one: names differ by more than case"),
        NamedError::UnknownLocation => Problem::unprocessable().field("locationId", "is not the id of a location"),
        NamedError::InUse(by) => Problem::new(StatusCode::CONFLICT, "IN_USE").detail(match by {
            UsedBy::Products => "products have it: give them another one, or none, and delete it then",
            UsedBy::Warehouses => "warehouses stand there: give them another location, or none, and delete it then",
            UsedBy::Stock => "it has stock, or had some that orders may return: set its quantities to 0 and keep it",
            UsedBy::Units => "units of it are on hand: set its quantities to 0 and delete it then",
            UsedBy::NewProducts => "the main warehouse receives the stock of new products: rename it instead",
        }),
        NamedError::Store(error) => store(error),
    }
}

fn stale(why: Stale) -> Problem {
    match why {
        Stale::IfMatch => Problem::new(StatusCode::PRECONDITION_FAILED, "STALE_VERSION")
            .detail("it has changed: read it again and send its present ETag as If-Match"),
        Stale::Version { current } => Problem::new(StatusCode::CONFLICT, "STALE_VERSION")
            .detail("it has changed: read it again and send its present version")
            .field("version", format!("is {current} now"))
            .extra("currentVersion", current),
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
