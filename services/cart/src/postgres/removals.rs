//! Events of lines that left users' carts because their product was deleted: a search of all carts, page by page, in the order
//! of their ids. The last id is stored with the events, so that each cart is reported once.
//!
//! The lines stay in the row, from which [`crate::domain::Cart`] lists them as removed until the shopper's next change.

use agora_events::cart_line::{CartLineEvent, RemovedProduct};
use agora_outbox::{NewEvent, NewEvents, write_once};
use agora_vocab::{CartId, ProductId, UserId};
use uuid::Uuid;

use super::{
    PgCarts,
    pages::{PRODUCTS_PER_SEARCH, last_of_page},
};
use crate::{domain::RemovalReason, ports::StoreError};

#[derive(sqlx::FromRow)]
struct DeletedProduct {
    product_id: Uuid,
    name: String,
    searched_cart: Uuid,
}

#[derive(sqlx::FromRow)]
struct CartWithProducts {
    cart_id: Uuid,
    version: i64,
    products: Vec<Uuid>,
}

impl PgCarts {
    /// Reports the lines of one page of carts. Returns whether a page was searched.
    pub(super) async fn report_page(&self) -> Result<bool, StoreError> {
        const LOCK_PRODUCTS: &str = include_str!("../../sql/lock_deleted_products.sql");
        const LOCK_CARTS: &str = include_str!("../../sql/lock_carts_with_products.sql");
        const STEP: &str = "update product_copy set searched_cart = $2 where product_id = any($1)";
        let mut tx = self.db.begin().await?;
        let products: Vec<DeletedProduct> =
            sqlx::query_as(LOCK_PRODUCTS).bind(PRODUCTS_PER_SEARCH).fetch_all(&mut *tx).await?;
        let Some(after) = products.first().map(|product| product.searched_cart) else { return Ok(false) };
        let ids: Vec<Uuid> = products.iter().map(|product| product.product_id).collect();
        let last = last_of_page(&mut tx, after).await?;
        let carts: Vec<CartWithProducts> = sqlx::query_as(LOCK_CARTS)
            .bind(after)
            .bind(last.unwrap_or(Uuid::max()))
            .bind(&ids)
            .fetch_all(&mut *tx)
            .await?;
        if !carts.is_empty() {
            self.append_removals(&mut tx, &carts, &products).await?;
        }
        sqlx::query(STEP).bind(&ids).bind(last).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Appends an event per cart and product, and raises the version of each cart by the number of its events.
    async fn append_removals(
        &self,
        connection: &mut agora_postgres::Connection,
        carts: &[CartWithProducts],
        deleted: &[DeletedProduct],
    ) -> Result<(), StoreError> {
        const REPORT: &str = include_str!("../../sql/report_removed_lines.sql");
        let (mut events, mut ids, mut versions) = (NewEvents::new(), Vec::new(), Vec::new());
        for CartWithProducts { cart_id, version, products } in carts {
            let mut version = *version;
            for product in products {
                version += 1;
                let name = deleted.iter().find(|deleted| deleted.product_id == *product);
                let removed = RemovedProduct {
                    cart_id: CartId::new(*cart_id),
                    user_id: UserId::new(*cart_id),
                    version,
                    product_id: ProductId::new(*product),
                    name: name.map(|deleted| deleted.name.clone()).unwrap_or_default(),
                    reason: RemovalReason::Deleted.as_str().to_owned(),
                };
                let event = CartLineEvent::Removed(removed);
                let (aggregate, seq) = (*cart_id, version);
                let event = NewEvent { event: &event, aggregate, seq, correlation: None, causation: None };
                events.push(&*self.ids, self.epoch, event)?;
            }
            ids.push(*cart_id);
            versions.push(version);
        }
        let report = sqlx::query(REPORT).bind(ids).bind(versions).bind(events.rows());
        write_once(connection, report, &events, &[]).await?;
        Ok(())
    }
}
