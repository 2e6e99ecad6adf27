//! Reads what the rules need: the history of a user and the products that can be recommended. Changes nothing.

use std::collections::BTreeMap;

use agora_vocab::{ProductId, UserId};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PgRecommendations,
    rows::{BoughtRow, ProductRow, TogetherRow},
};
use crate::{
    domain::{Bought, Candidates, History, ITEMS_MAX, Product, Together},
    ports::{Products, StoreError},
};

/// Purchases of a user that count, the latest ones.
const PURCHASES_MAX: i64 = 500;
/// Products of these purchases, those bought most.
const BOUGHT_MAX: i64 = 1_000;
/// Products of these with which others are looked for.
const TOGETHER_WITH_MAX: usize = 50;

#[async_trait]
impl Products for PgRecommendations {
    async fn history(&self, user: UserId) -> Result<History, StoreError> {
        const FIND: &str = include_str!("../../sql/find_history.sql");
        let mut connection = self.db.acquire().await?;
        let find = sqlx::query_as(FIND).bind(user.uuid()).bind(PURCHASES_MAX).bind(BOUGHT_MAX);
        let rows: Vec<BoughtRow> = find.fetch_all(&mut *connection).await?;
        Ok(History(rows.into_iter().map(Bought::from).collect()))
    }

    async fn candidates(&self, history: &History, default_category: &str) -> Result<Candidates, StoreError> {
        const TOGETHER: &str = include_str!("../../sql/find_together.sql");
        const IN_CATEGORIES: &str = include_str!("../../sql/find_in_categories.sql");
        const BEST_SELLERS: &str = include_str!("../../sql/find_best_sellers.sql");
        let limit = i64::try_from(ITEMS_MAX).unwrap_or(i64::MAX);
        let bought: Vec<Uuid> = history.products().into_iter().map(ProductId::uuid).collect();
        let mut categories = history.categories();
        if !categories.iter().any(|category| category == default_category) {
            categories.push(default_category.to_owned());
        }
        let mut connection = self.db.acquire().await?;
        let together: Vec<TogetherRow> = if bought.is_empty() {
            Vec::new()
        } else {
            let most = &bought[..bought.len().min(TOGETHER_WITH_MAX)];
            let find = sqlx::query_as(TOGETHER).bind(most).bind(&bought).bind(limit);
            find.fetch_all(&mut *connection).await?
        };
        let find = sqlx::query_as(IN_CATEGORIES).bind(categories).bind(&bought).bind(limit);
        let of_categories: Vec<ProductRow> = find.fetch_all(&mut *connection).await?;
        let find = sqlx::query_as(BEST_SELLERS).bind(&bought).bind(limit);
        let best_sellers: Vec<ProductRow> = find.fetch_all(&mut *connection).await?;
        Ok(Candidates {
            together: together.into_iter().map(Together::try_from).collect::<Result<_, _>>()?,
            of_categories: by_category(of_categories)?,
            best_sellers: best_sellers.into_iter().map(Product::try_from).collect::<Result<_, _>>()?,
        })
    }
}

/// Keeps the order within each category.
fn by_category(rows: Vec<ProductRow>) -> Result<BTreeMap<String, Vec<Product>>, StoreError> {
    let mut all = BTreeMap::<String, Vec<Product>>::new();
    for row in rows {
        let product = Product::try_from(row)?;
        all.entry(product.category.clone().unwrap_or_default()).or_default().push(product);
    }
    Ok(all)
}
