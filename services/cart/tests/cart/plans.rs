//! Every file in `sql/` reads its tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_cart::MIGRATIONS;
use agora_postgres::{Connection, Db};
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// Name of each file, its text, and the types of its parameters.
const STATEMENTS: [(&str, &str, &[&str]); 23] = [
    ("find_cart", include_str!("../../sql/find_cart.sql"), &["uuid"]),
    (
        "save_cart",
        include_str!("../../sql/save_cart.sql"),
        &["uuid", "bigint", "jsonb", "uuid", "outbox_event[]", "dedup_record"],
    ),
    (
        "begin_checkout",
        include_str!("../../sql/begin_checkout.sql"),
        &["uuid", "uuid", "bigint", "jsonb", "outbox_event[]"],
    ),
    ("find_checkout", include_str!("../../sql/find_checkout.sql"), &["uuid"]),
    (
        "cancel_checkout",
        include_str!("../../sql/cancel_checkout.sql"),
        &["uuid", "uuid", "bigint", "jsonb", "outbox_event[]"],
    ),
    ("complete_checkouts", include_str!("../../sql/complete_checkouts.sql"), &["uuid[]"]),
    ("store_copies", include_str!("../../sql/store_copies.sql"), &["product_copy_with_variants[]"]),
    ("find_guest_cart", include_str!("../../sql/find_guest_cart.sql"), &["bytea", "int"]),
    (
        "save_guest_cart",
        include_str!("../../sql/save_guest_cart.sql"),
        &["uuid", "bigint", "jsonb", "uuid", "dedup_record"],
    ),
    (
        "merge_guest_cart",
        include_str!("../../sql/merge_guest_cart.sql"),
        &["uuid", "bigint", "jsonb", "uuid", "bigint", "outbox_event[]", "dedup_record"],
    ),
    ("lock_deleted_products", include_str!("../../sql/lock_deleted_products.sql"), &["bigint"]),
    ("lock_carts_with_products", include_str!("../../sql/lock_carts_with_products.sql"), &["uuid", "uuid", "uuid[]"]),
    (
        "report_removed_lines",
        include_str!("../../sql/report_removed_lines.sql"),
        &["uuid[]", "bigint[]", "outbox_event[]"],
    ),
    ("find_repriced_products", include_str!("../../sql/find_repriced_products.sql"), &["bigint"]),
    ("lock_repriced_products", include_str!("../../sql/lock_repriced_products.sql"), &["uuid[]", "uuid"]),
    ("lock_carts_to_reprice", include_str!("../../sql/lock_carts_to_reprice.sql"), &["uuid", "uuid", "uuid[]"]),
    (
        "report_repriced_lines",
        include_str!("../../sql/report_repriced_lines.sql"),
        &["uuid[]", "bigint[]", "jsonb[]", "outbox_event[]"],
    ),
    ("delete_expired_guest_carts", include_str!("../../sql/delete_expired_guest_carts.sql"), &["int", "bigint"]),
    ("delete_old_checkouts", include_str!("../../sql/delete_old_checkouts.sql"), &["int", "bigint"]),
    (
        "store_erased_carts",
        include_str!("../../sql/store_erased_carts.sql"),
        &["uuid[]", "bigint[]", "bigint[]", "boolean[]"],
    ),
    ("find_erased_carts", include_str!("../../sql/find_erased_carts.sql"), &["bigint"]),
    ("end_looks", include_str!("../../sql/end_looks.sql"), &["uuid[]"]),
    ("delete_old_erased_carts", include_str!("../../sql/delete_old_erased_carts.sql"), &["int", "bigint"]),
];

/// The last ones of the list: work by time and erasures, for which an empty table may be read as a whole.
const BACKGROUND: usize = 13;

/// The settings of a server; the connections of a service may have others.
const SETTINGS: &str = "set enable_seqscan = on; set enable_hashjoin = on; set enable_mergejoin = on; set jit = on; \
    set plan_cache_mode = force_generic_plan";

