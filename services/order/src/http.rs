//! HTTP API of orders: routers and the mapping from errors to problem responses. Must not contain SQL.

mod coupons;
mod internal;
mod invoices;
mod public;
mod reports;
mod returns;
mod settings;
mod shipments;
mod shipping_methods;
mod tax_rules;
mod wire;

use agora_chassis::{Process, Routers, WatchedSecret};
use agora_outbox::{DedupKey, StoredResponse};
use agora_vocab::UserId;
use agora_web::{Idempotency, PortSettings, Problem, TokenVerifier};
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

pub use wire::answer;

use crate::{
    domain::{LimitReached, RETURN_WINDOW, RETURNS_MAX, Refused, SHIPMENTS_MAX},
    service::{Error, OrderService, ReportService},
};

/// When a client may try again whose order was not taken because the shop takes none, in seconds.
const ORDERS_PAUSED_RETRY_AFTER_S: u32 = 60;

/// The public and the internal router with all middleware.
pub fn routers(
    service: &OrderService,
    reports: ReportService,
    verifier: TokenVerifier,
    internal_secret: WatchedSecret,
    process: &Process,
) -> Routers {
    let settings = PortSettings { verifier: Some(verifier), ..PortSettings::of(process) };
    Routers {
        public: agora_web::public_stack(
            public::routes(service.clone())
                .merge(shipments::routes(service.clone()))
                .merge(returns::routes(service.clone()))
                .merge(invoices::routes(service.clone()))
                .merge(reports::routes(reports))
                .merge(coupons::routes(service.prices.clone()))
                .merge(shipping_methods::routes(service.prices.clone()))
                .merge(tax_rules::routes(service.prices.clone())),
            settings,
        ),
        internal: agora_web::internal(
            internal::routes(service.clone()),
            internal_secret,
            &agora_topology::ORDER,
            PortSettings::of(process),
        ),
    }
}

/// The deduplication key of a user's request.
fn dedup_key(user: UserId, idempotency: Option<&Idempotency>) -> DedupKey {
    match idempotency {
        Some(Idempotency { key, route, hash }) => {
            DedupKey::Request { scope: user.to_string(), key: key.clone(), route: route.clone(), hash: *hash }
        }
        None => DedupKey::None,
    }
}

/// Rebuilds the first response to a request from its stored form.
fn replay(answer: StoredResponse) -> Response {
    let StoredResponse { status, location, body } = answer;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, [("content-type", kind)], body.to_string()).into_response();
    if let Some(Ok(location)) = location.map(TryInto::try_into) {
        response.headers_mut().insert("location", location);
    }
    response
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(wrong) => wrong
                .into_iter()
                .fold(Self::unprocessable(), |problem, wrong| problem.field(wrong.field, wrong.message)),
            Error::NotFound => Self::not_found(),
            Error::Blocked => Self::new(StatusCode::FORBIDDEN, "ACCOUNT_BLOCKED")
                .detail("this account is blocked and cannot order: contact the shop"),
            Error::OrdersPaused => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ORDERS_PAUSED")
                .detail("the shop takes no new orders for now: the cart keeps its lines, try again later")
                .retry_after(ORDERS_PAUSED_RETRY_AFTER_S),
            Error::EmptyCart => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "EMPTY_CART")
                .detail("the cart has nothing to order: add something to it, or send items"),
            Error::UnknownProducts(products) => {
                let ids: Vec<String> = products.iter().map(ToString::to_string).collect();
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_PRODUCT")
                    .detail("products that do not exist, or no more, cannot be ordered")
                    .extra("productIds", ids)
            }
            Error::NoSum(error) => Self::unprocessable().field("items", error.to_string()),
            Error::TotalChanged { total } => Self::new(StatusCode::CONFLICT, "TOTAL_CHANGED")
                .detail(format!("the order costs {total} now: nothing was ordered, and the cart has its lines back"))
                .field("expectedTotal", format!("must be {total}, or absent"))
                .extra("total", json!(total)),
            Error::LimitReached(reached) => limit_reached(reached),
            Error::CouponExhausted => Self::new(StatusCode::CONFLICT, "COUPON_EXHAUSTED").detail(
                "the coupon is used up: nothing was ordered, and the cart has its lines back; order without it",
            ),
            Error::TooManyGuesses { retry_after } => Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_ATTEMPTS")
                .detail("too many codes that are no coupons: order without a coupon, or wait")
                .retry_after(retry_after),
            Error::CodeTaken => Self::new(StatusCode::CONFLICT, "CODE_TAKEN")
                .detail("the code is taken: change what has it, or choose another code"),
            Error::TooManySettings { limit } => Self::new(StatusCode::CONFLICT, "TOO_MANY_SETTINGS")
                .detail(format!("there can be at most {limit}: change one of them")),
            Error::CartAlreadyOrdered => Self::new(StatusCode::CONFLICT, "CART_ALREADY_ORDERED")
                .detail("another order was made of this cart; see your orders"),
            Error::Refused(refused) => refused.into(),
            Error::KeyMismatch => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
                .detail("this Idempotency-Key was used for another request: send a fresh one"),
            Error::NotPaid => {
                Self::new(StatusCode::CONFLICT, "NOT_PAID").detail("an order has an invoice once it is paid")
            }
            Error::Running => Self::new(StatusCode::CONFLICT, "REQUEST_IN_PROGRESS")
                .detail("the first request with this Idempotency-Key has not ended")
                .retry_after(1),
            Error::Unavailable(source) => Self::unavailable(source),
            Error::Broken(source) => Self::internal(source),
        }
    }
}

