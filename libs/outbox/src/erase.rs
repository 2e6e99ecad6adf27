//! Deletes what the tables of this crate hold about a person, in the transaction that erases the person.
//!
//! Contains statements on `outbox`, `outbox_set_aside` and `idempotency`. Must not commit.

use agora_events::Topic;
use agora_postgres::Tx;
use uuid::Uuid;

use crate::Error;

/// Deletes the events of an aggregate that have not left the database; its sequence numbers have a gap then. Events that a
/// relay is sending at this moment stay, and leave before any that is appended later.
pub async fn withdraw_events(tx: &mut Tx, topic: Topic, aggregate: Uuid) -> Result<(), Error> {
    // Does not wait for a relay, which may wait for the broker.
    const WAITING: &str = "delete from outbox where id = any (array( \
        select id from outbox where topic = $1 and aggregate = $2 for update skip locked))";
    const SET_ASIDE: &str = "delete from outbox_set_aside where topic = $1 and aggregate = $2";
    for withdraw in [WAITING, SET_ASIDE] {
        sqlx::query(withdraw).bind(topic.name()).bind(aggregate).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Deletes the stored results of a scope; requests in progress keep their leases. A repetition is a new request then.
pub async fn delete_results_of_scope(tx: &mut Tx, scope: &str) -> Result<(), Error> {
    const RESULTS: &str = "delete from idempotency where scope = $1 and state = 'done'";
    sqlx::query(RESULTS).bind(scope).execute(&mut **tx).await?;
    Ok(())
}

/// Deletes the stored results of a scope, and those of other scopes that are an object with this `id`. A repetition of such a
/// request is a new request then.
pub async fn delete_results(tx: &mut Tx, scope: &str, id: Uuid) -> Result<(), Error> {
    const RESULTS: &str = "delete from idempotency where scope = $1 or answer ->> 'id' = $2";
    sqlx::query(RESULTS).bind(scope).bind(id.to_string()).execute(&mut **tx).await?;
    Ok(())
}
