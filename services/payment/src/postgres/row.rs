//! Database rows and composite types, and their conversion from and to domain types. Executes no statements.

use agora_vocab::{CommandId, Epoch, Money, OrderId, PaymentId, RefundId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{
        Attempt, AttemptKind, AttemptState, CaptureMethod, Initiator, Method, NextAction, Payment, Posting,
        ProviderDetails, RefundAttempt, SealedToken, Status,
    },
    ports::{LogEntry, NewPayment, PaymentError, PendingOrderCallback, StoreError},
};

/// A row of the view `payment_record`.
#[derive(sqlx::FromRow)]
pub(super) struct PaymentRow {
    id: Uuid,
    order_id: Uuid,
    user_id: Uuid,
    initiator: String,
    expected_minor: Option<i64>,
    amount_minor: Option<i64>,
    currency: Option<String>,
    status: String,
    manual_capture: bool,
    authorised_minor: i64,
    captured_minor: i64,
    refunded_minor: i64,
    method: String,
    sealed_token: Option<Vec<u8>>,
    #[sqlx(flatten)]
    details: DetailsRow,
    next_action_type: Option<String>,
    next_action_url: Option<String>,
    result_id: Option<Uuid>,
    seq: i64,
    #[sqlx(flatten)]
    attempt: AttemptRow,
    unchanged_s: i64,
    overdue: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

/// The columns of the provider's response.
#[derive(sqlx::FromRow)]
struct DetailsRow {
    reference_id: Option<String>,
    authorization_code: Option<String>,
    response_code: Option<String>,
    response_message: Option<String>,
}

/// The columns of the newest attempt; number 0 before the first.
#[derive(sqlx::FromRow)]
struct AttemptRow {
    #[sqlx(rename = "attempt")]
    n: i32,
    attempt_kind: String,
    attempt_epoch: i64,
    attempt_open: bool,
    attempt_minor: Option<i64>,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: PaymentId::new(row.id),
            order: OrderId::new(row.order_id),
            user: UserId::new(row.user_id),
            initiator: if row.initiator == "order" { Initiator::Order } else { Initiator::Shopper },
            expected: money(row.expected_minor, row.currency.as_deref())?,
            due: money(row.amount_minor, row.currency.as_deref())?,
            status: Status::named(&row.status).ok_or_else(|| unknown("payment.status", &row.status))?,
            capture_method: if row.manual_capture { CaptureMethod::Manual } else { CaptureMethod::Automatic },
            attempt: row.attempt.parse()?,
            authorised_minor: row.authorised_minor,
            captured_minor: row.captured_minor,
            refunded_minor: row.refunded_minor,
            method: Method::parse(&row.method).map_err(|_| unknown("payment.method", &row.method))?,
            token: row.sealed_token.map(SealedToken::new),
            details: ProviderDetails {
                reference: row.details.reference_id,
                authorization: row.details.authorization_code,
                code: row.details.response_code,
                message: row.details.response_message,
            },
            next_action: row.next_action_type.map(|kind| NextAction { kind, url: row.next_action_url }),
            result: row.result_id.map(CommandId::new),
            seq: row.seq,
            unchanged_s: row.unchanged_s,
            overdue: row.overdue,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl AttemptRow {
    fn parse(self) -> Result<Option<Attempt>, StoreError> {
        let Self { n, attempt_kind, attempt_epoch, attempt_open: open, attempt_minor: amount_minor } = self;
        if n == 0 {
            return Ok(None);
        }
        let kind = AttemptKind::named(&attempt_kind).ok_or_else(|| unknown("payment.attempt_kind", &attempt_kind))?;
        Ok(Some(Attempt { n, kind, epoch: epoch(attempt_epoch)?, open, amount_minor }))
    }
}

/// A row of the view `refund_attempt_record`.
#[derive(sqlx::FromRow)]
pub(super) struct RefundAttemptRow {
    payment_id: Uuid,
    n: i32,
    refund_id: Uuid,
    amount_minor: i64,
    currency: Option<String>,
    epoch: i64,
    state: String,
    reference_id: Option<String>,
    age_s: i64,
    created_at: OffsetDateTime,
}

impl TryFrom<RefundAttemptRow> for RefundAttempt {
    type Error = StoreError;

