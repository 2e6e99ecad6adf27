//! What can go wrong, and what a database's refusal means.
//!
//! Knows SQLSTATE codes; must not know what a constraint stands for.

use sqlx::migrate::MigrateError;

/// The SQLSTATE of a write on a session that is read-only.
const READ_ONLY: &str = "25006";

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

/// Whether the session refuses writes: of a standby, or of a database that is or was read-only when the session began.
pub(crate) fn refuses_writes(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code == READ_ONLY)
}

/// What an error says about the session that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    /// The server was not asked, or its answer could not be read as what the caller wanted: the session goes on.
    NotAsked,
    /// The server refused the statement; the session goes on, an open transaction does not.
    Usable,
    /// The session is gone, or would refuse what another one does.
    Unusable,
}

/// Classifies an error of a statement or transaction command.
pub(crate) fn server_state(error: &sqlx::Error) -> ServerState {
    match error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            let unusable = session_is_useless(&code);
            if unusable { ServerState::Unusable } else { ServerState::Usable }
        }
        sqlx::Error::RowNotFound
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_) => ServerState::NotAsked,
        _ => ServerState::Unusable,
    }
}

/// SQLSTATE codes after which another session may do what this one refuses.
fn session_is_useless(code: &str) -> bool {
    const CLASSES: [&str; 2] = [
        "08",  // connection
        "57P", // shutdown, crash, dropped database
    ];
    const CODES: [&str; 5] = [
        READ_ONLY, "25P03", // idle in transaction for too long
        "0A000", // a cached plan whose result type a migration changed
        "26000", // a prepared statement that another session holds
        "42P05", // a prepared statement of another client
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

fn sqlstate(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error()?.code()
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
        READ_ONLY, "25P03", // idle in transaction for too long
        "3D000", // the database is not there yet
        "55P03", // lock not available
    ];
    CLASSES.contains(&code.get(..2).unwrap_or_default()) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_gone_or_refuses_writes_is_useless_and_one_that_refused_a_row_is_not() {
        for code in ["25006", "57P01", "57P03", "08006", "25P03", "0A000", "26000"] {
            assert!(session_is_useless(code), "{code}");
        }
        for code in ["23505", "40001", "57014", "53300", "22021", ""] {
            assert!(!session_is_useless(code), "{code}");
        }
        assert_eq!(server_state(&sqlx::Error::RowNotFound), ServerState::NotAsked);
        assert_eq!(server_state(&sqlx::Error::PoolTimedOut), ServerState::Unusable);
    }

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
