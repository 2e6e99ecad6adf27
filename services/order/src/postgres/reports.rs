//! Reports in PostgreSQL: a materialised view and a projection of users.

use std::time::Duration;

use agora_postgres::Db;
use agora_vocab::{Currency, Money, ProductId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{parcels, row::OrderRow};
use crate::{
    domain::{Customer, CustomerEvent, ReportedOrder, TopProduct, TopProducts},
    ports::{Reports, StoreError},
};

/// Longest refresh. Its lease lasts longer, so that a process that dies in a refresh holds up the others for little more.
const REFRESH_TIME_MAX: Duration = Duration::from_mins(1);
const LEASE: Duration = Duration::from_secs(70);

/// Store of reports in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgReports {
    pub db: Db,
}

#[async_trait]
impl Reports for PgReports {
    async fn save_customers(&self, events: &[CustomerEvent]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = events.iter().map(|event| event.user.uuid()).collect();
        let customers = || events.iter().map(|event| event.customer.as_ref());
        let emails: Vec<Option<&str>> = customers().map(|customer| Some(customer?.email.as_str())).collect();
        let names: Vec<Option<&str>> = customers().map(|customer| customer?.name.as_deref()).collect();
        let epochs: Vec<i64> = events.iter().map(|event| event.epoch.0.into()).collect();
        let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
        let blocked: Vec<bool> = events.iter().map(|event| event.blocked).collect();
        let save = sqlx::query(include_str!("../../sql/save_customers.sql"));
        let save = save.bind(ids).bind(emails).bind(names).bind(epochs).bind(numbers).bind(blocked);
        save.execute(&mut *self.db.acquire().await?).await?;
        Ok(())
    }

    async fn top_products(&self, limit: u16) -> Result<TopProducts, StoreError> {
        const REFRESHED: &str = "select refreshed_at from report_refresh where report = 'top_product'";
        let mut connection = self.db.acquire().await?;
        // A refresh between the two statements makes the time too early and never too late.
        let refreshed_at: OffsetDateTime = sqlx::query_scalar(REFRESHED).fetch_one(&mut *connection).await?;
        let rows: Vec<TopRow> = sqlx::query_as(include_str!("../../sql/top_products.sql"))
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let items = rows.into_iter().map(TopRow::into_product).collect::<Result<_, _>>()?;
        Ok(TopProducts { items, refreshed_at })
    }

    async fn latest_orders(&self, limit: u16) -> Result<Vec<ReportedOrder>, StoreError> {
        let mut connection = self.db.acquire().await?;
        let rows: Vec<ReportedRow> = sqlx::query_as(include_str!("../../sql/latest_orders.sql"))
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let orders: Result<Vec<_>, StoreError> = rows.into_iter().map(ReportedRow::into_order).collect();
        let mut orders = orders?;
        parcels::attach(&mut connection, orders.iter_mut().map(|reported| &mut reported.order).collect()).await?;
        Ok(orders)
    }

    async fn refresh(&self, age: Duration) -> Result<bool, StoreError> {
        let lease = sqlx::query(include_str!("../../sql/lease_refresh.sql")).bind(age).bind(LEASE);
        if lease.execute(&mut *self.db.acquire().await?).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let mut transaction = self.db.begin().await?;
        transaction.limit_statements(REFRESH_TIME_MAX).await?;
        sqlx::query("refresh materialized view concurrently top_product").execute(&mut *transaction).await?;
        sqlx::query(include_str!("../../sql/finish_refresh.sql")).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

#[derive(sqlx::FromRow)]
struct TopRow {
    product_id: Uuid,
    currency: String,
    name: String,
    brand: Option<String>,
    category: Option<String>,
    supplier: Option<String>,
    units: i64,
    orders: i64,
    revenue_minor: i64,
}

impl TopRow {
    fn into_product(self) -> Result<TopProduct, StoreError> {
        let Self { product_id, currency, name, brand, category, supplier, units, orders, revenue_minor } = self;
        let currency = currency.parse::<Currency>().map_err(|error| StoreError::Broken(error.into()))?;
        let revenue = Money { amount: revenue_minor, currency };
        Ok(TopProduct { product: ProductId::new(product_id), name, brand, category, supplier, units, orders, revenue })
    }
}

#[derive(sqlx::FromRow)]
struct ReportedRow {
    #[sqlx(flatten)]
    order: OrderRow,
    customer_email: Option<String>,
    customer_name: Option<String>,
}

impl ReportedRow {
    fn into_order(self) -> Result<ReportedOrder, StoreError> {
        let Self { order, customer_email, customer_name } = self;
        let customer = customer_email.map(|email| Customer { email, name: customer_name });
        Ok(ReportedOrder { order: order.into_order()?, customer })
    }
}