    fn try_from(row: RefundAttemptRow) -> Result<Self, StoreError> {
        let RefundAttemptRow {
            payment_id,
            n,
            refund_id,
            amount_minor,
            currency,
            epoch: attempt_epoch,
            state,
            reference_id,
            age_s,
            created_at,
        } = row;
        Ok(Self {
            id: RefundId::new(refund_id),
            payment: PaymentId::new(payment_id),
            n,
            epoch: epoch(attempt_epoch)?,
            amount: money(Some(amount_minor), currency.as_deref())?
                .ok_or_else(|| unknown("payment.currency", "null"))?,
            state: match state.as_str() {
                "prepared" => AttemptState::Prepared,
                "succeeded" => AttemptState::Succeeded,
                _ => AttemptState::Failed,
            },
            reference: reference_id,
            age_s,
            created_at,
        })
    }
}

/// The composite type `new_payment`.
#[derive(sqlx::Encode)]
pub(super) struct NewPaymentRow {
    id: Uuid,
    order_id: Uuid,
    user_id: Uuid,
    initiator: &'static str,
    expected_minor: Option<i64>,
    amount_minor: Option<i64>,
    currency: Option<String>,
    method: &'static str,
    manual_capture: bool,
    sealed_token: Option<Vec<u8>>,
    attempt: i32,
    attempt_epoch: i64,
}

agora_postgres::composite!(NewPaymentRow, "new_payment");

impl NewPaymentRow {
    /// The row of a new payment and of its first attempt, if it is stored with one. The amount that an order states is
    /// the amount due.
    pub(super) fn of(new: &NewPayment, attempt: Option<Attempt>) -> Self {
        let minor = new.amount.map(|amount| amount.amount);
        Self {
            id: new.id.uuid(),
            order_id: new.order.uuid(),
            user_id: new.user.uuid(),
            initiator: new.initiator.as_str(),
            expected_minor: minor,
            amount_minor: minor.filter(|_| new.initiator == Initiator::Order),
            currency: new.amount.map(|amount| amount.currency.to_string()),
            method: new.method.as_str(),
            manual_capture: new.capture_method == CaptureMethod::Manual,
            sealed_token: new.token.as_ref().map(|token| token.bytes().to_vec()),
            attempt: attempt.map_or(0, |attempt| attempt.n),
            attempt_epoch: attempt.map_or(0, |attempt| i64::from(attempt.epoch.0)),
        }
    }
}

/// The composite type `payment_change`.
#[derive(sqlx::Encode)]
pub(super) struct PaymentChange {
    id: Uuid,
    status: &'static str,
    amount_minor: Option<i64>,
    currency: Option<String>,
    authorised_minor: i64,
    captured_minor: i64,
    refunded_minor: i64,
    sealed_token: Option<Vec<u8>>,
    reference_id: Option<String>,
    authorization_code: Option<String>,
    response_code: Option<String>,
    response_message: Option<String>,
    next_action_type: Option<String>,
    next_action_url: Option<String>,
    result_id: Option<Uuid>,
    seq: i64,
    attempt_open: bool,
}

agora_postgres::composite!(PaymentChange, "payment_change");

impl PaymentChange {
    /// The columns that a transition changes, of a payment after it.
    pub(super) fn of(payment: &Payment) -> Self {
        let ProviderDetails { reference, authorization, code, message } = payment.details.clone();
        Self {
            id: payment.id.uuid(),
            status: payment.status.as_str(),
            amount_minor: payment.due.map(|due| due.amount),
            currency: payment.due.map(|due| due.currency.to_string()),
            authorised_minor: payment.authorised_minor,
            captured_minor: payment.captured_minor,
            refunded_minor: payment.refunded_minor,
            sealed_token: payment.token.as_ref().map(|token| token.bytes().to_vec()),
            reference_id: reference,
            authorization_code: authorization,
            response_code: code,
            response_message: message,
            next_action_type: payment.next_action.as_ref().map(|action| action.kind.clone()),
            next_action_url: payment.next_action.as_ref().and_then(|action| action.url.clone()),
            result_id: payment.result.map(CommandId::uuid),
            seq: payment.seq,
            attempt_open: payment.open_attempt().is_some(),
        }
    }
}

/// The composite type `ledger_posting`.
#[derive(sqlx::Encode)]
pub(super) struct LedgerPosting {
    kind: &'static str,
    reference: Uuid,
    payment_id: Uuid,
    debit: &'static str,
    credit: &'static str,
    seller_id: Uuid,
    currency: String,
    amount_minor: i64,
}

agora_postgres::composite!(LedgerPosting, "ledger_posting");

impl LedgerPosting {
    /// The row of a posting.
    pub(super) fn of(posting: &Posting) -> Self {
        let Posting { kind, reference, payment, debit, credit, seller, amount } = *posting;
        Self {
            kind,
            reference,
            payment_id: payment.uuid(),
            debit,
            credit,
            seller_id: seller.uuid(),
            currency: amount.currency.to_string(),
            amount_minor: amount.amount,
        }
    }
}

/// A row of `pending_order_callback`.
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

/// A row of the view `payment_logs`.
#[derive(sqlx::FromRow)]
pub(super) struct LogRow {
    at: OffsetDateTime,
    kind: String,
    amount_minor: Option<i64>,
    currency: Option<String>,
    reference_id: Option<String>,
    log_message: Option<String>,
}

impl TryFrom<LogRow> for LogEntry {
    type Error = StoreError;

    fn try_from(row: LogRow) -> Result<Self, StoreError> {
        let LogRow { at, kind, amount_minor, currency, reference_id: reference, log_message: message } = row;
        Ok(Self { at, kind, amount: money(amount_minor, currency.as_deref())?, reference, message })
    }
}

pub(super) fn money(amount: Option<i64>, currency: Option<&str>) -> Result<Option<Money>, StoreError> {
    let (Some(amount), Some(currency)) = (amount, currency) else { return Ok(None) };
    let currency = currency.parse().map_err(|_| unknown("payment.currency", currency))?;
    Money::new(amount, currency).map(Some).map_err(|error| StoreError::Broken(error.into()))
}

/// A stored value that this release cannot parse.
#[derive(Debug, thiserror::Error)]
#[error("column {column} contains {value:?}, which this release does not support")]
struct Unknown {
    column: &'static str,
    value: String,
}

pub(super) fn unknown(column: &'static str, value: &str) -> StoreError {
    StoreError::Broken(Box::new(Unknown { column, value: value.to_owned() }))
}

fn epoch(stored: i64) -> Result<Epoch, StoreError> {
    u32::try_from(stored).map(Epoch).map_err(|_| unknown("epoch", &stored.to_string()))
}

impl From<sqlx::Error> for PaymentError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<agora_outbox::Error> for PaymentError {
    fn from(error: agora_outbox::Error) -> Self {
        Self::Store(error.into())
    }
}
