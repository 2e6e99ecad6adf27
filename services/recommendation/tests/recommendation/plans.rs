//! Every file in `sql/` reads its tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_postgres::{Connection, Db};
use agora_recommendation::MIGRATIONS;
use serde_json::Value;
use sqlx::AssertSqlSafe;

/// Name of each file, its text, and the types of its parameters.
const STATEMENTS: [(&str, &str, &[&str]); 19] = [
    ("insert_purchases", include_str!("../../sql/insert_purchases.sql"), &["purchase_row[]"]),
    ("lock_purchases", include_str!("../../sql/lock_purchases.sql"), &["uuid[]"]),
    ("update_purchases", include_str!("../../sql/update_purchases.sql"), &["purchase_row[]"]),
    ("insert_products", include_str!("../../sql/insert_products.sql"), &["uuid[]"]),
    ("lock_products", include_str!("../../sql/lock_products.sql"), &["uuid[]"]),
    ("update_products", include_str!("../../sql/update_products.sql"), &["product_row[]"]),
    ("store_stock", include_str!("../../sql/store_stock.sql"), &["stock_row[]"]),
    ("update_in_stock", include_str!("../../sql/update_in_stock.sql"), &["uuid[]"]),
    ("add_units", include_str!("../../sql/add_units.sql"), &["product_units[]"]),
    ("add_pairs", include_str!("../../sql/add_pairs.sql"), &["product_pair[]"]),
    ("delete_pairs", include_str!("../../sql/delete_pairs.sql"), &["product_pair[]"]),
    ("mark_due", include_str!("../../sql/mark_due.sql"), &["uuid[]"]),
    ("find_history", include_str!("../../sql/find_history.sql"), &["uuid", "bigint", "bigint"]),
    ("find_together", include_str!("../../sql/find_together.sql"), &["uuid[]", "uuid[]", "bigint"]),
    ("find_in_categories", include_str!("../../sql/find_in_categories.sql"), &["text[]", "uuid[]", "bigint"]),
    ("find_best_sellers", include_str!("../../sql/find_best_sellers.sql"), &["uuid[]", "bigint"]),
    ("take_due", include_str!("../../sql/take_due.sql"), &["bigint", "interval"]),
    ("page_of_results", include_str!("../../sql/page_of_results.sql"), &["uuid", "bigint"]),
    ("vote", include_str!("../../sql/vote.sql"), &["uuid", "uuid", "bool"]),
];
/// Statements on one row by its key, and on the table of one row.
const BY_KEY: [&str; 8] = [
    "mark_stale",
    "store_result",
    "settle_result",
    "lock_sold_product",
    "read_recomputation",
    "request_recomputation",
    "lead_recomputation",
    "advance_recomputation",
];

/// The settings of a server; the connections of a service may have others.
const SETTINGS: &str = "set enable_seqscan = on; set enable_hashjoin = on; set enable_mergejoin = on; set jit = on; \
    set plan_cache_mode = force_generic_plan";

/// Without the limit of the service: the rows are made by few statements, beside other tests.
const FILL: &str = "
    set statement_timeout = 0;
    insert into product (product_id, version, name, category, price_amount, price_currency, in_stock, units_sold,
            positive_votes)
        select md5(n::text)::uuid, 1, 'P', 'C' || n % 50, 1, 'EUR', n % 10 > 0, n % 1000, n % 7
        from generate_series(1, 50000) as n;
    insert into stock_level (product_id, variant, warehouse_id, epoch, version, available)
        select product_id, '', md5('w')::uuid, 0, 1, 5 from product;
    insert into purchase (order_id, user_id, epoch, seq, counted, changed_at, lines)
        select gen_random_uuid(), md5((n % 5000)::text)::uuid, 0, 2, true, now(),
            jsonb_build_array(jsonb_build_object('product', md5(n::text), 'quantity', 1, 'category', null))
        from generate_series(1, 50000) as n;
    insert into bought_together (product_id, other_id, orders)
        select md5((n % 5000)::text)::uuid, md5(n::text)::uuid, 1 from generate_series(5000, 50000) as n;
    insert into feedback (user_id, product_id, positive)
        select md5((n % 5000)::text)::uuid, md5(n::text)::uuid, true from generate_series(1, 50000) as n;
    insert into recommendation (user_id, due_at)
        select gen_random_uuid(), case when n % 1000 = 0 then now() end from generate_series(1, 50000) as n;
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

/// Whether a node of the plan reads a whole table.
fn reads_whole_table(plan: &Value) -> bool {
    match plan {
        Value::Array(all) => all.iter().any(reads_whole_table),
        Value::Object(node) => {
            node.get("Node Type").is_some_and(|kind| kind == "Seq Scan") || node.values().any(reads_whole_table)
        }
        _ => false,
    }
}

async fn check(connection: &mut Connection) {
    for statement in STATEMENTS {
        let plan = plan(connection, statement).await;
        assert!(!reads_whole_table(&plan), "{} reads a whole table: {plan:#}", statement.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_reads_its_tables_through_an_index() {
    for database in [agora_testkit::postgres().await, agora_testkit::postgres15().await] {
        let db = Db::for_test(&database.url(), &MIGRATIONS).await;
        let mut connection = db.acquire().await.unwrap();
        sqlx::raw_sql(SETTINGS).execute(&mut *connection).await.unwrap();
        sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
        check(&mut connection).await;
    }
}

/// Every file is in one of the lists above.
#[test]
fn the_list_of_statements_is_complete() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut listed: Vec<_> = STATEMENTS.iter().map(|(name, ..)| *name).chain(BY_KEY).map(str::to_owned).collect();
    files.sort_unstable();
    listed.sort_unstable();
    assert_eq!(files, listed);
}
