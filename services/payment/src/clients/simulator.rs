//! The simulated payment provider, an external system that stores its operations in the schema `simulator` of the same
//! database server.
//!
//! Must not read tables of the payment service; it has its own connection pool. Like a real provider it stores each
//! idempotency key for ever: a repeated key returns the first outcome, and a key that was queried before its operation
//! arrived is never executed.

use agora_postgres::Db;
use agora_vocab::{Invalid, Money};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    domain::{CaptureMethod, ChargeOutcome, MoneyKind, MoneyMovement, NextAction, ProviderDetails},
    ports::{Challenges, Charges, NewCharge, ProviderError, ProviderRefunds, RefundOutcome, Reports},
};

/// Path of the page where the payer of a simulated charge answers the challenge.
const CHALLENGES: &str = "/api/v1/payments/challenges/";

/// The simulated provider.
#[derive(Clone)]
pub struct Simulator {
    db: Db,
}

/// The simulated behavior of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behavior {
    Charge,
    Decline {
        code: &'static str,
        message: &'static str,
    },
    /// The payer must answer a challenge first, as with 3-D Secure.
    Challenge,
    /// The charge succeeds, but the response to the first call is lost.
    ChargeAndLoseResponse,
    /// The charge is never executed, and the first call times out.
    TimeOut,
    /// The provider reports an internal error.
    Fail,
}

/// The behavior of a test token; an unknown token is declined.
fn behavior(token: &str) -> Behavior {
    match token {
        "tok_ok" => Behavior::Charge,
        "tok_insufficient_funds" => {
            Behavior::Decline { code: "insufficient_funds", message: "the card has insufficient funds" }
        }
        "tok_declined" => Behavior::Decline { code: "card_declined", message: "the card was declined" },
        "tok_action_required" => Behavior::Challenge,
        "tok_lost_answer" => Behavior::ChargeAndLoseResponse,
        "tok_timeout" => Behavior::TimeOut,
        "tok_error" => Behavior::Fail,
        _ => Behavior::Decline { code: "invalid_token", message: "the token is not known" },
    }
}

/// A row of `simulator.operation`.
#[derive(sqlx::FromRow)]
struct Row {
    outcome: String,
    reference: String,
    authorization_code: Option<String>,
    code: String,
    message: String,
    amount_minor: i64,
    captured_minor: i64,
    currency: String,
}

impl Simulator {
    /// Creates the provider on its own connection pool.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Executes a charge unless its key exists. Returns the operation stored under the key.
    async fn execute(&self, charge: &NewCharge, behavior: Behavior) -> Result<Row, sqlx::Error> {
        let is_manual = charge.capture_method == CaptureMethod::Manual;
        let outcome = match behavior {
            Behavior::Decline { code, message } => ("declined", code, message),
            Behavior::Challenge => ("action_required", "action_required", "the payer must confirm the payment"),
            _ if is_manual => ("authorised", "approved", "approved"),
            _ => ("succeeded", "approved", "approved"),
        };
        let NewCharge { key, amount, .. } = charge;
        self.store(key, ("charge", amount.amount, amount.currency.as_str()), outcome, is_manual).await
    }

    /// Returns the operation of a key. Stores an unknown key with outcome `never`, which prevents its later execution.
    async fn find(&self, key: &str) -> Result<Row, sqlx::Error> {
        self.store(key, ("void", 0, ""), ("never", "never", "queried before it was executed"), false).await
    }

    async fn stored(&self, key: &str) -> Result<Option<Row>, sqlx::Error> {
        const STORED: &str = "select outcome::text, reference, authorization_code, code, message, amount_minor, \
            captured_minor, currency from simulator.operation where key = $1";
        sqlx::query_as(STORED).bind(key).fetch_optional(&mut *self.db.acquire().await?).await
    }

    async fn store(
        &self,
        key: &str,
        (kind, amount, currency): (&str, i64, &str),
        (outcome, code, message): (&str, &str, &str),
        is_manual: bool,
    ) -> Result<Row, sqlx::Error> {
        const EXECUTE: &str = include_str!("../../sql/execute_provider_operation.sql");
        let execute = sqlx::query_as(EXECUTE).bind(key).bind(kind).bind(amount).bind(currency);
        let execute = execute.bind(outcome).bind(code).bind(message).bind(is_manual);
        execute.fetch_one(&mut *self.db.acquire().await?).await
    }

    /// Changes a charge that is in one of the states that the statement names, and returns the charge after it.
    async fn change(&self, change: &'static str, reference: &str, amount: i64) -> Result<Row, sqlx::Error> {
        sqlx::query(change).bind(reference).bind(amount).execute(&mut *self.db.acquire().await?).await?;
        self.charge_of(reference).await
    }

    async fn charge_of(&self, reference: &str) -> Result<Row, sqlx::Error> {
        const FIND: &str = "select outcome::text, reference, authorization_code, code, message, amount_minor, \
            captured_minor, currency from simulator.operation where reference = $1 and kind = 'charge'";
        sqlx::query_as(FIND).bind(reference).fetch_one(&mut *self.db.acquire().await?).await
    }
}