fn limit_reached(reached: LimitReached) -> Problem {
    let (code, limit) = match reached {
        LimitReached::Orders { limit } => ("TOO_MANY_UNPAID_ORDERS", limit),
        LimitReached::Units { limit } => ("TOO_MANY_UNITS_HELD", limit),
    };
    Problem::new(StatusCode::CONFLICT, code)
        .detail(format!("{reached}: pay or cancel one of your orders, or wait until it expires"))
        .extra("limit", limit)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Foreign | Refused::NoShipment | Refused::NoReturn => Self::not_found(),
            Refused::AmountMismatch { due } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "AMOUNT_MISMATCH")
                .field("amount", format!("must be {due}, or absent")),
            Refused::InvalidTransition { from, .. } => Self::new(StatusCode::CONFLICT, "INVALID_TRANSITION")
                .detail(refused.to_string())
                .extra("orderStatus", from.as_str()),
            Refused::PaymentInProgress => {
                Self::new(StatusCode::CONFLICT, "PAYMENT_IN_PROGRESS").detail(refused.to_string()).retry_after(1)
            }
            Refused::PartlyShipped => Self::new(StatusCode::CONFLICT, "PARTLY_SHIPPED").detail(
                "a part of the order was shipped: it cannot be cancelled, and its status follows from its shipments",
            ),
            Refused::NotOrdered { item } => Self::unprocessable().field(
                format!("items[{item}].productId"),
                "must be a product of the order, with the variant of its line",
            ),
            Refused::SeveralSellers => {
                Self::unprocessable().field("items", "must be of one seller: add a shipment for each seller")
            }
            Refused::QuantityExceeded { product, requested, remaining } => {
                Self::new(StatusCode::CONFLICT, "QUANTITY_EXCEEDED")
                    .detail(refused.to_string())
                    .extra("productId", product.to_string())
                    .extra("requested", requested)
                    .extra("remaining", remaining)
            }
            Refused::TooManyShipments => Self::new(StatusCode::CONFLICT, "TOO_MANY_SHIPMENTS")
                .detail(format!("an order can have at most {SHIPMENTS_MAX} shipments")),
            Refused::NotReturnable { product, requested, returnable } => {
                Self::new(StatusCode::CONFLICT, "NOT_RETURNABLE")
                    .detail(format!(
                        "{refused}: units can be returned for {} days after delivery, once",
                        RETURN_WINDOW.whole_days()
                    ))
                    .extra("productId", product.to_string())
                    .extra("requested", requested)
                    .extra("returnable", returnable)
            }
            Refused::TooManyReturns => Self::new(StatusCode::CONFLICT, "TOO_MANY_RETURNS")
                .detail(format!("an order can have at most {RETURNS_MAX} returns")),
            Refused::ReturnStatus { from } => Self::new(StatusCode::CONFLICT, "INVALID_TRANSITION")
                .detail(refused.to_string())
                .extra("returnStatus", from.as_str()),
        }
    }
}
