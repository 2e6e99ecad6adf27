//! Reads and writes carts of users and guests. A cart is one row with its lines as JSON; the domain decides what is written.
//! Contains no business rules.

use agora_postgres::Connection;
use std::collections::BTreeMap;

use agora_chassis::chain;
use agora_outbox::{DedupKey, DedupRecord, write_once};
use agora_vocab::{CartId, Epoch, Money, UserId, Variant};
use serde::Serialize;
use sqlx::{Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{PgCarts, copies};
use crate::{
    domain::{Cart, Contents, Line, Owner, ProductCopy, Refused, TokenDigest},
    ports::{CartError, StoreError},
};

/// Days after its last change until a guest's cart expires.
pub(super) const GUEST_CART_DAYS: i32 = 30;

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
    cart_id: Uuid,
    cart_version: i64,
    line: Option<Json<Line>>,
    copy_epoch: Option<i64>,
    copy_version: Option<i64>,
    name: Option<String>,
    image_url: Option<String>,
    price_amount: Option<i64>,
    price_currency: Option<String>,
    variant_prices: Option<Json<BTreeMap<Variant, Money>>>,
    deleted: Option<bool>,
}

/// Reads the user's cart; an empty cart if none is stored.
pub(super) async fn find(connection: &mut Connection, user: UserId) -> Result<Contents, StoreError> {
    const FIND_CART: &str = include_str!("../../sql/find_cart.sql");
    let rows: Vec<CartRow> = sqlx::query_as(FIND_CART).bind(user.uuid()).fetch_all(connection).await?;
    Ok(contents(Cart::of(user), rows))
}

/// Reads the owner's cart; a guest's must exist.
pub(super) async fn find_of(connection: &mut Connection, owner: Owner) -> Result<Contents, CartError> {
    match owner {
        Owner::User(user) => Ok(find(connection, user).await?),
        Owner::Guest(token) => find_of_guest(connection, token).await?.ok_or(CartError::NoCart),
    }
}

async fn find_of_guest(connection: &mut Connection, token: TokenDigest) -> Result<Option<Contents>, StoreError> {
    const FIND_CART: &str = include_str!("../../sql/find_guest_cart.sql");
    let find = sqlx::query_as(FIND_CART).bind(token.0.to_vec()).bind(GUEST_CART_DAYS);
    let rows: Vec<CartRow> = find.fetch_all(connection).await?;
    let id = rows.first().map(|row| CartId::new(row.cart_id));
    Ok(id.map(|id| contents(Cart::of_guest(id, token), rows)))
}

/// The cart, which is empty, with its stored rows.
fn contents(mut cart: Cart, rows: Vec<CartRow>) -> Contents {
    let (mut lines, mut copies) = (Vec::new(), BTreeMap::new());
    for row in rows {
        cart.version = row.cart_version;
        let Some((line, copy)) = row.into_line() else { continue };
        copies.extend(copy.map(|copy| (copy.product, copy)));
        lines.push(line);
    }
    Contents::read(cart, lines, copies)
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
        const SAVE_GUEST_CART: &str = include_str!("../../sql/save_guest_cart.sql");
        let events = self.updated(cart, None, dedup_key)?;
        let save = sqlx::query(match cart.owner {
            Owner::User(_) => SAVE_CART,
            Owner::Guest(_) => SAVE_GUEST_CART,
        })
        .bind(cart.id.uuid())
        .bind(cart.version)
        .bind(Json(cart.stored_lines()))
        .bind(quoted.map(|copy| copy.product.uuid()));
        let save = match cart.owner {
            Owner::User(_) => save.bind(events.rows()),
            Owner::Guest(_) => save,
        };
        let save = save.bind(DedupRecord::of(dedup_key, result)?);
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
            cart_id: _,
            cart_version: _,
            line,
            copy_epoch,
            copy_version,
            name,
            image_url,
            price_amount,
            price_currency,
            variant_prices,
            deleted,
        } = self;
        let Json(line) = line?;
        let price = price_amount.zip(price_currency).and_then(|(amount, code)| money(amount, &code));
        let variant_prices = variant_prices.map(|Json(prices)| prices).unwrap_or_default();
        let copy = copy_epoch.zip(copy_version).zip(name).zip(deleted).map(|(((stored, version), name), deleted)| {
            let (product, epoch) = (line.product, epoch(stored));
            ProductCopy { product, epoch, version, name, image_url, price, variant_prices, deleted }
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
