//! The tables of every service as their migrations leave them: foreign keys, materialised views, partitions, documented bounds.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::collections::BTreeSet;

use sqlx::{Connection as _, PgConnection, migrate::Migrator};

const SERVICES: [(&str, &Migrator); 8] = [
    ("user", &agora_user::MIGRATIONS),
    ("catalog", &agora_catalog::MIGRATIONS),
    ("cart", &agora_cart::MIGRATIONS),
    ("order", &agora_order::MIGRATIONS),
    ("payment", &agora_payment::MIGRATIONS),
    ("notification", &agora_notification::MIGRATIONS),
    ("recommendation", &agora_recommendation::MIGRATIONS),
    ("search", &agora_search::MIGRATIONS),
];

/// A connection to the database of each service.
async fn databases() -> Vec<(&'static str, PgConnection)> {
    let rows = agora_topology::ALL.iter().filter(|row| row.database).map(|row| row.name);
    assert_eq!(SERVICES.map(|(name, _)| name).to_vec(), rows.collect::<Vec<_>>(), "every service with a database");
    let mut databases = Vec::new();
    for (service, migrations) in SERVICES {
        let database = agora_testkit::migrated_postgres(migrations).await;
        databases.push((service, PgConnection::connect(&database.url()).await.unwrap()));
    }
    databases
}

/// Foreign keys, and whether an index that covers all rows, or all whose key is not null, begins with their columns, in any
/// order of these.
const FOREIGN_KEYS: &str = "
    select
        format('%s.%s', c.conrelid::regclass, c.conname) as name,
        c.confdeltype = 'a' as without_action,
        exists (
            select from pg_index as i
            where
                i.indrelid = c.conrelid
                and i.indisvalid
                and (
                    i.indpred is null
                    or pg_get_expr(i.indpred, i.indrelid) = (
                        select format('(%I IS NOT NULL)', a.attname)
                        from pg_attribute as a
                        where a.attrelid = c.conrelid and a.attnum = c.conkey[1]
                    )
                )
                and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
        ) as indexed
    from pg_constraint as c
    where c.contype = 'f'
    order by 1";

