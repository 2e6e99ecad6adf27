//! Plans of the statements in `sql/` on filled tables: each reaches the large tables through an index.

use std::fmt::Write as _;

use agora_catalog::MIGRATIONS;
use agora_testkit::{QueryPlanner, sql_files, whole_tables};
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::fixture::Database;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");

/// Tables that grow with the shop. A plan may read `warehouse` and small results sequentially.
const LARGE: [&str; 7] = ["product", "stock", "hold", "stock_movement", "outbox", "term", "variant"];

/// Statements that read every product by design.
const READS_ALL: [&str; 1] = ["count_products"];

/// Whether a statement is planned for its pattern: see [`a_search_reads_the_products_that_match_and_no_others`].
fn is_search(name: &str) -> bool {
    ["search_products", "count_found"].contains(&name)
}

/// Without the limit of the service: the rows are made by few statements, beside other tests.
const FILL: &str = "
    set statement_timeout = 0;
    insert into term (id, taxonomy, name) select gen_random_uuid(), 'brand', 'b' || n from generate_series(1, 10000) as n;
    insert into product (id, seller_id, version, name, name_key, description, price_amount, price_currency, category,
        brand)
    select
        gen_random_uuid(), gen_random_uuid(), 1, 'p' || n, 'p' || n, 'text ' || n, n, 'EUR', 'c' || n % 200, 'b' || n % 5000
    from generate_series(1, 20000) as n;
    insert into stock (product_id, variant, warehouse_id, on_hand, version)
    select id, '', '00000000-0000-0000-0000-000000000001', 100, 1 from product;
    insert into variant (id, product_id, name) select gen_random_uuid(), id, 'red' from product;
    insert into hold (order_id, hold, state, expires_at, reserved_by, lines, ended_at)
    select
        gen_random_uuid(), 1, (array['held', 'committed', 'released'])[n % 3 + 1], now() + n * interval '1 s',
        gen_random_uuid(),
        array[row(s.product_id, s.variant, s.warehouse_id, 1)::hold_line],
        case when n % 3 = 2 then now() end
    from (select row_number() over () as n, s.* from stock as s) as s;
    insert into stock_movement (product_id, variant, warehouse_id, kind, quantity)
    select product_id, variant, warehouse_id, 'receipt', on_hand from stock;
    analyze;
";

/// Large tables that the plan reads sequentially.
fn read_sequentially(plan: &Value) -> Vec<String> {
    whole_tables(plan).into_iter().filter(|table| LARGE.contains(&table.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_reaches_large_tables_through_an_index() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres().await, &MIGRATIONS).await;
    planner.run(FILL).await;
    let statements = sql_files(FOLDER);
    assert!(statements.len() > 20, "{:?}", statements.keys());
    let mut wrong = String::new();
    for (name, sql) in statements.iter().filter(|(name, _)| !is_search(name)) {
        let plan = planner.plan(sql, &[]).await;
        let tables = read_sequentially(&plan);
        if tables.is_empty() == READS_ALL.contains(&name.as_str()) {
            writeln!(wrong, "{name}: sequential scans of {tables:?}: {plan}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_reads_the_products_that_match_and_no_others() {
    let database = Database::create().await;
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("set plan_cache_mode = auto").execute(&mut *connection).await.unwrap();
    let mut statements = sql_files(FOLDER);
    let mut plans = Vec::new();
    let mut plan = async |name: &str, sql: &str, arguments: Vec<String>| {
        sqlx::raw_sql(AssertSqlSafe(format!("prepare {name} as {sql}"))).execute(&mut *connection).await.unwrap();
        for arguments in arguments {
            let explain = format!("explain (format json) execute {name}({arguments})");
            let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
            let plan: Value = sqlx::Row::get(&row, 0);
            plans.push((arguments, plan));
        }
    };
    let found = statements.remove("count_found").unwrap();
    plan("count_found", &found, vec!["'%text 77%', null".to_owned()]).await;
    let arguments = |sort: &&str| format!("'%text 77%', null, '{sort}', 'p', 0, now(), gen_random_uuid(), 21, 0, true");
    let arguments = ["name", "price", "-price", "createdAt", "-createdAt"].iter().map(arguments).collect();
    plan("search_products", &statements.remove("search_products").unwrap(), arguments).await;
    assert_eq!(plans.len(), 6);
    for (arguments, plan) in plans {
        let tables = read_sequentially(&plan);
        assert!(tables.is_empty() && plan.to_string().contains("product_search"), "{arguments}: {plan}");
    }
}
