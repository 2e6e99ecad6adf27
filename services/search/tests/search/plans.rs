//! Every file in `sql/` runs, on the oldest and the newest supported PostgreSQL, and reaches the index through an index.

use std::collections::BTreeMap;

use agora_postgres::{Connection, Db};
use agora_search::MIGRATIONS;
use agora_testkit::{sql_files, whole_tables};
use serde_json::Value;
use sqlx::AssertSqlSafe;

const LARGE: [&str; 2] = ["product_entry", "term"];

/// Parameters of each statement.
const ARGUMENTS: [(&str, &str); 23] = [
    ("begin_rebuild", ""),
    ("browse_by_created", "'-infinity', gen_random_uuid(), 21, 0, null, null, null, null, false"),
    ("browse_by_created_down", "'infinity', gen_random_uuid(), 21, 0, 'c7', null, null, null, true"),
    ("browse_by_name", "'', gen_random_uuid(), 21, 0, null, 'b7', null, null, false"),
    ("browse_by_price", "0, gen_random_uuid(), 21, 0, null, null, 5, 9, false"),
    ("browse_by_price_down", "1000000, gen_random_uuid(), 21, 0, null, null, null, null, true"),
    ("carry_tombstones", "2"),
    ("check_words", "array['w77', 'zzz'], array['w77', 'zzz'], 20"),
    ("delete_hidden", "1000, 30"),
    ("delete_old_generations", ""),
    ("delete_old_products", "1000"),
    ("delete_old_terms", "1000"),
    ("find_products", "array[gen_random_uuid(), gen_random_uuid()]"),
    ("finish_rebuild", "2, gen_random_uuid()"),
    ("lease_rebuild", "gen_random_uuid(), 30"),
    ("read_progress", ""),
    ("save_progress", "2, gen_random_uuid(), 5, gen_random_uuid(), 30"),
    (
        "search",
        "'''w77'':*', '''w77''', 5000, 2000, 'c7', null, 5, null, true, 'relevance', null, null, 21, 0, \
         array[1000, 5000]::bigint[], 50",
    ),
    ("store_creations", "array[gen_random_uuid()], array[now()]"),
    ("store_products", "'{}', null"),
    ("store_stock", "array[row(gen_random_uuid(), '', gen_random_uuid(), 1, 1)::stock_change], null"),
    ("store_terms", "array['a', 'b'], array['a', 'b'], null"),
    ("suggest", "'''w77'':*', '''w77''', 500, 5"),
];

/// Without the limit of the service: the rows are made by few statements, beside other tests.
const FILL: &str = "
    set statement_timeout = 0;
    insert into product_entry (
        generation, product_id, version, visible, name, name_key, description, price_amount, price_currency, category,
        brand, seller_id, created_at, updated_at, stock, headline, search
    )
    select
        1, gen_random_uuid(), 1, n % 100 > 0, 'p' || n, 'p' || n, 'text', n, 'EUR', 'c' || n % 200, 'b' || n % 300,
        gen_random_uuid(), now() - n * interval '1 minute', now(), n % 3, format('''w%s'':1A', n % 2000)::tsvector,
        format('''w%s'':1A ''d%s'':2C', n % 2000, n % 50)::tsvector
    from generate_series(1, 20000) as n;
    insert into term select 1, 'w' || n, 'w' || n from generate_series(1, 20000) as n;
    analyze";

async fn check_plans(connection: &mut Connection) {
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("set plan_cache_mode = auto").execute(&mut *connection).await.unwrap();
    let statements = sql_files(concat!(env!("CARGO_MANIFEST_DIR"), "/sql"));
    let arguments = BTreeMap::from(ARGUMENTS);
    assert_eq!(
        statements.keys().map(String::as_str).collect::<Vec<_>>(),
        arguments.keys().copied().collect::<Vec<_>>()
    );
    let mut wrong = Vec::new();
    for (name, sql) in &statements {
        let arguments = arguments[name.as_str()];
        let run = |verb: &str| match arguments {
            "" => format!("{verb} execute {name}"),
            _ => format!("{verb} execute {name}({arguments})"),
        };
        let prepare = format!("prepare {name} as {sql}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let row = sqlx::raw_sql(AssertSqlSafe(run("explain (format json)"))).fetch_one(&mut *connection).await.unwrap();
        let plan: Value = sqlx::Row::get(&row, 0);
        let mut tables = whole_tables(&plan);
        tables.retain(|table| LARGE.contains(&table.as_str()));
        if !tables.is_empty() {
            wrong.push(format!("{name} reads all of {tables:?}: {plan}"));
        }
        sqlx::raw_sql(AssertSqlSafe(run(""))).execute(&mut *connection).await.unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_runs_and_reaches_large_tables_through_an_index() {
    let database = agora_testkit::postgres().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    check_plans(&mut db.acquire().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_runs_on_the_oldest_supported_server_too() {
    let database = agora_testkit::postgres15().await;
    let db = Db::for_test(&database.url(), &MIGRATIONS).await;
    check_plans(&mut db.acquire().await.unwrap()).await;
}
