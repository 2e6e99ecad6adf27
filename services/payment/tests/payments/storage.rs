//! Rows, the ledger, migrations and access paths.

use agora_payment::MIGRATIONS;
use agora_testkit::QueryPlanner;
use sqlx::{Connection as _, PgConnection};

use crate::fixture::{Shop, body};

#[tokio::test]
async fn events_in_the_outbox_have_consecutive_sequence_numbers() {
    let shop = Shop::open().await;
    let order = shop.order();
    shop.post("k", body(order, "tok_error")).await.expect(503);
    shop.post("k", body(order, "tok_error")).await.expect(503);
    let mut connection = shop.db.acquire().await.unwrap();
    let rows: Vec<(i64, String)> =
        sqlx::query_as("select seq::bigint, kind from outbox order by id").fetch_all(&mut *connection).await.unwrap();
    assert_eq!(rows, [(1, "payment.failed".to_owned()), (2, "payment.failed".to_owned())]);
}

#[tokio::test]
async fn the_ledger_is_append_only_even_for_its_owner_and_rejects_other_postings() {
    let shop = Shop::open().await;
    shop.captured(shop.order()).await;
    shop.run("insert into payment_log (payment_id, log_message) select id, 'a message' from payment").await.unwrap();
    for statement in [
        "update ledger_journal set amount_minor = 1",
        "delete from ledger_journal",
        "truncate ledger_journal",
        "update payment_log set log_message = ''",
        "insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
             select kind, gen_random_uuid(), payment_id, debit, debit, seller_id, currency, 1 from ledger_journal",
        "insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
             select kind, gen_random_uuid(), payment_id, debit, credit, seller_id, currency, -1 from ledger_journal",
        "insert into ledger_journal (kind, ref, payment_id, debit, credit, seller_id, currency, amount_minor)
             select kind, ref, payment_id, debit, credit, seller_id, currency, 1 from ledger_journal",
    ] {
        assert!(shop.run(statement).await.is_err(), "{statement}");
    }
    assert_eq!(shop.number("select coalesce(sum(amount_minor), 0)::bigint from ledger_entry").await, 0);
    shop.assert_ledger_matches_payments().await;
}

/// Rows as the first release of the tables stores them.
const FIRST_ROWS: &str = include_str!("first_rows.sql");

#[tokio::test]
async fn the_migration_moves_every_row() {
    let database = agora_testkit::postgres().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    for migration in MIGRATIONS.iter() {
        if migration.version == 3 {
            sqlx::raw_sql(FIRST_ROWS).execute(&mut connection).await.unwrap();
        }
        sqlx::raw_sql(migration.sql.clone()).execute(&mut connection).await.unwrap();
    }
    let payments: Vec<(String, String, i32, i64, bool)> = sqlx::query_as(
        "select initiator, status, attempt, attempt_epoch, attempt_open from payment_record order by id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let expected = [
        ("shopper", "partially_refunded", 2, 3, false),
        ("order", "pending", 1, 0, true),
        ("shopper", "pending", 0, 0, false),
    ];
    assert_eq!(payments, expected.map(|(by, status, n, epoch, open)| (by.into(), status.into(), n, epoch, open)));
    let count = async |connection: &mut PgConnection, statement: &'static str| -> i64 {
        sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
    };
    let postings = "select count(*) from ledger_journal where payment_id = '00000000-0000-0000-0000-0000000000a1' \
        and (kind, amount_minor) in (('capture', 1000), ('refund', 300))";
    assert_eq!(count(&mut connection, postings).await, 2);
    let refunds = "select count(*) from refund_attempt where epoch = 3 and state = 'succeeded' and amount_minor = 300";
    assert_eq!(count(&mut connection, refunds).await, 1);
    let log = "select count(*) from payment_log where log_message like 'capture attempt 1 %failed'";
    assert_eq!(count(&mut connection, log).await, 1);
    assert_eq!(count(&mut connection, "select count(*) from pending_order_callback").await, 1);
}

/// 20 000 payments, of which ten are pending, with as many refunds, callbacks and operations of the provider.
const MANY_ROWS: &str = include_str!("many_rows.sql");

#[tokio::test]
async fn every_statement_reads_large_tables_through_an_index() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres().await, &MIGRATIONS).await;
    planner.run(MANY_ROWS).await;
    let found = planner.whole_reads(concat!(env!("CARGO_MANIFEST_DIR"), "/sql"), &[]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}
