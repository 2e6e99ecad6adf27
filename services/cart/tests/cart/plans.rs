//! Every file in `sql/` reads its tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_cart::MIGRATIONS;
use agora_testkit::{QueryPlanner, sql_files, whole_tables};

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

const FILL: &str = "
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

async fn check(planner: &mut QueryPlanner, statements: &[(&str, &str, &[&str])]) {
    for (name, sql, types) in statements {
        let plan = planner.plan(sql, types).await;
        let found = whole_tables(&plan);
        assert!(found.is_empty(), "{name} reads all of {found:?}: {plan:#}");
        let text = plan.to_string();
        let by_index = ["Index Scan", "Index Only Scan"].iter().any(|node| text.contains(node));
        assert!(by_index || *name == "store_copies", "{name} reads no index: {plan:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_reads_its_tables_through_an_index() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres().await, &MIGRATIONS).await;
    // A plan that is made while the tables are empty and not analyzed may be kept while they grow.
    check(&mut planner, &STATEMENTS[..STATEMENTS.len() - BACKGROUND]).await;
    planner.run(FILL).await;
    check(&mut planner, &STATEMENTS).await;
}

/// Every file is in the list above.
#[test]
fn the_list_of_statements_is_complete() {
    let mut listed = STATEMENTS.map(|(name, ..)| name.to_owned());
    listed.sort_unstable();
    assert_eq!(sql_files(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).into_keys().collect::<Vec<_>>(), listed);
}
