//! Parameters that routes of several services have: queries of pages, and headers. Declarations of routes name the headers;
//! nothing makes a value of them.

use serde::Deserialize;

/// `?limit=&cursor=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct CursorQuery {
    /// How many items, 1 to 100; 20 if absent.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// `?limit=`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct LimitQuery {
    /// How many items, 1 to 100.
    #[cfg_attr(feature = "openapi", param(value_type = Option<u32>))]
    pub limit: Option<String>,
}

/// `Idempotency-Key`: a repetition with the same key gets the answer of the first request.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyKey;

/// `Idempotency-Key`, without which the route refuses.
#[derive(Clone, Copy, Debug)]
pub struct RequiredIdempotencyKey;

/// `If-Match`: the entity tag of what the client has read.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch;

/// `If-None-Match`: the entity tags of what the client has.
#[derive(Clone, Copy, Debug)]
pub struct IfNoneMatch;

/// `Accept-Language` and `X-Currency`: the language and currency of products.
#[derive(Clone, Copy, Debug)]
pub struct Localized;

/// `X-Cart-Token`: which guest's cart.
#[derive(Clone, Copy, Debug)]
pub struct CartToken;

/// `Last-Event-ID`: after which event a stream continues.
#[derive(Clone, Copy, Debug)]
pub struct LastEventId;

/// `Stripe-Signature`: proves who sent a message of a payment provider.
#[derive(Clone, Copy, Debug)]
pub struct ProviderSignature;

/// `X-Command-Id`: the id under which a service repeats its command.
#[derive(Clone, Copy, Debug)]
pub struct Commanded;
