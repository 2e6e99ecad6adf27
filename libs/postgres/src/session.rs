//! A checked-out connection whose state on the server is known, or which is closed.
//!
//! Knows transactions and what errors mean for a connection; must not know where connections come from.
//!
//! sqlx counts a transaction after `BEGIN` was answered and returns a connection to the pool whatever happened on it: a
//! caller that is cancelled in between leaves a session inside a transaction, in which the next caller's changes are
//! neither committed nor visible. Here a connection is closed unless its last transaction command was answered.
//!
//! sqlx sets no TCP keep-alive, so that a server that vanished without notice would be waited for as long as the system
//! retransmits, or without end. The server limits each statement; here it is waited for a little longer and no more.

use std::{
    fmt,
    future::ready,
    io,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    pool::PoolConnection,
    postgres::{PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{runtime::Handle, time::timeout};

use crate::{
    error::{ServerState, server_state},
    refusals::Refusals,
};

/// Time for an unfinished statement to end and for an open transaction to be rolled back; after it the connection is closed.
const RELEASE_MAX: Duration = Duration::from_secs(5);
/// Time that an answer is waited for beyond the server's own limit, so that the server's error, which names the reason, arrives.
const ANSWER_GRACE: Duration = Duration::from_secs(3);

/// What executes statements: lent by a [`Session`], where each statement is a transaction by itself, or by a [`Tx`].
pub struct Connection {
    /// Closes when dropped; only [`Connection::drop`] returns it to its pool.
    pooled: Option<PoolConnection<Postgres>>,
    phase: Phase,
    refusals: Arc<Refusals>,
    /// After so long without an answer the server is given up, and the connection closed.
    answer_max: Duration,
}

/// A connection for statements that need no transaction. Dropped, it goes back to its pool.
#[derive(Debug)]
pub struct Session(Connection);

/// A transaction that owns its connection; dropped, it is rolled back.
#[derive(Debug)]
pub struct Tx(Connection);

/// What is known about the session on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Outside a transaction.
    Idle,
    /// In a transaction.
    Open,
    /// In a transaction that can only be rolled back: a statement failed or was abandoned.
    Failed,
    /// A transaction command was not answered, or the session is of no use: it is closed.
    Unusable,
}

impl Session {
    /// `statement_time_max`: after it the server cancels a statement.
    pub(crate) fn new(pooled: PoolConnection<Postgres>, refusals: Arc<Refusals>, statement_time_max: Duration) -> Self {
        Self(Connection::new(pooled, refusals, statement_time_max + ANSWER_GRACE))
    }

    /// Closes the connection instead of returning it to its pool.
    pub(crate) fn discard(mut self) {
        self.0.phase = Phase::Unusable;
    }

    pub(crate) async fn begin(self) -> Result<Tx, sqlx::Error> {
        let Self(mut connection) = self;
        connection.transaction_command("begin", Phase::Open).await?;
        Ok(Tx(connection))
    }
}

impl Tx {
    /// Lets each further statement of this transaction run for so long before the server cancels it.
    pub async fn limit_statements(&mut self, max: Duration) -> Result<(), sqlx::Error> {
        let set = sqlx::query("select set_config('statement_timeout', $1, true)").bind(max.as_millis().to_string());
        set.execute(&mut self.0).await?;
        self.0.answer_max = max + ANSWER_GRACE;
        Ok(())
    }

    /// Commits. After an error the transaction is rolled back, or, where the server did not answer, may be either: the caller
    /// must not report success. A transaction in which a statement failed or was abandoned is an error and rolled back.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        let Self(mut connection) = self;
        match connection.phase {
            Phase::Open => connection.transaction_command("commit", Phase::Idle).await,
            _ => Err(sqlx::Error::Protocol("a statement of the transaction failed; it is rolled back".to_owned())),
        }
    }

    /// Rolls back and waits for the server's answer.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        let Self(mut connection) = self;
        connection.transaction_command("rollback", Phase::Idle).await
    }
}

impl Connection {
    fn new(mut pooled: PoolConnection<Postgres>, refusals: Arc<Refusals>, answer_max: Duration) -> Self {
        pooled.close_on_drop();
        Self { pooled: Some(pooled), phase: Phase::Idle, refusals, answer_max }
    }