#[async_trait]
impl Charges for Simulator {
    fn default_token(&self) -> Option<&'static str> {
        Some("tok_ok")
    }

    async fn charge(&self, charge: &NewCharge) -> Result<ChargeOutcome, ProviderError> {
        let behavior = behavior(charge.token.expose());
        match behavior {
            // The first call is lost before its charge; the same key is never executed later.
            Behavior::TimeOut => {
                let first = self.stored(&charge.key).await?;
                self.find(&charge.key).await?;
                first.ok_or(ProviderError::Timeout)?.outcome()
            }
            Behavior::Fail => {
                Ok(ChargeOutcome::Failed(ProviderDetails::of_code("provider_error", "the provider failed")))
            }
            Behavior::Charge | Behavior::Decline { .. } | Behavior::Challenge => {
                self.execute(charge, behavior).await?.outcome()
            }
            Behavior::ChargeAndLoseResponse => {
                let first = self.stored(&charge.key).await?;
                self.execute(charge, behavior).await?;
                first.ok_or(ProviderError::Timeout)?.outcome()
            }
        }
    }

    async fn find_charge(&self, key: &str) -> Result<ChargeOutcome, ProviderError> {
        self.find(key).await?.outcome()
    }

    async fn refresh(&self, reference: &str) -> Result<ChargeOutcome, ProviderError> {
        self.charge_of(reference).await?.outcome()
    }

    async fn capture(&self, _key: &str, reference: &str, amount: Money) -> Result<ChargeOutcome, ProviderError> {
        const CAPTURE: &str = "update simulator.operation set outcome = 'succeeded', captured_minor = $2 \
            where reference = $1 and kind = 'charge' and outcome = 'authorised' and $2 between 1 and amount_minor";
        self.change(CAPTURE, reference, amount.amount).await?.outcome()
    }

    async fn void(&self, _key: &str, reference: &str) -> Result<ChargeOutcome, ProviderError> {
        const VOID: &str = "update simulator.operation set outcome = 'voided', captured_minor = $2 \
            where reference = $1 and kind = 'charge' and outcome in ('authorised', 'action_required')";
        self.change(VOID, reference, 0).await?.outcome()
    }
}

#[async_trait]
impl ProviderRefunds for Simulator {
    async fn refund(&self, key: &str, _charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError> {
        let operation = ("refund", amount.amount, amount.currency.as_str());
        Ok(self.store(key, operation, ("succeeded", "approved", "approved"), false).await?.into())
    }

    async fn find_refund(&self, key: &str, _charge: &str) -> Result<Option<RefundOutcome>, ProviderError> {
        Ok(self.stored(key).await?.map(Into::into))
    }
}

#[async_trait]
impl Reports for Simulator {
    async fn report(&self, from: OffsetDateTime, before: OffsetDateTime) -> Result<Vec<MoneyMovement>, ProviderError> {
        const REPORT: &str = "select kind::text, reference, \
            case kind when 'charge' then captured_minor else amount_minor end, currency, created_at \
            from simulator.operation \
            where created_at >= $1 and created_at < $2 and kind in ('charge', 'refund') and outcome = 'succeeded'";
        let report = sqlx::query_as(REPORT).bind(from).bind(before);
        let rows: Vec<(String, String, i64, String, OffsetDateTime)> =
            report.fetch_all(&mut *self.db.acquire().await?).await?;
        let movement = |(kind, reference, amount, currency, at): (String, String, i64, String, OffsetDateTime)| {
            let kind = if kind == "charge" { MoneyKind::Capture } else { MoneyKind::Refund };
            Ok(MoneyMovement { kind, reference, amount: money(amount, &currency)?, at })
        };
        rows.into_iter().map(movement).collect()
    }
}

#[async_trait]
impl Challenges for Simulator {
    async fn answer(&self, reference: &str, approve: bool) -> Result<bool, ProviderError> {
        const ANSWER: &str = include_str!("../../sql/answer_challenge.sql");
        let answer = sqlx::query(ANSWER).bind(reference).bind(approve);
        Ok(answer.execute(&mut *self.db.acquire().await?).await?.rows_affected() == 1)
    }
}

impl Row {
    fn outcome(self) -> Result<ChargeOutcome, ProviderError> {
        let (amount, captured) = (self.amount_minor, self.captured_minor);
        let in_progress = self.outcome == "action_required";
        let action = in_progress
            .then(|| NextAction { kind: "redirect".to_owned(), url: Some(format!("{CHALLENGES}{}", self.reference)) });
        let details = ProviderDetails {
            reference: Some(self.reference),
            authorization: self.authorization_code,
            code: Some(self.code),
            message: Some(self.message),
        };
        Ok(match self.outcome.as_str() {
            "succeeded" => ChargeOutcome::Captured(details, money(captured, &self.currency)?),
            "authorised" => ChargeOutcome::Authorised(details, money(amount, &self.currency)?),
            "action_required" => ChargeOutcome::InProgress(details, action),
            "declined" => ChargeOutcome::Declined(details),
            "voided" => ChargeOutcome::Voided(details),
            _ => ChargeOutcome::not_charged(),
        })
    }
}

fn money(amount: i64, currency: &str) -> Result<Money, ProviderError> {
    let currency = currency.parse().map_err(|error: Invalid| ProviderError::Unavailable(error.into()))?;
    Money::new(amount, currency).map_err(|error| ProviderError::Unavailable(error.into()))
}

impl From<Row> for RefundOutcome {
    fn from(row: Row) -> Self {
        if row.outcome == "succeeded" { Self::Succeeded(row.reference) } else { Self::Failed }
    }
}

impl From<sqlx::Error> for ProviderError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(Box::new(error))
    }
}
