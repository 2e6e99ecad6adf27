//! Plans of the statements in `sql/` on filled tables: each reaches the large tables through an index.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::fixture::Database;

/// Tables that grow with the shop. A plan may read `warehouse` and small results sequentially.
const LARGE: [&str; 7] = ["product", "stock", "hold", "stock_movement", "outbox", "term", "variant"];

/// Statements that read every product by design.
const READS_ALL: [&str; 1] = ["count_products.sql"];

/// Whether a statement is planned for its pattern: see [`a_search_reads_the_products_that_match_and_no_others`].
fn is_search(file: &str) -> bool {
    ["search_products.sql", "count_found.sql"].contains(&file)
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
    set plan_cache_mode = force_generic_plan;
";

/// The statements of the service by file name.
fn statements() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

/// The number of parameters: the highest `$n`.
fn parameters(sql: &str) -> usize {
    (1..=20).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0)
}

/// Large tables that the plan reads sequentially.
fn read_sequentially(plan: &Value, found: &mut Vec<String>) {
    match plan {
        Value::Object(node) => {
            let table = node.get("Relation Name").and_then(Value::as_str).unwrap_or_default();
            if node.get("Node Type").and_then(Value::as_str) == Some("Seq Scan") && LARGE.contains(&table) {
                found.push(table.to_owned());
            }
            for value in node.values() {
                read_sequentially(value, found);
            }
        }
        Value::Array(values) => {
            for value in values {
                read_sequentially(value, found);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_reaches_large_tables_through_an_index() {
    let database = Database::create().await;
    let mut connection = database.db.acquire().await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    let statements = statements();
    assert!(statements.len() > 20, "{:?}", statements.keys());
    let mut wrong = String::new();
    for (number, (file, sql)) in statements.iter().filter(|(file, _)| !is_search(file)).enumerate() {
        let prepare = format!("prepare checked_{number} as {sql}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let arguments = vec!["null"; parameters(sql)].join(", ");
        let arguments = if arguments.is_empty() { arguments } else { format!("({arguments})") };
        let explain = format!("explain (format json) execute checked_{number}{arguments}");
        let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
        let plan: Value = sqlx::Row::get(&row, 0);
        let mut tables = Vec::new();
        read_sequentially(&plan, &mut tables);
        if tables.is_empty() == READS_ALL.contains(&file.as_str()) {
            writeln!(wrong, "{file}: sequential scans of {tables:?}: {plan}").unwrap();
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
    let mut statements = statements();
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
    let found = statements.remove("count_found.sql").unwrap();
    plan("count_found", &found, vec!["'%text 77%', null".to_owned()]).await;
    let arguments = |sort: &&str| format!("'%text 77%', null, '{sort}', 'p', 0, now(), gen_random_uuid(), 21, 0, true");
    let arguments = ["name", "price", "-price", "createdAt", "-createdAt"].iter().map(arguments).collect();
    plan("search_products", &statements.remove("search_products.sql").unwrap(), arguments).await;
    assert_eq!(plans.len(), 6);
    for (arguments, plan) in plans {
        let mut tables = Vec::new();
        read_sequentially(&plan, &mut tables);
        assert!(tables.is_empty() && plan.to_string().contains("product_search"), "{arguments}: {plan}");
    }
}
