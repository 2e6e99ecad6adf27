//! Every file in `sql/` reads its tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_notification::MIGRATIONS;
use agora_testkit::{QueryPlanner, sql_files, whole_tables};

/// Name of each file, its text, and the types of its parameters.
const STATEMENTS: [(&str, &str, &[&str]); 42] = [
    ("store_recipients", include_str!("../../sql/store_recipients.sql"), &["recipient_change[]"]),
    ("erase_recipients", include_str!("../../sql/erase_recipients.sql"), &["uuid[]", "bigint[]", "bigint[]"]),
    ("delete_mails_of_users", include_str!("../../sql/delete_mails_of_users.sql"), &["uuid[]"]),
    ("delete_notifications_of_users", include_str!("../../sql/delete_notifications_of_users.sql"), &["uuid[]"]),
    (
        "store_notifications",
        include_str!("../../sql/store_notifications.sql"),
        &["new_notification[]", "boolean", "float8", "text[]"],
    ),
    ("lease_mails", include_str!("../../sql/lease_mails.sql"), &["text", "bigint", "float8"]),
    ("end_mail", include_str!("../../sql/end_mail.sql"), &["uuid", "int", "text"]),
    ("give_up_mail", include_str!("../../sql/give_up_mail.sql"), &["uuid", "int", "text", "outbox_event[]"]),
    (
        "postpone_mail",
        include_str!("../../sql/postpone_mail.sql"),
        &["uuid", "int", "float8", "boolean", "boolean", "text"],
    ),
    ("take_token", include_str!("../../sql/take_token.sql"), &["uuid", "float8", "float8"]),
    ("start_campaign", include_str!("../../sql/start_campaign.sql"), &["uuid", "text", "timestamptz", "float8"]),
    ("end_campaign", include_str!("../../sql/end_campaign.sql"), &["uuid"]),
    ("lock_campaign", include_str!("../../sql/lock_campaign.sql"), &[]),
    ("next_recipients", include_str!("../../sql/next_recipients.sql"), &["uuid", "bigint"]),
    (
        "page_of_user",
        include_str!("../../sql/page_of_user.sql"),
        &["uuid", "timestamptz", "uuid", "bigint", "bigint", "text", "text", "boolean", "text"],
    ),
    ("count_of_user", include_str!("../../sql/count_of_user.sql"), &["uuid", "text", "text", "boolean", "text"]),
    (
        "page_of_all",
        include_str!("../../sql/page_of_all.sql"),
        &["timestamptz", "uuid", "bigint", "bigint", "text", "text", "boolean"],
    ),
    (
        "search_all",
        include_str!("../../sql/search_all.sql"),
        &["text", "timestamptz", "uuid", "bigint", "bigint", "text", "text", "boolean"],
    ),
    ("mark_read", include_str!("../../sql/mark_read.sql"), &["uuid", "uuid"]),
    ("mark_many", include_str!("../../sql/mark_many.sql"), &["uuid", "text", "uuid[]"]),
    ("mark_opened", include_str!("../../sql/mark_opened.sql"), &["uuid"]),
    (
        "store_dead_letter",
        include_str!("../../sql/store_dead_letter.sql"),
        &["uuid", "text", "text", "int", "bigint", "text", "bytea", "text", "timestamptz"],
    ),
    ("page_of_dead_letters", include_str!("../../sql/page_of_dead_letters.sql"), &["timestamptz", "uuid", "bigint"]),
    (
        "page_of_dead_letters_in_state",
        include_str!("../../sql/page_of_dead_letters_in_state.sql"),
        &["timestamptz", "uuid", "bigint", "text"],
    ),
    ("find_dead_letter", include_str!("../../sql/find_dead_letter.sql"), &["uuid"]),
    ("decide_dead_letter", include_str!("../../sql/decide_dead_letter.sql"), &["uuid", "text", "uuid", "text"]),
    ("delete_old_notifications", include_str!("../../sql/delete_old_notifications.sql"), &["int", "bigint"]),
    ("delete_old_dead_letters", include_str!("../../sql/delete_old_dead_letters.sql"), &["int", "bigint"]),
    ("delete_old_campaigns", include_str!("../../sql/delete_old_campaigns.sql"), &["int", "bigint"]),
    ("delete_old_buckets", include_str!("../../sql/delete_old_buckets.sql"), &["int", "bigint"]),
    (
        "store_webhook_events",
        include_str!("../../sql/store_webhook_events.sql"),
        &["new_webhook_event[]", "int", "float8", "text[]"],
    ),
    (
        "lease_webhook_deliveries",
        include_str!("../../sql/lease_webhook_deliveries.sql"),
        &["bigint", "bigint", "float8"],
    ),
    (
        "end_webhook_attempt",
        include_str!("../../sql/end_webhook_attempt.sql"),
        &["uuid", "uuid", "int", "text", "float8", "int", "text", "text", "boolean", "int"],
    ),
    (
        "page_of_webhook_deliveries",
        include_str!("../../sql/page_of_webhook_deliveries.sql"),
        &["uuid", "timestamptz", "uuid", "bigint"],
    ),
    (
        "page_of_webhook_deliveries_in_state",
        include_str!("../../sql/page_of_webhook_deliveries_in_state.sql"),
        &["uuid", "timestamptz", "uuid", "bigint", "text"],
    ),
    ("find_webhook_delivery", include_str!("../../sql/find_webhook_delivery.sql"), &["uuid", "uuid"]),
    ("redeliver_webhook", include_str!("../../sql/redeliver_webhook.sql"), &["uuid", "uuid"]),
    (
        "redrive_webhook",
        include_str!("../../sql/redrive_webhook.sql"),
        &["uuid", "timestamptz", "timestamptz", "bigint"],
    ),
    (
        "change_webhook",
        include_str!("../../sql/change_webhook.sql"),
        &["uuid", "text", "text", "boolean", "text[]", "boolean"],
    ),
    ("delete_old_webhook_events", include_str!("../../sql/delete_old_webhook_events.sql"), &["int", "bigint"]),
    (
        "delete_webhook_deliveries_of_deleted",
        include_str!("../../sql/delete_webhook_deliveries_of_deleted.sql"),
        &["bigint"],
    ),
    ("delete_deleted_webhooks", include_str!("../../sql/delete_deleted_webhooks.sql"), &["bigint"]),
];

