//! Units put into carts, and what is kept of their products. Knows the statements; what a cart may hold is decided by the
//! domain.

use agora_outbox::{Account, DedupKey, remembered, told, unheard};
use agora_vocab::ProductId;
use sqlx::PgConnection;

use super::{PgCarts, rows, wrote};
use crate::{
    domain::{Cart, Contents, Line, ProductCopy, QuoteResult, QuotedLine, Refused, View},
    ports::{CartError, NewLine, StoreError},
};

impl PgCarts {
    /// Adds units to a cart that was found so; `None` if it was not so any longer when it was written, the product was news,
    /// or the cause has had its effect.
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
        match has_left(connection, line.product, quoted.copy.version).await? {
            Some(true) => return Err(CartError::Refused(Refused::UnknownProduct)),
            Some(false) => {}
            // Only where it is news, so that the many who add one product do not queue for its row.
            None => drop(store_copy(connection, &quoted.copy, &DedupKey::None).await?),
        }
        Ok(None)
    }
}

/// Writes a line into a cart whose version is the one before, the cart too if it is the first; whether it did. It does not
/// where the offered version of the product, or a newer one, is not known or was deleted. Holds off the product's deletion:
/// no line of a product may come after the product was dropped from all carts.
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
    wrote(connection, write, account).await
}

/// Whether a product left the catalog, if that is known of this version or a newer one.
async fn has_left(connection: &mut PgConnection, product: ProductId, version: i64) -> Result<Option<bool>, StoreError> {
    const HAS_LEFT: &str = "select deleted from product_copy where product_id = $1 and version >= $2";
    Ok(sqlx::query_scalar(HAS_LEFT).bind(product.uuid()).bind(version).fetch_optional(connection).await?)
}

/// Keeps a copy unless a newer one is there; whether it was news. A deleted product keeps the name and price that were
/// known.
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
    wrote(connection, store, &account).await
}
