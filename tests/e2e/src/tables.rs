//! Reads the services' tables as evidence that the API does not show. Uses the operator's admin login, which is a
//! member of every owner role but no superuser. Changes no table.

use std::borrow::Cow;

use agora_shopper::checker::{EventSeen, LedgerEntry, StockSeen};
use agora_topology::ALL;
use agora_vocab::{PaymentId, ProductId, Secret};
use anyhow::Context;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use uuid::Uuid;

use crate::market::Market;

/// Access to the databases of a Marketplace.
#[derive(Clone)]
pub struct Tables {
    /// User name of the admin login.
    pub user: String,
    /// Password of the admin login.
    pub password: Secret,
    /// Port of the server on this machine.
    pub port: u16,
    /// The Marketplace that owns the databases.
    pub market: Market,
}

impl Tables {
    async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(&self.user)
            .password(self.password.expose())
            .database(database)
            .ssl_mode(PgSslMode::Disable)
            .connect()
            .await
            .with_context(|| format!("connecting to database {database}"))
    }

    /// Names of the existing databases of the Marketplace.
    pub async fn databases(&self) -> anyhow::Result<Vec<String>> {
        let mut connection = self.connect("postgres").await?;
        let wanted: Vec<String> = ALL.iter().map(|service| self.market.database(service.name)).collect();
        let found = sqlx::query_scalar("select datname::text from pg_database where datname = any ($1) order by 1")
            .bind(wanted)
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(found)
    }

    /// Renames a database and ends its sessions. For the operator it is lost, and returns with the earlier name.
    pub async fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let mut connection = self.connect("postgres").await?;
        let end = format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{from}' and usename is not null"
        );
        for sql in [
            format!("alter database \"{from}\" allow_connections false"),
            end,
            format!("alter database \"{from}\" rename to \"{to}\""),
            format!("alter database \"{to}\" allow_connections true"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut connection).await.with_context(|| sql)?;
        }
        connection.close().await?;
        Ok(())
    }

    /// Roles of the Marketplace, each with its LOGIN attribute.
    pub async fn roles(&self) -> anyhow::Result<Vec<(String, bool)>> {
        let mut connection = self.connect("postgres").await?;
        let prefix = self.market.database("");
        let found = sqlx::query_as("select rolname::text, rolcanlogin from pg_roles where starts_with(rolname, $1)")
            .bind(prefix)
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        Ok(found)
    }

    /// Databases and roles with the Marketplace's prefix, each with the comment that names its owner.
    pub async fn claims(&self) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let mut connection = self.connect("postgres").await?;
        let found = sqlx::query_as(
            "select datname::text, shobj_description(oid, 'pg_database') from pg_database where starts_with(datname, $1)
             union all
             select rolname::text, shobj_description(oid, 'pg_authid') || rolcanlogin::text from pg_roles
             where starts_with(rolname, $1)
             order by 1, 2",
        )
        .bind(self.market.database(""))
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(found)
    }

    /// Sessions of the Marketplace's roles, each with whether it is encrypted.
    pub async fn sessions(&self) -> anyhow::Result<Vec<(String, bool)>> {
        let mut connection = self.connect("postgres").await?;
        let found = sqlx::query_as(
            "select usename::text, coalesce(ssl, false) from pg_stat_activity left join pg_stat_ssl using (pid)
             where starts_with(usename, $1)",
        )
        .bind(self.market.database(""))
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(found)
    }

    /// Number of payments in any state, and of ledger entries.
    pub async fn payments(&self) -> anyhow::Result<(i64, i64)> {
        let mut connection = self.connect(&self.market.database("payment")).await?;
        let counts = sqlx::query_as("select (select count(*) from payment), (select count(*) from ledger_entry)")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(counts)
    }

    /// Tries to connect; returns the SQLSTATE of a rejection, or None on success.
    pub async fn login_error(&self, login: &str, password: &str, database: &str) -> anyhow::Result<Option<String>> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(login)
            .password(password)
            .database(database)
            .ssl_mode(PgSslMode::Disable);
        match options.connect().await {
            Ok(connection) => connection.close().await.map(|()| None).map_err(Into::into),
            Err(sqlx::Error::Database(refusal)) => Ok(refusal.code().map(Cow::into_owned)),
            Err(error) => Err(error).with_context(|| format!("connecting to {database} as {login}")),
        }
    }

    /// Number of orders.
    pub async fn order_count(&self) -> anyhow::Result<i64> {
        let mut connection = self.connect(&self.market.database("order")).await?;
        let count = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }

    /// All ledger entries.
    pub async fn ledger(&self) -> anyhow::Result<Vec<LedgerEntry>> {
        let mut connection = self.connect(&self.market.database("payment")).await?;
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "select dense_rank() over (order by at, kind, ref), currency, amount_minor from ledger_entry",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(rows
            .into_iter()
            .map(|(transaction, currency, amount)| LedgerEntry { transaction, currency, amount })
            .collect())
    }

    /// Ledger entries of a payment and its refunds, oldest first: kind, account and amount, debit positive.
    pub async fn ledger_of(&self, payment: PaymentId) -> anyhow::Result<Vec<(String, String, i64)>> {
        let mut connection = self.connect(&self.market.database("payment")).await?;
        let entries = sqlx::query_as(
            "select kind, account, amount_minor from ledger_entry where payment_id = $1 order by at, kind, ref, account",
        )
        .bind(payment.uuid())
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(entries)
    }

    /// URL of a service's database, with the admin login, for a program on this machine.
    pub fn url(&self, service: &str) -> anyhow::Result<Secret> {
        let address = format!("postgres://127.0.0.1:{}/{}?sslmode=disable", self.port, self.market.database(service));
        let mut url = reqwest::Url::parse(&address).context("the URL of a database")?;
        let named = url.set_username(&self.user).and_then(|()| url.set_password(Some(self.password.expose())));
        named.map_err(|()| anyhow::anyhow!("a URL without a place for the login"))?;
        Ok(Secret::new(url.to_string()))
    }

    /// Stock of every product, from stock levels, movements and reservations.
    pub async fn stock(&self) -> anyhow::Result<Vec<StockSeen>> {
        let mut connection = self.connect(&self.market.database("catalog")).await?;
        let rows: Vec<(Uuid, i64, i64, i64, i64, i64, i64)> = sqlx::query_as(
            "select place.product_id, place.on_hand, place.reserved,
                    coalesce(held.quantity, 0)::bigint,
                    coalesce(moved.received, 0)::bigint, coalesce(moved.sold, 0)::bigint, coalesce(moved.returned, 0)::bigint
             from (select product_id, sum(on_hand)::bigint as on_hand, sum(reserved)::bigint as reserved
                   from stock group by product_id) place
             left join (select line.product_id, sum(line.quantity) as quantity
                        from hold cross join lateral unnest(hold.lines) as line
                        where hold.state = 'held' group by line.product_id) held using (product_id)
             left join (select product_id,
                               sum(quantity) filter (where kind in ('receipt', 'adjust')) as received,
                               sum(-quantity) filter (where kind = 'commit') as sold,
                               sum(quantity) filter (where kind = 'return') as returned
                        from stock_movement group by product_id) moved using (product_id)",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        let seen = |(product, on_hand, reserved, held, received, sold, returned)| StockSeen {
            product: ProductId::new(product),
            received,
            on_hand,
            reserved,
            held,
            sold,
            returned,
        };
        Ok(rows.into_iter().map(seen).collect())
    }

    /// The events that each order has committed, with sequence numbers from 1 to the order's count of events.
    pub async fn order_events(&self) -> anyhow::Result<Vec<EventSeen>> {
        let mut connection = self.connect(&self.market.database("order")).await?;
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(
            "select orders.id, place from orders, lateral generate_series(1, orders.event_seq) as place order by 1, 2",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        let seen = |(order, seq): (Uuid, i64)| EventSeen {
            topic: agora_events::topics::ORDER.name().to_owned(),
            key: order.to_string(),
            seq,
            id: None,
        };
        Ok(rows.into_iter().map(seen).collect())
    }
}