/// Without the limit of the service: the rows are made by few statements, beside other tests.
const FILL: &str = "
    set statement_timeout = 0;
    insert into cart (id, version, lines)
        select gen_random_uuid(), 1, '[]' from generate_series(1, 20000);
    insert into cart_checkout (order_id, state, cart_id, cart_version, created_at, updated_at)
        select gen_random_uuid(), case when n % 2 = 0 then 'done' else 'taken' end, gen_random_uuid(), 1,
            now() - n * interval '2 minutes', now() - n * interval '2 minutes'
        from generate_series(1, 30000) as n;
    insert into guest_cart (id, token_hash, created_at, updated_at)
        select gen_random_uuid(), sha256(n::text::bytea), now() - n * interval '2 minutes', now() - n * interval '2 minutes'
        from generate_series(1, 30000) as n;
    insert into erased_cart (cart_id, epoch, seq, erased, erased_at, look_at)
        select gen_random_uuid(), 0, 1, true, now() - n * interval '2 minutes',
            case when n % 1000 = 0 then now() + n * interval '1 minute' end
        from generate_series(1, 30000) as n;
    insert into product_copy
            (product_id, version, name, price_amount, price_currency, deleted, searched_cart, repriced_cart)
        select gen_random_uuid(), 1, 'Chair', 1999, 'EUR', n % 100 = 0, case when n % 1000 = 0 then gen_random_uuid() end,
            case when n % 1000 = 1 then gen_random_uuid() end
        from generate_series(1, 20000) as n;
    analyze";

async fn plan(connection: &mut Connection, (name, sql, types): (&str, &str, &[&str])) -> Value {
    let nulls = vec!["null"; types.len()].join(", ");
    let prepare = format!("prepare {name} ({}) as {sql}", types.join(", "));
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let explain = format!("explain (format json) execute {name} ({nulls})");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("deallocate {name}"))).execute(connection).await.unwrap();
    plan
}

/// Collects the node types and, where present, the tables of a plan.
fn scans(plan: &Value, found: &mut Vec<(String, String)>) {
    match plan {
        Value::Array(all) => all.iter().for_each(|one| scans(one, found)),
        Value::Object(node) => {
            if let Some(kind) = node.get("Node Type").and_then(Value::as_str) {
                let table = node.get("Relation Name").or(node.get("Index Name")).and_then(Value::as_str);
                found.push((kind.to_owned(), table.unwrap_or_default().to_owned()));
            }
            node.values().for_each(|one| scans(one, found));
        }
        _ => {}
    }
}

async fn check(connection: &mut Connection, statements: &[(&str, &str, &[&str])]) {
    for statement in statements {
        let plan = plan(connection, *statement).await;
        let mut found = Vec::new();
        scans(&plan, &mut found);
        let whole: Vec<_> = found.iter().filter(|(kind, _)| kind == "Seq Scan").collect();
        assert!(whole.is_empty(), "{} reads a whole table: {plan:#}", statement.0);
        let by_index = |(kind, table): &(String, String)| {
            kind.contains("Index") || (kind == "ModifyTable" && table == "product_copy")
        };
        assert!(found.iter().any(by_index), "{} reads no index: {plan:#}", statement.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_reads_its_tables_through_an_index() {
    let database = agora_testkit::postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    let mut connection = db.acquire().await.unwrap();
    sqlx::raw_sql(SETTINGS).execute(&mut *connection).await.unwrap();
    // A plan that is made while the tables are empty and not analyzed may be kept while they grow.
    check(&mut connection, &STATEMENTS[..STATEMENTS.len() - BACKGROUND]).await;
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    check(&mut connection, &STATEMENTS).await;
}

/// Every file is in the list above.
#[test]
fn the_list_of_statements_is_complete() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut listed: Vec<_> = STATEMENTS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    files.sort_unstable();
    listed.sort_unstable();
    assert_eq!(files, listed);
}
