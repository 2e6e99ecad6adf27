//! The index in PostgreSQL. Each change is one statement, guarded by versions; searches have connections of their own.
//! Independent of HTTP and Kafka.
//!
//! No deadlock is possible: statements that write products lock rows in the order of the primary key.

mod rebuilds;
mod rows;
mod searches;
mod writes;

use agora_postgres::{Db, ReadDb};

/// The index in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgIndex {
    db: Db,
    /// Connections for searches, which anybody can request; their statements are planned for their values, and they may lag
    /// behind like the index itself.
    reads: ReadDb,
}

impl PgIndex {
    /// Creates the store. `reads` serves searches, so that they do not take the connections of events.
    pub fn new(db: Db, reads: impl Into<ReadDb>) -> Self {
        Self { db, reads: reads.into() }
    }
}
