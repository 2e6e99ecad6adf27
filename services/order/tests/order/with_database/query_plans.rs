//! Every file in `sql/` reads large tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_order::MIGRATIONS;
use agora_testkit::QueryPlanner;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
/// Settings of administrators, whose number is limited or that of countries, and the row of each report.
const SMALL: [&str; 3] = ["shipping_method", "tax_rule", "report_refresh"];

/// Fills the tables with 20,000 orders in every stage, as after months.
const FILL: &str = "
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
    insert into customer (user_id, email, epoch, seq, blocked, erased_at, erase_at)
    select user_id, case when n % 1000 > 0 then 'user' || n || '@example.com' end, 0, 1, n % 1000 = 0, case when n % 1000 = 0 then now() end,
        case when n % 1000 = 0 then now() end
    from (select user_id, row_number() over () as n from orders where number like 'B-%') as buyer;
    refresh materialized view top_product;
    analyze";

#[tokio::test]
async fn no_statement_reads_a_filled_table_from_its_start() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres().await, &MIGRATIONS).await;
    planner.run(FILL).await;
    let found = planner.whole_reads(FOLDER, &SMALL).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_statement_is_understood_by_the_oldest_postgresql() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres15().await, &MIGRATIONS).await;
    planner.whole_reads(FOLDER, &[]).await;
}
