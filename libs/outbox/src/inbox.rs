//! The partitions of the table `inbox`, one for each week: a message's id says when it was made, and with it which partition
//! holds it.
//!
//! Contains their creation, their end, and what the refusals of the table mean. Must not read or write rows.

use std::sync::atomic::{AtomicU64, Ordering};

use agora_postgres::Db;
use sqlx::postgres::PgDatabaseError;
use time::OffsetDateTime;
use uuid::Uuid;

/// Twice the usual retention of a topic. A message that was made before is rejected: it may have been applied.
pub(crate) const KEPT_DAYS: i32 = 14;
/// Partitions are created so long before the first message that they hold.
const AHEAD_DAYS: i32 = 8;

/// The bits of a UUIDv7 below its time.
const BITS_BELOW_TIME: u32 = 80;

/// Times, in milliseconds since 1970, between which this process has seen a partition for every message. The databases of
/// several services in one process have the same weeks.
static KEPT: (AtomicU64, AtomicU64) = (AtomicU64::new(0), AtomicU64::new(0));

/// Why the table took no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The partition is to be created in a moment: this process has only just started.
    NotYet,
    /// The message is older than what is kept, its time lies in the future, or its id is no UUIDv7.
    Never,
}

/// Creates the partitions of the coming days, and notes for which messages there are partitions.
pub(crate) async fn provide_partitions(db: &Db) -> Result<(), sqlx::Error> {
    let (first, end) = create_partitions(db, None).await?;
    KEPT.0.fetch_max(milliseconds(first), Ordering::Relaxed);
    KEPT.1.fetch_max(milliseconds(end), Ordering::Relaxed);
    Ok(())
}

/// Returns the lowest id that has a partition, and the lowest one after it that has none. `now`: the database's time, unless a
/// test moves it.
async fn create_partitions(db: &Db, now: Option<OffsetDateTime>) -> Result<(Uuid, Uuid), sqlx::Error> {
    const CREATE: &str = "select inbox_create_partitions(\
        coalesce($1, now()) - make_interval(days => $2), coalesce($1, now()) + make_interval(days => $3))";
    const RANGE: &str = "select (select first_id from inbox_partition order by first_id limit 1), \
        (select end_id from inbox_partition order by end_id desc limit 1)";
    let mut connection = db.acquire().await?;
    sqlx::query(CREATE).bind(now).bind(KEPT_DAYS).bind(AHEAD_DAYS).execute(&mut *connection).await?;
    sqlx::query_as(RANGE).fetch_one(&mut *connection).await
}

/// Drops the partitions whose messages were all made longer ago than is kept. Fails, and is to be repeated, if a reader of the
/// table holds it up.
pub(crate) async fn drop_partitions(db: &Db, now: Option<OffsetDateTime>) -> Result<(), sqlx::Error> {
    const DROP: &str = "select inbox_drop_partitions(coalesce($1, now()) - make_interval(days => $2))";
    let mut connection = db.acquire().await?;
    let dropped: i32 = sqlx::query_scalar(DROP).bind(now).bind(KEPT_DAYS).fetch_one(&mut *connection).await?;
    if dropped > 0 {
        tracing::info!(dropped, "dropped partitions of the inbox that are older than {KEPT_DAYS} days");
    }
    Ok(())
}

/// Whether the table holds the row already: a concurrent duplicate committed first. A partition's constraint has a name of its
/// own.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    refused_row(error, "23505").is_some_and(|refused| refused.table().is_some_and(|table| table.starts_with("inbox")))
}

/// Why the table has no place for the row; `None` for any other error.
pub(crate) fn refusal(error: &sqlx::Error) -> Option<Refusal> {
    let refused = refused_row(error, "23514").filter(|refused| refused.constraint().is_none())?;
    let detail = refused.detail().filter(|_| refused.table() == Some("inbox")).unwrap_or_default();
    let kept = (KEPT.0.load(Ordering::Relaxed), KEPT.1.load(Ordering::Relaxed));
    (refused.table() == Some("inbox")).then(|| without_partition(quoted_id(detail), kept))
}

