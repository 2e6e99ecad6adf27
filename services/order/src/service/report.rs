//! Use cases of reports about all orders.

use std::{sync::Arc, time::Duration};

use super::Error;
use crate::{
    domain::{CustomerEvent, ReportedOrder, TopProducts},
    ports::Reports,
};

/// Number of orders in the report of the latest ones.
const LATEST_ORDERS: u16 = 100;
/// Age at which the report of products that sold most is refreshed.
const REFRESH_AT_AGE: Duration = Duration::from_mins(1);

/// Reports about all orders, for admins.
#[derive(Clone)]
pub struct ReportService {
    pub reports: Arc<dyn Reports>,
}

impl ReportService {
    /// What sold most, as of the last refresh.
    pub async fn top_products(&self, limit: u16) -> Result<TopProducts, Error> {
        Ok(self.reports.top_products(limit).await?)
    }

    /// The latest 100 orders of all users, newest first.
    pub async fn latest_orders(&self) -> Result<Vec<ReportedOrder>, Error> {
        Ok(self.reports.latest_orders(LATEST_ORDERS).await?)
    }

    /// Stores users as events describe them; idempotent, in any order of events.
    pub async fn users_changed(&self, events: &[CustomerEvent]) -> Result<(), Error> {
        Ok(self.reports.save_customers(events).await?)
    }

    /// Refreshes the reports if they are a minute old. Of concurrent calls, in any process, one refreshes.
    pub async fn refresh(&self) -> Result<bool, Error> {
        Ok(self.reports.refresh(REFRESH_AT_AGE).await?)
    }
}
