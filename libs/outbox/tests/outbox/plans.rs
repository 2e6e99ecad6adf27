//! Every file in `sql/` reads large tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_outbox::MIGRATIONS;
use agora_testkit::{QueryPlanner, postgres, postgres15};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");

/// Sixteen rows, of which each is locked for the events that it stands for.
const SMALL: [&str; 1] = ["outbox_shard"];

/// As after an outage of the broker and of a consumer, in a service with three topics.
const FILL: &str = "
    insert into outbox (shard, topic, kind, version, event_id, aggregate, seq, epoch, data)
        select n % 16, (array['product-events', 'inventory-events', 'promotional-events'])[n % 3 + 1], 'k', 1,
            gen_random_uuid(), gen_random_uuid(), 1, 0, '{}'
        from generate_series(1, 20000) as n;
    insert into idempotency (scope, route, key, hash, state, answer, created_at)
        select 'u', 'r', n::text, '', 'done', '{}', now() - n * interval '10 seconds' from generate_series(1, 20000) as n;
    insert into dead_letter (consumer, topic, partition, \"offset\", payload, reason, attempts, first_at, last_at)
        select 'cart', 'order-events', 0, n, '', 'r', 5, now(), now() - n * interval '10 minutes'
        from generate_series(1, 20000) as n;
    insert into outbox_set_aside
            (id, shard, topic, kind, version, event_id, aggregate, seq, epoch, data, created_at, reason, set_aside_at)
        select n, n % 16, 'product-events', 'k', 1, gen_random_uuid(), gen_random_uuid(), 1, 0, '{}', now(), 'r',
            now() - n * interval '10 minutes'
        from generate_series(1, 20000) as n;
    analyze";

#[tokio::test]
async fn no_statement_reads_a_filled_table_of_the_outbox_from_its_start() {
    let mut planner = QueryPlanner::connect(&postgres().await, &MIGRATIONS).await;
    planner.run(FILL).await;
    let found = planner.whole_reads(FOLDER, &SMALL).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_statement_is_understood_by_the_oldest_postgresql() {
    let mut planner = QueryPlanner::connect(&postgres15().await, &MIGRATIONS).await;
    planner.whole_reads(FOLDER, &[]).await;
}
