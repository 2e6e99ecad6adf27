//! The simulated payment provider, an external system that stores its operations in the schema `simulator` of the same
//! database server.
//!
//! Must not read tables of the payment service; it has its own connection pool. Like a real provider it stores each
//! idempotency key for ever: a repeated key returns the first outcome, and a key that was queried before its operation
//! arrived is never executed.

use agora_postgres::Db;
use agora_vocab::{Money, Secret};
use async_trait::async_trait;

use crate::{
    domain::{ChargeOutcome, ProviderDetails},
    ports::{Provider, ProviderError, RefundOutcome},
};

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
}

impl Simulator {
    /// Creates the provider on its own connection pool.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Executes an operation unless its key exists. Returns the operation stored under the key.
    async fn execute(&self, key: &str, kind: &str, amount: Money, behavior: Behavior) -> Result<Row, sqlx::Error> {
        let outcome = match behavior {
            Behavior::Decline { code, message } => ("declined", code, message),
            _ => ("succeeded", "approved", "approved"),
        };
        self.store(key, (kind, amount.amount, amount.currency.as_str()), outcome).await
    }

    /// Returns the operation of a key. Stores an unknown key with outcome `never`, which prevents its later execution.
    async fn find(&self, key: &str) -> Result<Row, sqlx::Error> {
        self.store(key, ("void", 0, ""), ("never", "never", "queried before it was executed")).await
    }

    async fn stored(&self, key: &str) -> Result<Option<Row>, sqlx::Error> {
        const STORED: &str = "select outcome::text, reference, authorization_code, code, message \
            from simulator.operation where key = $1";
        sqlx::query_as(STORED).bind(key).fetch_optional(&mut *self.db.acquire().await?).await
    }

    async fn store(
        &self,
        key: &str,
        (kind, amount, currency): (&str, i64, &str),
        (outcome, code, message): (&str, &str, &str),
    ) -> Result<Row, sqlx::Error> {
        const EXECUTE: &str = include_str!("../../sql/execute_provider_operation.sql");
        let execute = sqlx::query_as(EXECUTE).bind(key).bind(kind).bind(amount).bind(currency);
        let execute = execute.bind(outcome).bind(code).bind(message);
        execute.fetch_one(&mut *self.db.acquire().await?).await
    }
}

#[async_trait]
impl Provider for Simulator {
    async fn charge(&self, key: &str, amount: Money, token: &Secret) -> Result<ChargeOutcome, ProviderError> {
        let behavior = behavior(token.expose());
        match behavior {
            // The first call is lost before its charge; the same key is never executed later.
            Behavior::TimeOut => {
                let first = self.stored(key).await?;
                self.find(key).await?;
                first.map(Into::into).ok_or(ProviderError::Timeout)
            }
            Behavior::Fail => Ok(ChargeOutcome::Failed(ProviderDetails {
                code: Some("provider_error".to_owned()),
                message: Some("the provider failed".to_owned()),
                ..ProviderDetails::default()
            })),
            Behavior::Charge | Behavior::Decline { .. } => {
                Ok(self.execute(key, "charge", amount, behavior).await?.into())
            }
            Behavior::ChargeAndLoseResponse => {
                let first = self.stored(key).await?;
                self.execute(key, "charge", amount, behavior).await?;
                first.map(Into::into).ok_or(ProviderError::Timeout)
            }
        }
    }

    async fn refund(&self, key: &str, _charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError> {
        Ok(self.execute(key, "refund", amount, Behavior::Charge).await?.into())
    }

    async fn find_charge(&self, key: &str) -> Result<ChargeOutcome, ProviderError> {
        Ok(self.find(key).await?.into())
    }
}

impl From<Row> for ChargeOutcome {
    fn from(row: Row) -> Self {
        let Row { outcome, reference, authorization_code, code, message } = row;
        let details = ProviderDetails {
            reference: Some(reference),
            authorization: authorization_code,
            code: Some(code),
            message: Some(message),
        };
        match outcome.as_str() {
            "succeeded" => Self::Captured(details),
            "declined" => Self::Declined(details),
            _ => Self::not_charged(),
        }
    }
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
