//! The simulated payment provider: somebody else's system that happens to keep its books in the same database server.
//!
//! Knows its own schema and nothing of payments. Its own pool, no joins. Like a true provider it remembers each key for
//! ever: a repeated key gets the first outcome, and a key that was asked for before it came is never executed.

use agora_postgres::Db;
use agora_vocab::{Money, Secret};
use async_trait::async_trait;
use sqlx::PgConnection;

use crate::{
    domain::{ChargeOutcome, Facts},
    ports::{Provider, ProviderError, RefundOutcome},
};

/// The token that is charged when a client names none.
pub const DEFAULT_TOKEN: &str = "tok_ok";

/// The provider.
#[derive(Clone)]
pub struct Simulator {
    db: Db,
}

/// What a token makes of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    Charge,
    Decline {
        code: &'static str,
        message: &'static str,
    },
    /// It is charged, and the answer is lost on the way.
    ChargeAndLoseAnswer,
    /// It is not charged, and there is no answer.
    Silence,
    /// An error of the provider's own.
    Fail,
}

/// What a token stands for; an unknown one is declined like a card that does not exist.
fn script(token: &str) -> Script {
    match token {
        "tok_ok" => Script::Charge,
        "tok_insufficient_funds" => {
            Script::Decline { code: "insufficient_funds", message: "the card has insufficient funds" }
        }
        "tok_declined" => Script::Decline { code: "card_declined", message: "the card was declined" },
        "tok_lost_answer" => Script::ChargeAndLoseAnswer,
        "tok_timeout" => Script::Silence,
        "tok_error" => Script::Fail,
        _ => Script::Decline { code: "invalid_token", message: "the token is not known" },
    }
}

/// A row of the provider's books.
#[derive(sqlx::FromRow)]
struct Row {
    outcome: String,
    reference: String,
    authorization_code: Option<String>,
    code: String,
    message: String,
}

impl Simulator {
    /// The provider, with a pool of its own.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes an operation unless its key is known, and gives what is written under the key then.
    async fn operate(&self, key: &str, kind: &str, amount: Money, script: Script) -> Result<Row, sqlx::Error> {
        let (outcome, code, message) = match script {
            Script::Decline { code, message } => ("declined", code, message),
            _ => ("succeeded", "approved", "approved"),
        };
        let mut connection = self.db.acquire().await?;
        let operated: Option<Row> = sqlx::query_as(
            "insert into simulator.operation (key, kind, amount_minor, currency, outcome, reference, authorization_code, code, message)
             values ($1, $2, $3, $4, $5, 'sim_' || md5($1), case when $5 = 'succeeded' then upper(left(md5('auth' || $1), 6)) end, $6, $7)
             on conflict (key) do nothing
             returning outcome, reference, authorization_code, code, message",
        )
        .bind(key)
        .bind(kind)
        .bind(amount.amount)
        .bind(amount.currency.as_str())
        .bind(outcome)
        .bind(code)
        .bind(message)
        .fetch_optional(&mut *connection)
        .await?;
        match operated {
            Some(row) => Ok(row),
            None => written(&mut connection, key).await,
        }
    }

    /// What is written under a key; an unknown key is written as never to be executed.
    async fn find(&self, key: &str) -> Result<Row, sqlx::Error> {
        let mut connection = self.db.acquire().await?;
        sqlx::query(
            "insert into simulator.operation (key, kind, amount_minor, currency, outcome, reference, code, message)
             values ($1, 'void', 0, '', 'never', '', 'never', 'asked for before it came') on conflict (key) do nothing",
        )
        .bind(key)
        .execute(&mut *connection)
        .await?;
        written(&mut connection, key).await
    }
}

/// What is written under a key that somebody just wrote, if not we then an earlier caller.
async fn written(connection: &mut PgConnection, key: &str) -> Result<Row, sqlx::Error> {
    sqlx::query_as(
        "select outcome, reference, authorization_code, code, message from simulator.operation where key = $1",
    )
    .bind(key)
    .fetch_one(connection)
    .await
}

#[async_trait]
impl Provider for Simulator {
    async fn charge(&self, key: &str, amount: Money, token: &Secret) -> Result<ChargeOutcome, ProviderError> {
        let script = script(token.expose());
        match script {
            Script::Silence => Err(ProviderError::NoAnswer),
            Script::Fail => Ok(ChargeOutcome::Failed(Facts {
                code: Some("provider_error".to_owned()),
                message: Some("the provider failed".to_owned()),
                ..Facts::default()
            })),
            Script::Charge | Script::Decline { .. } => Ok(self.operate(key, "charge", amount, script).await?.into()),
            Script::ChargeAndLoseAnswer => {
                self.operate(key, "charge", amount, script).await?;
                Err(ProviderError::NoAnswer)
            }
        }
    }

    async fn refund(&self, key: &str, _charge: &str, amount: Money) -> Result<RefundOutcome, ProviderError> {
        Ok(self.operate(key, "refund", amount, Script::Charge).await?.into())
    }

    async fn charged(&self, key: &str) -> Result<ChargeOutcome, ProviderError> {
        Ok(self.find(key).await?.into())
    }

    async fn refunded(&self, key: &str) -> Result<RefundOutcome, ProviderError> {
        Ok(self.find(key).await?.into())
    }
}

impl From<Row> for ChargeOutcome {
    fn from(row: Row) -> Self {
        let Row { outcome, reference, authorization_code, code, message } = row;
        let facts = Facts {
            reference: Some(reference),
            authorization: authorization_code,
            code: Some(code),
            message: Some(message),
        };
        match outcome.as_str() {
            "succeeded" => Self::Captured(facts),
            "declined" => Self::Declined(facts),
            _ => Self::never(),
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