fn refused_row<'e>(error: &'e sqlx::Error, code: &str) -> Option<&'e PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref::<PgDatabaseError>().filter(|refused| refused.code() == code)
}

/// The id in the server's message, whatever its language.
fn quoted_id(detail: &str) -> Option<Uuid> {
    let words = detail.split(|char: char| !char.is_ascii_hexdigit() && char != '-');
    words.filter(|word| word.len() == 36).find_map(|word| word.parse().ok())
}

/// What it means that there is no partition for an id while partitions are known for the times `kept`.
fn without_partition(id: Option<Uuid>, (first, end): (u64, u64)) -> Refusal {
    match id.filter(|id| id.get_version_num() == 7).map(milliseconds) {
        Some(_) if end == 0 => Refusal::NotYet,
        Some(made) if (first..end).contains(&made) => Refusal::NotYet,
        _ => Refusal::Never,
    }
}

fn milliseconds(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> BITS_BELOW_TIME).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a24000-0000-7000-8000-000000000001";

    #[test]
    fn a_message_waits_for_its_partition_only_if_its_time_is_kept() {
        let id = |text: &str| Some(text.parse().expect("an id"));
        let made = 0x01a2_4000_0000;
        for (id, kept, refusal) in [
            (id(ID), (0, 0), Refusal::NotYet),
            (id(ID), (made, made + 1), Refusal::NotYet),
            (id(ID), (made + 1, made + 2), Refusal::Never),
            (id(ID), (made - 1, made), Refusal::Never),
            (id("01a24000-0000-4000-8000-000000000001"), (0, 0), Refusal::Never),
            (None, (0, 0), Refusal::Never),
        ] {
            assert_eq!(without_partition(id, kept), refusal, "{id:?} {kept:?}");
        }
    }

    #[cfg(feature = "db-tests")]
    #[tokio::test]
    async fn da7_partitions_of_the_inbox_are_created_ahead_and_dropped_as_a_whole_while_the_clock_moves_on() {
        let db = Db::for_test(&agora_testkit::postgres().await.url(), &crate::MIGRATIONS).await;
        let mut connection = db.acquire().await.expect("a connection");
        let mut now: OffsetDateTime =
            sqlx::query_scalar("select now()").fetch_one(&mut *connection).await.expect("a time");
        let mut made = Vec::new();
        for _ in 0..60 {
            create_partitions(&db, Some(now)).await.expect("created");
            drop_partitions(&db, Some(now)).await.expect("dropped");
            let insert =
                sqlx::query("insert into inbox (consumer, event_id) values ('c', uuid_from_time($1))").bind(now);
            insert.execute(&mut *connection).await.expect("a message of today has a place");
            made.push(now);
            now += time::Duration::hours(24);
        }
        let today = made[made.len() - 1];
        let kept: Vec<OffsetDateTime> =
            made.iter().copied().filter(|made| today - *made < time::Duration::days(i64::from(KEPT_DAYS))).collect();
        let found: i64 = sqlx::query_scalar(
            "select count(*) from inbox where event_id = any (select uuid_from_time(t) from unnest($1::timestamptz[]) as t)",
        )
        .bind(kept.clone())
        .fetch_one(&mut *connection)
        .await
        .expect("a count");
        assert_eq!(usize::try_from(found).ok(), Some(kept.len()), "every message of {KEPT_DAYS} days is remembered");
        let (partitions, rows): (i64, i64) =
            sqlx::query_as("select (select count(*) from inbox_partition), (select count(*) from inbox)")
                .fetch_one(&mut *connection)
                .await
                .expect("counts");
        assert!((4..=6).contains(&partitions), "{partitions}");
        assert!(rows < i64::from(KEPT_DAYS) + 8, "{rows} rows are left of a message a day");
    }

    #[test]
    fn the_id_is_read_from_the_servers_message_in_any_language() {
        for text in
            ["Partition key of the failing row contains (event_id) = ({}).", "… enthält (event_id) = ({})", "{}"]
        {
            assert_eq!(quoted_id(&text.replace("{}", ID)), Some(ID.parse().expect("an id")), "{text}");
        }
        assert_eq!(quoted_id(""), None);
    }
}
