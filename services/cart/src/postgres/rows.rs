//! Reads carts and lines from rows. Contains no business rules.

use std::collections::BTreeMap;

use agora_postgres::Tx;
use agora_vocab::{CartId, Currency, LineId, Money, ProductId, Quantity, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    domain::{Cart, Contents, Line, ProductCopy, Variant},
    ports::StoreError,
};

/// A cart joined with one line and the product copy of that line; both are null if the cart is empty.
#[derive(sqlx::FromRow)]
struct CartRow {
    cart_id: Uuid,
    cart_version: i64,
    #[sqlx(flatten)]
    line: Row,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Option<Uuid>,
    product_id: Option<Uuid>,
    variant: Option<String>,
    quantity: Option<i32>,
    seen_amount: Option<i64>,
    seen_currency: Option<String>,
    copy_version: Option<i64>,
    name: Option<String>,
    image_url: Option<String>,
    price_amount: Option<i64>,
    price_currency: Option<String>,
    deleted: Option<bool>,
}

/// Reads the user's cart; an empty cart if none is stored.
pub(super) async fn contents(connection: &mut PgConnection, user: UserId) -> Result<Contents, StoreError> {
    const CONTENTS: &str = "select c.id as cart_id, c.version as cart_version, \
        i.id, i.product_id, i.variant, i.quantity, i.seen_amount, i.seen_currency, \
        p.version as copy_version, p.name, p.image_url, p.price_amount, p.price_currency, p.deleted \
        from cart c left join cart_item i on i.cart_id = c.id left join product_copy p on p.product_id = i.product_id \
        where c.user_id = $1 order by i.created_at, i.id";
    let rows: Vec<CartRow> = sqlx::query_as(CONTENTS).bind(user.uuid()).fetch_all(connection).await?;
    let mut contents = Contents { cart: Cart::of(user), copies: BTreeMap::new() };
    for CartRow { cart_id, cart_version, line } in rows {
        (contents.cart.id, contents.cart.version) = (CartId::new(cart_id), cart_version);
        if let Some((line, copy)) = line.into_parts()? {
            contents.cart.lines.push(line);
            contents.copies.extend(copy.map(|copy| (copy.product, copy)));
        }
    }
    Ok(contents)
}

/// Locks the user's cart and reads one of its lines.
pub(super) async fn lock_line(
    tx: &mut Tx,
    user: UserId,
    line: LineId,
) -> Result<Option<(CartId, ProductId, Variant)>, StoreError> {
    // The cart is locked by a statement of its own, so that the next statement does not read a line that a concurrent
    // transaction has removed.
    const LOCK: &str = "select id from cart where user_id = $1 for no key update";
    const LINE: &str = "select i.product_id, i.variant from cart_item i join cart c on c.id = i.cart_id \
        where i.id = $2 and c.user_id = $1";
    let cart: Option<Uuid> = sqlx::query_scalar(LOCK).bind(user.uuid()).fetch_optional(&mut **tx).await?;
    let found: Option<(Uuid, String)> =
        sqlx::query_as(LINE).bind(user.uuid()).bind(line.uuid()).fetch_optional(&mut **tx).await?;
    let line = |(product, variant)| (ProductId::new(product), Variant::stored(variant));
    Ok(cart.zip(found.map(line)).map(|(cart, (product, variant))| (CartId::new(cart), product, variant)))
}

/// Converts to the type of the column.
pub(super) fn units(quantity: Quantity) -> i32 {
    // At most 9999.
    i32::try_from(quantity.get()).unwrap_or(i32::MAX)
}

fn money(amount: i64, currency: &str) -> Result<Money, StoreError> {
    let currency: Currency =
        currency.parse().map_err(|error: agora_vocab::Invalid| StoreError::Broken(error.into()))?;
    Ok(Money { amount, currency })
}

impl Row {
    fn into_parts(self) -> Result<Option<(Line, Option<ProductCopy>)>, StoreError> {
        let Self {
            id: Some(id),
            product_id: Some(product_id),
            variant: Some(variant),
            quantity: Some(quantity),
            seen_amount: Some(seen_amount),
            seen_currency: Some(seen_currency),
            copy_version,
            name,
            image_url,
            price_amount,
            price_currency,
            deleted,
        } = self
        else {
            return Ok(None);
        };
        let product = ProductId::new(product_id);
        let quantity = Quantity::parse(i64::from(quantity)).map_err(|error| StoreError::Broken(error.into()))?;
        let seen = money(seen_amount, &seen_currency)?;
        let line = Line { id: LineId::new(id), product, variant: Variant::stored(variant), quantity, seen };
        let price = price_amount.zip(price_currency).map(|(amount, code)| money(amount, &code)).transpose()?;
        let copy = copy_version.zip(name).zip(deleted).map(|((version, name), deleted)| ProductCopy {
            product,
            version,
            name,
            image_url,
            price,
            deleted,
        });
        Ok(Some((line, copy)))
    }
}
