//! Every file in `sql/` reads its tables through an index, by PostgreSQL's default planner settings and a generic plan.

use agora_testkit::QueryPlanner;
use agora_user::MIGRATIONS;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");

/// 20,000 accounts with what belongs to each. A few requests wait for their mail and a few revocations for their publication.
const FILL: &str = "
    insert into users (id, email, username, roles, password_hash)
        select gen_random_uuid(), 'user' || n || '@example.com', 'user' || n,
            case when n % 1000 = 0 then array['customer', 'admin'] else array['customer'] end, 'hash'
        from generate_series(1, 20000) as n;
    insert into addresses (id, user_id, street, city, country)
        select gen_random_uuid(), id, 'Street 1', 'Berlin', 'DE' from users;
    insert into auth_session (id, user_id, issued_at, expires_at, ended_at, end_reason)
        select gen_random_uuid(), id, now() - n * interval '1 day', now() + n * interval '1 day',
            case when n = 1 then now() end, case when n = 1 then 'logout' end
        from users, generate_series(1, 2) as n;
    insert into refresh_token (digest, session_id, expires_at)
        select sha256(id::text::bytea), id, expires_at from auth_session;
    insert into password_reset (id, email, user_id, requested_at, expires_at)
        select gen_random_uuid(), case when n % 1000 = 0 then email else '' end, case when n % 1000 > 0 then id end,
            now() - n * interval '1 minute', now() - n * interval '1 minute' + interval '1 hour'
        from (select id, email, row_number() over () as n from users) as account;
    insert into email_change (id, user_id, new_email, auth_session_id, expires_at)
        select gen_random_uuid(), id, 'new-' || email, gen_random_uuid(), now() + interval '1 hour' from users;
    insert into blocked_auth (auth_session_id, revoked_at, published_at)
        select id, now() - n * interval '1 second', case when n % 1000 > 0 then now() end
        from (select id, row_number() over () as n from auth_session where ended_at is not null) as ended;
    insert into staff_identity (issuer, subject, user_id) select 'https://id.example.com', id::text, id from users;
    insert into staff_login (state_digest, nonce, code_verifier, expires_at)
        select sha256(id::text::bytea), 'nonce', 'verifier', now() + interval '10 minutes' from users;
    analyze";

#[tokio::test]
async fn every_statement_reads_its_tables_through_an_index() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres().await, &MIGRATIONS).await;
    planner.run(FILL).await;
    let found = planner.whole_reads(FOLDER, &[]).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_statement_is_understood_by_the_oldest_postgresql() {
    let mut planner = QueryPlanner::connect(&agora_testkit::postgres15().await, &MIGRATIONS).await;
    planner.whole_reads(FOLDER, &[]).await;
}
