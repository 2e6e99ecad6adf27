//! The body of every refusal: RFC 9457 problem details, with the marketplace's members.

use serde::{Deserialize, Serialize};

/// Every code that a problem of this release can have, in their order.
pub const CODES: &[&str] = &[
    "ACCOUNT_BLOCKED",
    "ADDRESS_BOOK_FULL",
    "ALREADY_DECIDED",
    "AMOUNT_MISMATCH",
    "BELOW_RESERVED",
    "BODY_TIMED_OUT",
    "BODY_TOO_LARGE",
    "BUSY",
    "CALLER_NOT_ALLOWED",
    "CANCELLED",
    "CAPTURE_EXCEEDS_AUTHORISED",
    "CAPTURE_REFUSED",
    "CART_ALREADY_ORDERED",
    "CART_FULL",
    "CART_NOT_FOUND",
    "CART_TOKEN_REQUIRED",
    "CODE_TAKEN",
    "COUPON_EXHAUSTED",
    "CURRENCY_MISMATCH",
    "DEADLINE_EXCEEDED",
    "EMAIL_TAKEN",
    "EMPTY_CART",
    "FORBIDDEN",
    "IDEMPOTENCY_KEY_IN_USE",
    "IDEMPOTENCY_KEY_REQUIRED",
    "IDEMPOTENCY_KEY_REUSED",
    "IMPORT_ID_REUSED",
    "IMPORT_IN_PROGRESS",
    "IMPORT_UNFINISHED",
    "INDEX_NOT_BUILT",
    "INSUFFICIENT_QUANTITY",
    "INTERNAL",
    "INVALID_COMMAND_ID",
    "INVALID_CREDENTIALS",
    "INVALID_EVENT",
    "INVALID_EVENT_ID",
    "INVALID_HOST",
    "INVALID_IDEMPOTENCY_KEY",
    "INVALID_IF_MATCH",
    "INVALID_INTERNAL_TOKEN",
    "INVALID_JSON",
    "INVALID_PATH",
    "INVALID_QUERY",
    "INVALID_REFRESH_TOKEN",
    "INVALID_REQUEST",
    "INVALID_SIGNATURE",
    "INVALID_STAFF_LOGIN",
    "INVALID_TIMEOUT",
    "INVALID_TOKEN",
    "INVALID_TRANSITION",
    "IN_USE",
    "LAST_ADMIN",
    "METHOD_NOT_ALLOWED",
    "NAME_TAKEN",
    "NOT_FOUND",
    "NOT_PAID",
    "NOT_REPEATABLE",
    "NOT_REPLAYABLE",
    "NOT_RETURNABLE",
    "NO_IDENTITY_PROVIDER",
    "NO_PROVIDER",
    "NO_STAFF_ROLE",
    "NO_TOKEN",
    "ORDERS_PAUSED",
    "ORIGIN_NOT_ALLOWED",
    "OVERLOADED",
    "OWN_ACCOUNT",
    "PARTLY_SHIPPED",
    "PAYMENT_DECLINED",
    "PAYMENT_IN_PROGRESS",
    "PAYMENT_MISMATCH",
    "PROVIDER_FAILED",
    "QUANTITY_EXCEEDED",
    "RATE_LIMITED",
    "REFUND_EXCEEDS_CAPTURED",
    "REQUEST_IN_PROGRESS",
    "REVOCATIONS_UNKNOWN",
    "SHUTTING_DOWN",
    "SKU_TAKEN",
    "STALE_SIGNATURE",
    "STALE_VERSION",
    "TIMEOUT",
    "TOKEN_EXPIRED",
    "TOO_MANY_ATTEMPTS",
    "TOO_MANY_CALLS",
    "TOO_MANY_GUEST_CARTS",
    "TOO_MANY_LINES",
    "TOO_MANY_REQUESTS",
    "TOO_MANY_RETURNS",
    "TOO_MANY_SECRETS",
    "TOO_MANY_SETTINGS",
    "TOO_MANY_SHIPMENTS",
    "TOO_MANY_STREAMS",
    "TOO_MANY_UNITS_HELD",
    "TOO_MANY_UNPAID_ORDERS",
    "TOO_MANY_VARIANTS",
    "TOO_MANY_WEBHOOKS",
    "TOTAL_CHANGED",
    "UNAVAILABLE",
    "UNKNOWN_PRODUCT",
    "UNKNOWN_USER",
    "UNKNOWN_VARIANT",
    "UNSUPPORTED_CONTENT_ENCODING",
    "UNSUPPORTED_MEDIA_TYPE",
    "UNSUPPORTED_PROTOCOL",
    "UPGRADE_REQUIRED",
    "UPSTREAM_BUSY",
    "UPSTREAM_UNAVAILABLE",
    "USERNAME_TAKEN",
    "VALIDATION_FAILED",
    "VERSION_REQUIRED",
    "WEBHOOK_INACTIVE",
    "WRONG_SUBJECT",
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for each occurrence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words, with the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The kind for programs, such as `INSUFFICIENT_QUANTITY`.
    pub code: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Find the request's log lines by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The title again, for compatibility routes.
    #[serde(default)]
    pub error: String,
    /// Members of this kind alone, such as `productId`, `requested`, `available`.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Detail {
    /// The field's path, such as `items[0].quantity`.
    pub field: String,
    /// What would be acceptable.
    pub message: String,
}
