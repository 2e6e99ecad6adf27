//! Every file in `sql/` reads its tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_recommendation::MIGRATIONS;
use agora_testkit::{QueryPlanner, sql_files, whole_tables};

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

const FILL: &str = "
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

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_reads_its_tables_through_an_index() {
    for database in [agora_testkit::postgres().await, agora_testkit::postgres15().await] {
        let mut planner = QueryPlanner::connect(&database, &MIGRATIONS).await;
        planner.run(FILL).await;
        for (name, sql, types) in STATEMENTS {
            let plan = planner.plan(sql, types).await;
            let found = whole_tables(&plan);
            assert!(found.is_empty(), "{name} reads all of {found:?}: {plan:#}");
        }
    }
}

/// Every file is in one of the lists above.
#[test]
fn the_list_of_statements_is_complete() {
    let mut listed: Vec<_> = STATEMENTS.iter().map(|(name, ..)| *name).chain(BY_KEY).map(str::to_owned).collect();
    listed.sort_unstable();
    assert_eq!(sql_files(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).into_keys().collect::<Vec<_>>(), listed);
}
