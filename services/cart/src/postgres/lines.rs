//! Adds lines to carts and stores product copies. Contains the statements; the domain validates the cart.

use agora_outbox::{Account, DedupKey, remembered, told, unheard};
use agora_vocab::ProductId;
use sqlx::PgConnection;

use super::{PgCarts, execute_guarded, rows};
use crate::{
    domain::{Cart, Contents, Line, ProductCopy, QuoteResult, QuotedLine, Refused, View},
    ports::{CartError, NewLine, StoreError},
};

impl PgCarts {
    /// Adds units to a cart as it was read. `None`, and no line written, if the cart has changed since, the product copy was
    /// not stored yet, or the deduplication key is already used.
    pub(super) async fn put(
        &self,
        connection: &mut PgConnection,
        mut contents: Contents,
        line: &NewLine,
        quote: &QuoteResult,
        dedup_key: &DedupKey,
    ) -> Result<Option<View>, CartError> {
        let quoted = quote.of(line.product).ok_or(CartError::Refused(Refused::UnknownProduct))?;
        let line = contents.cart.add(line.at(quoted.price)).map_err(CartError::Refused)?;
        contents.check(line.product, &line.variant, quoted).map_err(CartError::Refused)?;
        let view = contents.view(quote).map_err(CartError::Refused)?;
        let account = self.account(&contents.cart, None, dedup_key, &view)?;
        if write(connection, &contents.cart, &line, quoted, &account).await? {
            return Ok(Some(view));
        }
        match is_deleted(connection, line.product, quoted.copy.version).await? {
            Some(true) => return Err(CartError::Refused(Refused::UnknownProduct)),
            Some(false) => {}
            // Written only if the version is new, so that concurrent adds of one product do not wait for its row.
            None => drop(store_copy(connection, &quoted.copy, &DedupKey::None).await?),
        }
        Ok(None)
    }
}

/// Writes a line, and the cart if it is new, if the stored cart has the previous version. Returns whether it wrote. Writes
/// nothing if no copy of the quoted product version or a newer one is stored, or if the product is deleted. Locks the copy
/// against deletion, so that no line is written after the product was removed from all carts.
async fn write(
    connection: &mut PgConnection,
    cart: &Cart,
    line: &Line,
    quoted: &QuotedLine,
    account: &Account,
) -> Result<bool, StoreError> {
    const WRITE: &str = concat!(
        "with alive as (select from product_copy where product_id = $3 and version >= $4 and not deleted for share), \
         changed as (insert into cart as c (id, user_id, version) select $1, $2, $5 from alive where ",
        unheard!("$11"),
        " on conflict on constraint cart_user_unique do update set version = excluded.version, updated_at = now() \
         where c.version = excluded.version - 1 returning id), \
         put as (insert into cart_item (id, cart_id, product_id, variant, quantity, seen_amount, seen_currency) \
         select $6, id, $3, $7, $8, $9, $10 from changed \
         on conflict on constraint cart_item_unique do update set quantity = excluded.quantity, \
         seen_amount = excluded.seen_amount, seen_currency = excluded.seen_currency), ",
        told!("$11", "changed"),
        ", ",
        remembered!("$11", "changed"),
        " select from changed"
    );
    let write = sqlx::query(WRITE)
        .bind(cart.id.uuid())
        .bind(cart.user.uuid())
        .bind(line.product.uuid())
        .bind(quoted.copy.version)
        .bind(cart.version)
        .bind(line.id.uuid())
        .bind(line.variant.as_str())
        .bind(rows::units(line.quantity))
        .bind(line.seen.amount)
        .bind(line.seen.currency.as_str())
        .bind(account.parameter());
    execute_guarded(connection, write, account).await
}

/// Whether the product is deleted; `None` if no copy of this version or a newer one is stored.
async fn is_deleted(
    connection: &mut PgConnection,
    product: ProductId,
    version: i64,
) -> Result<Option<bool>, StoreError> {
    const IS_DELETED: &str = "select deleted from product_copy where product_id = $1 and version >= $2";
    Ok(sqlx::query_scalar(IS_DELETED).bind(product.uuid()).bind(version).fetch_optional(connection).await?)
}

/// Stores a copy unless the same or a newer version is stored. Returns whether it wrote. The copy of a deleted product keeps
/// its last name and price.
pub(super) async fn store_copy(
    connection: &mut PgConnection,
    copy: &ProductCopy,
    dedup_key: &DedupKey,
) -> Result<bool, StoreError> {
    const STORE_COPY: &str = concat!(
        "with changed as (insert into product_copy as kept \
         (product_id, version, name, image_url, price_amount, price_currency, deleted) values ($1, $2, $3, $4, $5, $6, $7) \
         on conflict (product_id) do update set version = excluded.version, deleted = excluded.deleted, \
         name = case when excluded.deleted then kept.name else excluded.name end, \
         image_url = case when excluded.deleted then kept.image_url else excluded.image_url end, \
         price_amount = coalesce(excluded.price_amount, kept.price_amount), \
         price_currency = coalesce(excluded.price_currency, kept.price_currency) \
         where kept.version < excluded.version returning kept.product_id), ",
        remembered!("$8", "changed"),
        " select from changed"
    );
    let mut account = Account::new();
    account.store_result(dedup_key, &())?;
    let ProductCopy { product, version, name, image_url, price, deleted } = copy;
    let store = sqlx::query(STORE_COPY)
        .bind(product.uuid())
        .bind(version)
        .bind(name)
        .bind(image_url)
        .bind(price.map(|price| price.amount))
        .bind(price.as_ref().map(|price| price.currency.as_str()))
        .bind(deleted)
        .bind(account.parameter());
    execute_guarded(connection, store, &account).await
}
