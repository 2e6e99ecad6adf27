//! What can go wrong, and what a database's refusal means.
//!
//! Knows SQLSTATE codes; must not know what a constraint stands for.

use sqlx::migrate::MigrateError;

/// Why a database could not be made ready or its login not be replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("DATABASE_URL is not a PostgreSQL URL")]
    Url(#[source] sqlx::Error),
    /// The server did not take the login.
    #[error("connecting to the database")]
    Connect(#[source] sqlx::Error),
    /// The list of migrations could not be read or locked.
    #[error("reading which migrations the database holds")]
    List(#[source] MigrateError),
    /// A migration failed; what it did is rolled back.
    #[error("migration {version} ({description})")]
    Apply {
        /// The number that its file name starts with.
        version: i64,
        /// The rest of its file name.
        description: String,
        /// What the server said.
        source: MigrateError,
    },
    /// A migration that was applied has been edited since.
    #[error("migration {version} was applied with another text: edit none that has left the house, add one")]
    Edited {
        /// The number that its file name starts with.
        version: i64,
    },
}

/// The name of the constraint that refused a row, if that is what happened.
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error()?.constraint()
}

/// Whether the same may work in a moment: the server is away, starting, overloaded, or chose us as a victim.
pub fn unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Configuration(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| temporary(&code)),
        _ => false,
    }
}

/// Whether the connection was lost, so that nothing was done on it since the last answer.
pub(crate) fn connection_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| code.starts_with("57P") || code == "25P03"),
        _ => false,
    }
}

/// SQLSTATE classes and codes that pass.
fn temporary(code: &str) -> bool {
    const CLASSES: [&str; 6] = [
        "08", // connection
        "28", // login refused: a rotation under way
        "40", // serialisation, deadlock
        "53", // too many connections, out of memory or disk
        "57", // shutdown, crash, starting up, cancelled
        "58", // the server's own input and output
    ];
    const CODES: [&str; 4] = [
        "25006", // read-only: a standby
        "25P03", // idle in transaction for too long
        "3D000", // the database is not there yet
        "55P03", // lock not available
    ];
    CLASSES.contains(&code.get(..2).unwrap_or_default()) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for code in ["08006", "28P01", "40001", "53300", "57P01", "57014", "25006", "55P03"] {
            assert!(temporary(code), "{code}");
        }
        for code in ["23505", "23514", "42P01", "42601", "22001", ""] {
            assert!(!temporary(code), "{code}");
        }
        assert!(!unavailable(&sqlx::Error::RowNotFound));
        assert!(unavailable(&sqlx::Error::PoolTimedOut));
    }
}
