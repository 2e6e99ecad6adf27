//! Reads and writes carts. A cart is one row with its lines as JSON; the domain decides what is written. Contains no
//! business rules.

use agora_postgres::Connection;
use std::collections::BTreeMap;

use agora_chassis::chain;
use agora_outbox::{DedupKey, DedupRecord, write_once};
use agora_vocab::{Epoch, Money, UserId};
use serde::Serialize;
use sqlx::{Row as _, postgres::PgRow, types::Json};

use super::{PgCarts, copies};
use crate::{
    domain::{Cart, Contents, Line, ProductCopy, Refused},
    ports::{CartError, StoreError},
};

/// A changed cart that is to be written, with the result that a duplicate of the request returns.
pub(super) struct Change<T> {
    /// The cart with its new version.
    pub cart: Cart,
    pub result: T,
    /// The product that the change needs, as quoted: it must not be deleted.
    pub quoted: Option<ProductCopy>,
}

/// A cart with one of its lines and the copy of that line's product.
#[derive(sqlx::FromRow)]
struct CartRow {
    cart_version: i64,
    line: Option<Json<Line>>,
    copy_epoch: Option<i64>,
    copy_version: Option<i64>,
    name: Option<String>,
    image_url: Option<String>,
    price_amount: Option<i64>,
    price_currency: Option<String>,
    deleted: Option<bool>,
}

/// Reads the user's cart; an empty cart if none is stored.
pub(super) async fn find(connection: &mut Connection, user: UserId) -> Result<Contents, StoreError> {
    const FIND_CART: &str = include_str!("../../sql/find_cart.sql");
    let rows: Vec<CartRow> = sqlx::query_as(FIND_CART).bind(user.uuid()).fetch_all(connection).await?;
    let (mut version, mut lines, mut copies) = (0, Vec::new(), BTreeMap::new());
    for row in rows {
        version = row.cart_version;
        let Some((line, copy)) = row.into_line() else { continue };
        copies.extend(copy.map(|copy| (copy.product, copy)));
        lines.push(line);
    }
    Ok(Contents::read(user, version, lines, copies))
}

impl PgCarts {
    /// Writes a changed cart with its event and result. `None`, and nothing written, if the stored cart does not have the
    /// previous version or if the deduplication key is used.
    pub(super) async fn save<T: Serialize>(
        &self,
        connection: &mut Connection,
        change: Change<T>,
        dedup_key: &DedupKey,
    ) -> Result<Option<T>, CartError> {
        let Change { cart, result, quoted } = change;
        let Some(stored) = self.save_cart(connection, &cart, &result, quoted.as_ref(), dedup_key).await? else {
            let Some(copy) = quoted else { return Ok(None) };
            if copies::is_deleted(connection, &copy).await? {
                return Err(CartError::Refused(Refused::UnknownProduct));
            }
            // Replaces the deletion in an older epoch, if that was the cause.
            copies::store(connection, std::slice::from_ref(&copy)).await?;
            return Ok(None);
        };
        // Not in the statement of the change: most copies are stored, and the product's event writes a missing one too.
        if let Some(copy) = quoted.filter(|copy| stored.is_none_or(|age| age < copy.age()))
            && let Err(error) = copies::store(connection, std::slice::from_ref(&copy)).await
        {
            tracing::warn!(product = %copy.product, error = chain(&error), "could not store the copy of a product");
        }
        Ok(Some(result))
    }

    /// Returns the age of the stored copy of the quoted product, if any; `None` if nothing was written.
    async fn save_cart<T: Serialize>(
        &self,
        connection: &mut Connection,
        cart: &Cart,
        result: &T,
        quoted: Option<&ProductCopy>,
        dedup_key: &DedupKey,
    ) -> Result<Option<Option<(Epoch, i64)>>, StoreError> {
        const SAVE_CART: &str = include_str!("../../sql/save_cart.sql");
        let events = self.updated(cart, None, dedup_key)?;
        let save = sqlx::query(SAVE_CART)
            .bind(cart.id.uuid())
            .bind(cart.version)
            .bind(Json(cart.stored_lines()))
            .bind(quoted.map(|copy| copy.product.uuid()))
            .bind(events.rows())
            .bind(DedupRecord::of(dedup_key, result)?);
        let row = write_once(connection, save, &events, &[]).await?;
        let age = |row: PgRow| -> Result<_, sqlx::Error> {
            let (stored, version): (Option<i64>, Option<i64>) =
                (row.try_get("copy_epoch")?, row.try_get("copy_version")?);
            Ok(stored.map(epoch).zip(version))
        };
        Ok(row.map(age).transpose()?)
    }
}

impl CartRow {
    fn into_line(self) -> Option<(Line, Option<ProductCopy>)> {
        let Self {
            cart_version: _,
            line,
            copy_epoch,
            copy_version,
            name,
            image_url,
            price_amount,
            price_currency,
            deleted,
        } = self;
        let Json(line) = line?;
        let price = price_amount.zip(price_currency).and_then(|(amount, code)| money(amount, &code));
        let copy = copy_epoch.zip(copy_version).zip(name).zip(deleted).map(|(((stored, version), name), deleted)| {
            ProductCopy { product: line.product, epoch: epoch(stored), version, name, image_url, price, deleted }
        });
        Some((line, copy))
    }
}

fn epoch(stored: i64) -> Epoch {
    Epoch(u32::try_from(stored).unwrap_or(u32::MAX))
}

/// A copied price; `None`, like a price that is not known, if it is not one.
fn money(amount: i64, currency: &str) -> Option<Money> {
    Money::new(amount, currency.parse().ok()?).ok()
}