    /// Runs `begin`, `commit` or `rollback`. While it is not answered with success, the session's state is unknown.
    async fn transaction_command(&mut self, command: &'static str, then: Phase) -> Result<(), sqlx::Error> {
        self.phase = Phase::Unusable;
        let pooled = self.pooled.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let result = answered(self.answer_max, sqlx::raw_sql(command).execute(&mut **pooled)).await;
        match result {
            Ok(_) => self.phase = then,
            Err(ref error) => self.refusals.note(error),
        }
        result.map(drop)
    }

    /// The connection, and the record of how a statement on it ends.
    fn statement(&mut self) -> Result<(&mut PgConnection, Statement<'_>), sqlx::Error> {
        let Self { pooled, phase, refusals, answer_max } = self;
        let pooled = pooled.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let before = *phase;
        if before == Phase::Open {
            *phase = Phase::Failed;
        }
        Ok((pooled, Statement { before, phase, refusals, answer_max: *answer_max }))
    }
}

/// A statement that has not ended: until it does, its transaction counts as failed.
struct Statement<'c> {
    before: Phase,
    phase: &'c mut Phase,
    refusals: &'c Refusals,
    answer_max: Duration,
}

/// The result of a statement or, of several rows, the next one. Without an answer in time, the state of the session is unknown.
async fn answered<T>(max: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(max, answer).await.unwrap_or_else(|_| {
        let text = format!("the database did not answer within {} ms", max.as_millis());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
    })
}

impl Statement<'_> {
    fn ended(&mut self, error: Option<&sqlx::Error>) {
        *self.phase = match error.map(server_state) {
            Some(ServerState::Usable) if self.before == Phase::Open => Phase::Failed,
            None | Some(ServerState::NotAsked | ServerState::Usable) => self.before,
            Some(ServerState::Unusable) => Phase::Unusable,
        };
        if let Some(error) = error {
            self.refusals.note(error);
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, statement) = match self.statement() {
            Ok(parts) => parts,
            Err(error) => return stream::once(ready(Err(error))).boxed(),
        };
        let results = connection.fetch_many(query);
        stream::unfold((results, statement), |(mut results, mut statement)| async {
            let next = async { results.next().await.transpose() };
            let result = answered(statement.answer_max, next).await.transpose();
            match &result {
                None => statement.ended(None),
                Some(Err(error)) => statement.ended(Some(error)),
                Some(Ok(_)) => {}
            }
            Some((result?, (results, statement)))
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, mut statement) = match self.statement() {
            Ok(parts) => parts,
            Err(error) => return ready(Err(error)).boxed(),
        };
        let result = connection.fetch_optional(query);
        async move {
            let result = answered(statement.answer_max, result).await;
            statement.ended(result.as_ref().err());
            result
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            let (connection, mut statement) = self.statement()?;
            let result = answered(statement.answer_max, connection.prepare_with(sql, parameters)).await;
            statement.ended(result.as_ref().err());
            result
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            let (connection, mut statement) = self.statement()?;
            let result = answered(statement.answer_max, connection.describe(sql)).await;
            statement.ended(result.as_ref().err());
            result
        }
        .boxed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(pooled) = self.pooled.take() else { return };
        match (self.phase, Handle::try_current()) {
            // Not tracked by the process, as sqlx's own: it ends within seconds.
            (Phase::Idle | Phase::Open | Phase::Failed, Ok(runtime)) => {
                let release = release(pooled, self.phase != Phase::Idle);
                drop(runtime.spawn(tokio::time::timeout(RELEASE_MAX, release)));
            }
            (Phase::Unusable, Ok(_)) => drop(pooled),
            (_, Err(_)) => drop(pooled.detach()),
        }
    }
}

/// Returns a connection to its pool, after its open transaction was rolled back. A statement that was abandoned is waited
/// for. A connection for which any of it fails, or is cancelled, is closed.
async fn release(mut pooled: PoolConnection<Postgres>, in_transaction: bool) {
    if in_transaction && sqlx::raw_sql("rollback").execute(&mut *pooled).await.is_err() {
        return;
    }
    pooled.return_to_pool().await;
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Deref for Tx {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}