#[tokio::test]
async fn da4_every_foreign_key_has_an_index_and_an_explicit_referential_action() {
    let (mut found, mut faults) = (0, Vec::new());
    for (service, mut database) in databases().await {
        let keys: Vec<(String, bool, bool)> = sqlx::query_as(FOREIGN_KEYS).fetch_all(&mut database).await.unwrap();
        found += keys.len();
        for (name, without_action, indexed) in keys {
            if without_action {
                faults.push(format!("{service}: {name} has no `on delete`"));
            }
            if !indexed {
                faults.push(format!("{service}: no index begins with the columns of {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(found >= 8, "{found} foreign keys were found");
}

#[tokio::test]
async fn da4_a_foreign_key_without_index_or_action_is_found() {
    let mut database = PgConnection::connect(&agora_testkit::postgres().await.url()).await.unwrap();
    let tables = "
        create table whole (a int, b int, primary key (a, b));
        create table part (
            a int, b int, c int,
            constraint indexed foreign key (a, b) references whole on delete cascade,
            constraint bare foreign key (c, b) references whole
        );
        create index on part (b, a, c);
        create index on part (c, b) where c > 0";
    sqlx::raw_sql(tables).execute(&mut database).await.unwrap();
    let keys: Vec<(String, bool, bool)> = sqlx::query_as(FOREIGN_KEYS).fetch_all(&mut database).await.unwrap();
    assert_eq!(keys, [("part.bare".to_owned(), true, false), ("part.indexed".to_owned(), false, true)]);
}

#[tokio::test]
async fn da5_every_materialised_view_is_refreshed_while_it_is_read() {
    let mut found = Vec::new();
    for (service, mut database) in databases().await {
        let views: Vec<String> = sqlx::query_scalar("select format('%I', matviewname) from pg_matviews order by 1")
            .fetch_all(&mut database)
            .await
            .unwrap();
        for view in views {
            // Refused for a view without a unique index over all of its rows.
            let refresh = format!("refresh materialized view concurrently {view}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(refresh)).execute(&mut database).await.unwrap();
            found.push(format!("{service}.{view}"));
        }
    }
    assert_eq!(found, ["order.top_product"]);
}

#[tokio::test]
async fn da7_every_service_keeps_what_it_has_seen_of_events_in_partitions_by_time() {
    for (service, mut database) in databases().await {
        let partitioned: Vec<(String, i64)> = sqlx::query_as(
            "select t.relname::text, (select count(*) from pg_inherits as i where i.inhparent = t.oid)
             from pg_partitioned_table as p join pg_class as t on t.oid = p.partrelid
             where p.partstrat = 'r'
             order by 1",
        )
        .fetch_all(&mut database)
        .await
        .unwrap();
        assert!(partitioned.iter().any(|(table, parts)| table == "inbox" && *parts > 0), "{service}: {partitioned:?}");
    }
}

/// Columns whose names say that they identify a person.
const PERSONAL_COLUMNS: &str = "
    select format('%s.%s', c.table_name, c.column_name)
    from information_schema.columns as c
    join information_schema.tables as t using (table_schema, table_name)
    where
        t.table_type = 'BASE TABLE'
        and c.table_schema = 'public'
        and c.column_name ~ (
            '^(new_|previous_|shipping_|billing_)?'
            '(email|phone|firstname|lastname|username|recipient|street|city|postal_code|address|ip|user_agent)$'
        )";

/// Who adds such a column adds to the consumer of `user.erased`, to the tests of erasures and to docs/DATA.md what empties
/// it.
#[tokio::test]
async fn what_identifies_a_person_is_only_where_an_erasure_removes_it() {
    let mut found = Vec::new();
    for (service, mut database) in databases().await {
        let columns: Vec<String> = sqlx::query_scalar(PERSONAL_COLUMNS).fetch_all(&mut database).await.unwrap();
        found.extend(columns.into_iter().map(|column| format!("{service}: {column}")));
    }
    found.sort_unstable();
    let erased = [
        "notification: recipient.email",
        "order: customer.email",
        "order: orders.shipping_address",
        "user: addresses.city",
        "user: addresses.postal_code",
        "user: addresses.recipient",
        "user: addresses.street",
        "user: auth_session.ip",
        "user: auth_session.user_agent",
        "user: email_change.new_email",
        "user: password_reset.email",
        "user: users.email",
        "user: users.firstname",
        "user: users.lastname",
        "user: users.phone",
        "user: users.username",
    ];
    assert_eq!(found, erased);
}

/// Tables without partitions, and materialised views. Those of the schema `public` without its name.
const TABLES: &str = "
    select case n.nspname when 'public' then c.relname::text else format('%s.%s', n.nspname, c.relname) end
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    where
        c.relkind in ('r', 'p', 'm')
        and not c.relispartition
        and n.nspname !~ '^(pg_|information_schema$)'";

/// The tables of all services whose bounds docs/ARCHITECTURE.md has in its table: of the service that its row begins with, or
/// of each.
fn documented_tables() -> BTreeSet<String> {
    const PAGE: &str = include_str!("../../../docs/ARCHITECTURE.md");
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| table | kept |"));
    let mut documented = BTreeSet::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cell = row.split('|').nth(1).unwrap_or_default();
        let owner = cell.split_once(": ").map(|(service, _)| service.trim());
        for table in cell.split('`').skip(1).step_by(2) {
            for (service, _) in SERVICES.iter().filter(|(service, _)| owner.is_none_or(|owner| owner == *service)) {
                assert!(documented.insert(format!("{service}: {table}")), "{service}: {table} is there twice");
            }
        }
    }
    documented
}

/// Who adds a table decides how long its rows are kept, and writes it there.
#[tokio::test]
async fn every_table_has_a_documented_bound() {
    let mut existing = BTreeSet::new();
    for (service, mut database) in databases().await {
        let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut database).await.unwrap();
        existing.extend(tables.into_iter().map(|table| format!("{service}: {table}")));
    }
    let documented = documented_tables();
    let missing: Vec<_> = existing.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md does not say how long their rows are kept: {missing:?}");
    let gone: Vec<_> = documented.difference(&existing).collect();
    assert!(gone.is_empty(), "docs/ARCHITECTURE.md has tables that do not exist: {gone:?}");
}
