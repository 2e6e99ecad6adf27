//! Database rows and their conversion to domain types. Executes no statements.

use agora_vocab::{CommandId, Money, OrderId, PaymentId, Secret, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{Attempt, AttemptState, Initiator, Method, Operation, Payment, ProviderDetails, Status},
    ports::{PendingOrderCallback, StoreError},
};

/// The columns of [`PaymentRow`].
macro_rules! PAYMENT {
    () => {
        "payment.id, payment.order_id, user_id, door, claimed_minor, payment.amount_minor, currency, payment.status, refunded_minor, method, token, \
         payment.reference_id, authorization_code, response_code, response_message, payment.result_id, seq, payment.created_at, payment.updated_at"
    };
}
/// The columns of [`AttemptRow`]: `$attempt` is the alias of `payment_attempt`, joined with `payment`.
macro_rules! ATTEMPT {
    ($attempt:literal) => {
        concat!(
            "intent_id, payment_id, operation, n, ",
            $attempt,
            ".amount_minor, currency, state, ",
            $attempt,
            ".reference_id, ",
            $attempt,
            ".created_at"
        )
    };
}
pub(super) use {ATTEMPT, PAYMENT};

#[derive(sqlx::FromRow)]
pub(super) struct PaymentRow {
    id: Uuid,
    order_id: Uuid,
    user_id: Uuid,
    door: String,
    claimed_minor: Option<i64>,
    amount_minor: Option<i64>,
    currency: Option<String>,
    status: String,
    refunded_minor: i64,
    method: String,
    token: Option<String>,
    reference_id: Option<String>,
    authorization_code: Option<String>,
    response_code: Option<String>,
    response_message: Option<String>,
    result_id: Option<Uuid>,
    seq: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        let PaymentRow {
            id,
            order_id,
            user_id,
            door,
            claimed_minor,
            amount_minor,
            currency,
            status,
            refunded_minor,
            method,
            token,
            reference_id,
            authorization_code,
            response_code,
            response_message,
            result_id,
            seq,
            created_at,
            updated_at,
        } = row;
        Ok(Self {
            id: PaymentId::new(id),
            order: OrderId::new(order_id),
            user: UserId::new(user_id),
            initiator: if door == "order" { Initiator::Order } else { Initiator::Shopper },
            expected: money(claimed_minor, currency.as_deref())?,
            due: money(amount_minor, currency.as_deref())?,
            status: Status::named(&status).ok_or_else(|| unknown("payment.status", &status))?,
            refunded_minor,
            method: Method::parse(&method).map_err(|_| unknown("payment.method", &method))?,
            token: token.map(Secret::new),
            details: ProviderDetails {
                reference: reference_id,
                authorization: authorization_code,
                code: response_code,
                message: response_message,
            },
            result: result_id.map(CommandId::new),
            seq,
            created_at,
            updated_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct AttemptRow {
    intent_id: Uuid,
    payment_id: Uuid,
    operation: String,
    n: i32,
    amount_minor: i64,
    currency: Option<String>,
    state: String,
    reference_id: Option<String>,
    created_at: OffsetDateTime,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let AttemptRow { intent_id, payment_id, operation, n, amount_minor, currency, state, reference_id, created_at } =
            row;
        Ok(Self {
            intent: intent_id,
            payment: PaymentId::new(payment_id),
            operation: if operation == "refund" { Operation::Refund } else { Operation::Capture },
            n,
            amount: money(Some(amount_minor), currency.as_deref())?
                .ok_or_else(|| unknown("payment.currency", "null"))?,
            state: match state.as_str() {
                "prepared" => AttemptState::Prepared,
                "succeeded" => AttemptState::Succeeded,
                _ => AttemptState::Failed,
            },
            reference: reference_id,
            created_at,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct CallbackRow {
    result_id: Uuid,
    payment_id: Uuid,
    order_id: Uuid,
    status: String,
}

impl From<CallbackRow> for PendingOrderCallback {
    fn from(row: CallbackRow) -> Self {
        let CallbackRow { result_id, payment_id, order_id, status } = row;
        Self {
            result: CommandId::new(result_id),
            payment: PaymentId::new(payment_id),
            order: OrderId::new(order_id),
            status,
        }
    }
}

fn money(amount: Option<i64>, currency: Option<&str>) -> Result<Option<Money>, StoreError> {
    let (Some(amount), Some(currency)) = (amount, currency) else { return Ok(None) };
    let currency = currency.parse().map_err(|_| unknown("payment.currency", currency))?;
    Money::new(amount, currency).map(Some).map_err(|error| StoreError::Unavailable(Box::new(error)))
}

/// A stored value that this release cannot parse.
#[derive(Debug, thiserror::Error)]
#[error("column {column} contains {value:?}, which this release does not support")]
struct Unknown {
    column: &'static str,
    value: String,
}

fn unknown(column: &'static str, value: &str) -> StoreError {
    StoreError::Unavailable(Box::new(Unknown { column, value: value.to_owned() }))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<agora_outbox::Error> for StoreError {
    fn from(error: agora_outbox::Error) -> Self {
        match error {
            agora_outbox::Error::Mismatch => Self::KeyReused,
            other => Self::Unavailable(Box::new(other)),
        }
    }
}