const FILL: &str = "
    insert into recipient (user_id, email, email_epoch, email_seq, promotions)
        select gen_random_uuid(), 'user' || n || '@example.com', 0, 1, n % 3 = 0 from generate_series(1, 20000) as n;
    insert into notification (id, source_id, user_id, kind, priority, subject, summary, content, mail, tracking_id, created_at)
        select gen_random_uuid(), gen_random_uuid(), user_id, 'EMAIL', 'standard', 'subject ' || row_number() over (),
            'word' || row_number() over () || ' and more', '{}', 'sent', gen_random_uuid(), now() - random() * interval '80 days'
        from recipient;
    insert into mail_queue (notification_id, priority, due_at)
        select id, case when random() < 0.5 then 'critical' else 'standard' end, now() + random() * interval '1 hour'
        from notification;
    insert into mail_bucket (bucket_id, tokens, updated_at)
        select gen_random_uuid(), 1, now() - random() * interval '1 day' from generate_series(1, 20000);
    insert into campaign (promotion_id, due_at, created_at)
        select gen_random_uuid(), case when n % 1000 = 0 then now() end, now() - random() * interval '80 days'
        from generate_series(1, 20000) as n;
    insert into dead_letter_entry (id, kind, consumer, reason, state, created_at)
        select gen_random_uuid(), 'message', 'cart', 'r', case when n % 100 = 0 then 'open' else 'discarded' end,
            now() - random() * interval '80 days'
        from generate_series(1, 20000) as n;
    insert into webhook_endpoint (id, url, description, event_types, active, deleted_at)
        select gen_random_uuid(), 'https://example.com/' || n, '', case when n % 2 = 0 then '{order.paid}'::text[] end,
            n % 400 = 0, case when n % 1000 = 1 then now() - interval '2 days' end
        from generate_series(1, 20000) as n;
    insert into webhook_secret (id, endpoint_id, sealed)
        select gen_random_uuid(), id, 'sealed'::bytea from webhook_endpoint;
    insert into webhook_event (id, kind, body, occurred_at, created_at)
        select gen_random_uuid(), 'order.paid', '{}', now(), now() - random() * interval '29 days'
        from generate_series(1, 20000) as n;
    insert into webhook_delivery (endpoint_id, event_id, kind, state, attempts, due_at, leased_until, created_at)
        select e.id, v.id, v.kind, case when v.n % 20 = 0 then 'waiting' when v.n % 20 = 1 then 'failed' else 'delivered' end, 1,
            case when v.n % 20 = 0 then now() + random() * interval '1 hour' end,
            case when v.n % 400 = 0 then now() + interval '1 minute' end, v.created_at
        from (select id from webhook_endpoint where active) as e
        cross join (select id, kind, created_at, row_number() over () as n from webhook_event limit 400) as v
        -- As in a shop: the rows of one endpoint are on every page.
        order by v.n, e.id;
    analyze";

#[tokio::test(flavor = "multi_thread")]
async fn no17_every_statement_reads_its_tables_through_an_index() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres().await, &MIGRATIONS).await;
    planner.run(FILL).await;
    for (name, sql, types) in STATEMENTS {
        let plan = planner.plan(sql, types).await;
        let found = whole_tables(&plan);
        assert!(found.is_empty(), "{name} reads all of {found:?}: {plan:#}");
    }
}

/// On the oldest version that Agora supports, too.
#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_understood_by_the_oldest_postgresql() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres15().await, &MIGRATIONS).await;
    for (_, sql, types) in STATEMENTS {
        assert!(planner.plan(sql, types).await.is_array());
    }
}

/// Every file is in the list above.
#[test]
fn the_list_of_statements_is_complete() {
    let mut listed = STATEMENTS.map(|(name, ..)| name.to_owned());
    listed.sort_unstable();
    assert_eq!(sql_files(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).into_keys().collect::<Vec<_>>(), listed);
}
