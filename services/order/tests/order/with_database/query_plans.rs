//! Query plans of the statements that every order goes through, on filled tables.

use sqlx::AssertSqlSafe;

use super::store::TestStore;

/// Fills the tables with 20,000 orders in every stage, as after months.
/// Without the limit of the service: the rows are made by few statements, beside other tests.
const FILL: &str = "
    set statement_timeout = 0;
    insert into orders (id, number, user_id, cart_id, cart_version, currency, total_minor, expires_at, created_at, status,
        payment_status, hold, declines, version, event_seq, updated_at, phase, saga, next_at, due_at)
    select gen_random_uuid(), 'B-' || n, gen_random_uuid(), gen_random_uuid(), n, 'EUR', 1999, now(), now(),
        case n % 10 when 0 then 'pending' else 'paid' end, case n % 10 when 0 then 'unpaid' else 'paid' end,
        1, 0, 3, 3, now(), case n % 10 when 0 then 'waiting' else 'done' end, '{}',
        case n % 10 when 0 then now() + interval '10 minutes' end, case n % 10 when 0 then now() + interval '10 minutes' end
    from generate_series(1, 20000) as n;
    insert into order_item (order_id, line, product_id, variant, name, quantity, currency, price_minor, total_minor, seller_id)
    select id, 1, gen_random_uuid(), '', 'Lamp', 1, 'EUR', 1999, 1999, gen_random_uuid() from orders where number like 'B-%';
    insert into order_event (order_id, seq, kind, data, at)
    select id, seq, 'order.placed', '{}', now() from orders, generate_series(1, 3) as seq where number like 'B-%';
    insert into shipment (id, order_id, seq, seller_id, carrier, created_at)
    select gen_random_uuid(), id, 4, gen_random_uuid(), 'Post', now() from orders where number like 'B-%';
    insert into order_item_shipped (order_id, line, ordered, shipped, delivered)
    select order_id, 1, 1, 1, 0 from shipment;
    insert into order_return (id, order_id, seq, status, reason, amount_minor, created_at, updated_at)
    select gen_random_uuid(), id, 5, 'requested', 'r', 1, now(), now() from orders where number like 'B-%';
    insert into order_return_item (return_id, order_id, line, quantity) select id, order_id, 1, 1 from order_return;
    insert into shipment_item (shipment_id, order_id, line, quantity) select id, order_id, 1, 1 from shipment;
    insert into coupon (code, basis_points, uses, active)
    select 'C-' || n, 1000, 1, true from generate_series(1, 20000) as n;
    insert into coupon_use (order_id, code, user_id, used_at)
    select id, 'C-' || cart_version, user_id, now() from orders where number like 'B-%';
    insert into coupon_guess (user_id, wrong, since)
    select gen_random_uuid(), 1, now() - n * interval '1 second' from generate_series(1, 20000) as n;
    insert into inbox (consumer, event_id)
    select 'command', overlay(uuid_from_time(now() - n * interval '1 minute')::text placing '7' from 15)::uuid
    from generate_series(1, 20000) as n;
    insert into idempotency (scope, route, key, hash, state, answer)
    select 'u', 'r', n::text, '', 'done', '{}' from generate_series(1, 20000) as n;
    refresh materialized view top_product;
    analyze";

/// The statements that every order goes through, and the types of their parameters.
const STATEMENTS: [(&str, &str); 24] = [
    (include_str!("../../../sql/find_order.sql"), "uuid, text, uuid"),
    (
        include_str!("../../../sql/change_order.sql"),
        "uuid, bigint, order_progress, saga_state, history_entry[], outbox_event[], dedup_record, text",
    ),
    (
        include_str!("../../../sql/end_order_with_coupon.sql"),
        "uuid, bigint, order_progress, saga_state, history_entry[], outbox_event[], dedup_record, text",
    ),
    (include_str!("../../../sql/claim_coupon.sql"), "text"),
    (include_str!("../../../sql/insert_coupon_use.sql"), "uuid, text, uuid, integer"),
    (include_str!("../../../sql/find_coupon.sql"), "text"),
    (include_str!("../../../sql/page_of_coupons.sql"), "text, bigint"),
    (include_str!("../../../sql/guess_pause.sql"), "uuid, integer, double precision"),
    (include_str!("../../../sql/count_wrong_code.sql"), "uuid, double precision"),
    (include_str!("../../../sql/delete_old_guesses.sql"), "double precision"),
    (include_str!("../../../sql/change_saga.sql"), "uuid, bigint, saga_state, dedup_record, text"),
    (include_str!("../../../sql/postpone_due.sql"), "bigint"),
    (include_str!("../../../sql/lease_due.sql"), "uuid, bigint, interval"),
    (include_str!("../../../sql/release_lease.sql"), "uuid, uuid"),
    (include_str!("../../../sql/page_of_user.sql"), "uuid, uuid, bigint, bigint"),
    (include_str!("../../../sql/latest_orders.sql"), "bigint"),
    (include_str!("../../../sql/page_of_histories.sql"), "uuid, bigint"),
    (include_str!("../../../sql/orders_by_id.sql"), "uuid[]"),
    (include_str!("../../../sql/shipments_of_orders.sql"), "uuid[]"),
    (include_str!("../../../sql/returns_of_orders.sql"), "uuid[]"),
    (include_str!("../../../sql/top_products.sql"), "bigint"),
    (include_str!("../../../sql/erase_orders.sql"), "uuid, bigint"),
    (include_str!("../../../sql/postpone_erasure.sql"), "uuid, interval"),
    (
        include_str!("../../../sql/create_order.sql"),
        "uuid, order_head, order_progress, order_line[], saga_state, history_entry[], outbox_event[], bigint, bigint, \
            jsonb",
    ),
];

#[tokio::test]
async fn no_statement_reads_a_filled_table_from_its_start() {
    let store = TestStore::new().await;
    let mut connection = store.db.acquire().await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan").execute(&mut *connection).await.unwrap();
    for (number, (statement, types)) in STATEMENTS.iter().enumerate() {
        let prepare = format!("prepare s{number} ({types}) as {statement}");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let nulls = vec!["null"; types.split(", ").count()].join(", ");
        let explain = format!("explain execute s{number} ({nulls})");
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        let plan = lines.join("\n");
        for table in [
            "orders",
            "order_item",
            "order_event",
            "inbox",
            "idempotency",
            "top_product",
            "shipment",
            "shipment_item",
            "order_return",
            "order_return_item",
            "coupon",
            "coupon_use",
            "coupon_guess",
        ] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{statement}\n{plan}");
        }
    }
}
