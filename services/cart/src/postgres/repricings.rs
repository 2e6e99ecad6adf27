//! Events of lines in users' carts whose unit price changed: a search of all carts, page by page, in the order of their ids.
//! The last id is stored with the events, and the price of an event in its line, so that each change is reported once.
//!
//! The domain decides which lines are reported, by a quote: a copy does not know which variants exist.

use std::collections::BTreeSet;

use agora_events::cart_line::{CartLineEvent, RepricedLine as RepricedLineEvent};
use agora_outbox::{NewEvent, NewEvents, write_once};
use agora_postgres::Connection;
use agora_vocab::{CartId, Epoch, ProductId, UserId};
use sqlx::types::Json;
use uuid::Uuid;

use super::{
    PgCarts,
    pages::{PRODUCTS_PER_SEARCH, last_of_page},
};
use crate::{
    domain::{Cart, Line, QuoteResult, RepricedLine},
    ports::{RepricedProducts, StoreError},
};

#[derive(sqlx::FromRow)]
struct FoundProduct {
    product_id: Uuid,
    repriced_cart: Uuid,
}

#[derive(sqlx::FromRow)]
struct LockedProduct {
    product_id: Uuid,
    epoch: i64,
    version: i64,
}

#[derive(sqlx::FromRow)]
struct CartToReprice {
    cart_id: Uuid,
    version: i64,
    lines: Json<Vec<Line>>,
    deleted_products: Vec<Uuid>,
}

/// Products to search for next.
pub(super) async fn find(connection: &mut Connection) -> Result<Option<RepricedProducts>, StoreError> {
    const FIND: &str = include_str!("../../sql/find_repriced_products.sql");
    let found: Vec<FoundProduct> = sqlx::query_as(FIND).bind(PRODUCTS_PER_SEARCH).fetch_all(connection).await?;
    let Some(after) = found.first().map(|product| CartId::new(product.repriced_cart)) else { return Ok(None) };
    let products = found.iter().map(|product| ProductId::new(product.product_id)).collect();
    Ok(Some(RepricedProducts { products, after }))
}

impl PgCarts {
    /// Reports the lines of one page of carts. Returns whether a page was searched.
    pub(super) async fn report_repriced_page(
        &self,
        repriced: &RepricedProducts,
        quote: &QuoteResult,
    ) -> Result<bool, StoreError> {
        const LOCK_PRODUCTS: &str = include_str!("../../sql/lock_repriced_products.sql");
        const LOCK_CARTS: &str = include_str!("../../sql/lock_carts_to_reprice.sql");
        const STEP: &str = "update product_copy set repriced_cart = $2 where product_id = any($1)";
        let (asked, after) = (repriced.products.iter().map(|id| id.uuid()), repriced.after.uuid());
        let mut tx = self.db.begin().await?;
        let locked: Vec<LockedProduct> =
            sqlx::query_as(LOCK_PRODUCTS).bind(asked.collect::<Vec<_>>()).bind(after).fetch_all(&mut *tx).await?;
        let ids: Vec<Uuid> =
            locked.iter().filter(|product| product.is_quoted(quote)).map(|product| product.product_id).collect();
        if ids.is_empty() {
            // Not when the connection is used again: until then the next search would skip the products as locked.
            tx.rollback().await?;
            return Ok(false);
        }
        let last = last_of_page(&mut tx, after).await?;
        let carts: Vec<CartToReprice> = sqlx::query_as(LOCK_CARTS)
            .bind(after)
            .bind(last.unwrap_or(Uuid::max()))
            .bind(&ids)
            .fetch_all(&mut *tx)
            .await?;
        self.append_repricings(&mut tx, carts, &of_products(quote, &ids)).await?;
        sqlx::query(STEP).bind(&ids).bind(last).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Appends an event per line, and writes each cart with its events' number of further versions.
    async fn append_repricings(
        &self,
        connection: &mut Connection,
        carts: Vec<CartToReprice>,
        quote: &QuoteResult,
    ) -> Result<(), StoreError> {
        const REPORT: &str = include_str!("../../sql/report_repriced_lines.sql");
        let (mut events, mut ids, mut versions, mut lines) = (NewEvents::new(), Vec::new(), Vec::new(), Vec::new());
        for mut cart in carts.into_iter().map(CartToReprice::into_cart) {
            let repriced = cart.reprice(quote);
            if repriced.is_empty() {
                continue;
            }
            for line in repriced {
                let event = event(cart.id, line);
                let (aggregate, seq) = (cart.id.uuid(), event.version);
                let event = CartLineEvent::Repriced(event);
                let event = NewEvent { event: &event, aggregate, seq, correlation: None, causation: None };
                events.push(&*self.ids, self.epoch, event)?;
            }
            ids.push(cart.id.uuid());
            versions.push(cart.version);
            lines.push(Json(cart.stored_lines().into_iter().cloned().collect::<Vec<_>>()));
        }
        if ids.is_empty() {
            return Ok(());
        }
        let report = sqlx::query(REPORT).bind(ids).bind(versions).bind(lines).bind(events.rows());
        write_once(connection, report, &events, &[]).await?;
        Ok(())
    }
}

impl LockedProduct {
    /// Whether the quote is not older than the copy whose price changed: an older one may have the prices from before.
    fn is_quoted(&self, quote: &QuoteResult) -> bool {
        let age = (Epoch(u32::try_from(self.epoch).unwrap_or(u32::MAX)), self.version);
        match quote.0.get(&ProductId::new(self.product_id)) {
            Some(Some(quoted)) => quoted.copy.age() >= age,
            // It does not exist any more: its lines leave the carts instead.
            Some(None) => true,
            None => false,
        }
    }
}

impl CartToReprice {
    fn into_cart(self) -> Cart {
        let Self { cart_id, version, lines: Json(lines), deleted_products } = self;
        let deleted: BTreeSet<_> = deleted_products.into_iter().map(ProductId::new).collect();
        Cart { version, ..Cart::of(UserId::new(cart_id)) }.with_stored(lines, &deleted)
    }
}

/// The part of the quote that is about these products.
fn of_products(quote: &QuoteResult, ids: &[Uuid]) -> QuoteResult {
    let part = ids.iter().filter_map(|id| quote.0.get_key_value(&ProductId::new(*id)));
    QuoteResult(part.map(|(id, quoted)| (*id, quoted.clone())).collect())
}

fn event(cart_id: CartId, repriced: RepricedLine) -> RepricedLineEvent {
    let RepricedLine { line, name, version, previous, price } = repriced;
    RepricedLineEvent {
        cart_id,
        user_id: UserId::new(cart_id.uuid()),
        version,
        product_id: line.product,
        variant: line.variant.as_str().to_owned(),
        name,
        previous_price: previous,
        price,
    }
}
