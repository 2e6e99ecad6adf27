//! Rows and composite types, and their conversion from and to the domain.

use agora_chassis::BoxError;
use agora_postgres::composite;
use agora_vocab::{Money, OrderId, ProductId, UserId};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{
        Bought, Product, ProductCopy, ProductState, Purchase, PurchaseLine, Revision, StockLevel, Together, Votes,
    },
    ports::{LastResult, Recomputation, StoreError},
};

/// The composite type `purchase_row`.
#[derive(sqlx::Encode)]
pub(super) struct NewPurchase<'a> {
    order_id: Uuid,
    user_id: Uuid,
    epoch: i64,
    seq: i64,
    counted: bool,
    changed_at: OffsetDateTime,
    lines: Json<&'a [PurchaseLine]>,
}

composite!(NewPurchase<'_>, "purchase_row");

impl<'a> From<&'a Purchase> for NewPurchase<'a> {
    fn from(purchase: &'a Purchase) -> Self {
        let Purchase { order, user, revision, counted, changed_at, lines } = purchase;
        Self {
            order_id: order.uuid(),
            user_id: user.uuid(),
            epoch: revision.epoch,
            seq: revision.number,
            counted: *counted,
            changed_at: *changed_at,
            lines: Json(lines),
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct PurchaseRow {
    order_id: Uuid,
    user_id: Uuid,
    epoch: i64,
    seq: i64,
    counted: bool,
    changed_at: OffsetDateTime,
    lines: Json<Vec<PurchaseLine>>,
}

impl From<PurchaseRow> for Purchase {
    fn from(row: PurchaseRow) -> Self {
        let PurchaseRow { order_id, user_id, epoch, seq, counted, changed_at, lines: Json(lines) } = row;
        let (order, user) = (OrderId::new(order_id), UserId::new(user_id));
        Self { order, user, revision: Revision { epoch, number: seq }, counted, changed_at, lines }
    }
}

/// The composite type `product_row`.
#[derive(sqlx::Encode)]
pub(super) struct NewProduct<'a> {
    product_id: Uuid,
    epoch: i64,
    version: i64,
    name: &'a str,
    category: Option<&'a str>,
    image_url: Option<&'a str>,
    price_amount: Option<i64>,
    price_currency: Option<&'a str>,
    deleted: bool,
}

composite!(NewProduct<'_>, "product_row");

impl<'a> From<&'a ProductCopy> for NewProduct<'a> {
    fn from(ProductCopy { product, revision, state }: &'a ProductCopy) -> Self {
        let empty = Self {
            product_id: product.uuid(),
            epoch: revision.epoch,
            version: revision.number,
            name: "",
            category: None,
            image_url: None,
            price_amount: None,
            price_currency: None,
            deleted: true,
        };
        match state {
            ProductState::Deleted => empty,
            ProductState::Sold { name, category, image_url, price } => Self {
                name,
                category: category.as_deref(),
                image_url: image_url.as_deref(),
                price_amount: Some(price.amount),
                price_currency: Some(price.currency.as_str()),
                deleted: false,
                ..empty
            },
        }
    }
}

/// The composite type `stock_row`.
#[derive(sqlx::Encode)]
pub(super) struct NewStock<'a> {
    product_id: Uuid,
    variant: &'a str,
    warehouse_id: Uuid,
    epoch: i64,
    version: i64,
    available: i64,
}

composite!(NewStock<'_>, "stock_row");

impl<'a> From<&'a StockLevel> for NewStock<'a> {
    fn from(StockLevel { key, revision, available }: &'a StockLevel) -> Self {
        Self {
            product_id: key.product.uuid(),
            variant: &key.variant,
            warehouse_id: key.warehouse.uuid(),
            epoch: revision.epoch,
            version: revision.number,
            available: *available,
        }
    }
}

/// The composite type `product_units`.
#[derive(sqlx::Encode)]
pub(super) struct Units {
    pub product_id: Uuid,
    pub units: i64,
}

composite!(Units, "product_units");

/// The composite type `product_pair`.
#[derive(sqlx::Encode)]
pub(super) struct Pair {
    pub product_id: Uuid,
    pub other_id: Uuid,
    pub orders: i64,
}

composite!(Pair, "product_pair");

#[derive(sqlx::FromRow)]
pub(super) struct BoughtRow {
    product_id: Uuid,
    units: i64,
    category: Option<String>,
}

impl From<BoughtRow> for Bought {
    fn from(BoughtRow { product_id, units, category }: BoughtRow) -> Self {
        Self { product: ProductId::new(product_id), units, category }
    }
}

/// A product that can be recommended.
#[derive(sqlx::FromRow)]
pub(super) struct ProductRow {
    product_id: Uuid,
    name: String,
    price_amount: Option<i64>,
    price_currency: Option<String>,
    category: Option<String>,
    image_url: Option<String>,
    positive_votes: i64,
    negative_votes: i64,
}

impl TryFrom<ProductRow> for Product {
    type Error = StoreError;

    fn try_from(row: ProductRow) -> Result<Self, StoreError> {
        let ProductRow {
            product_id,
            name,
            price_amount,
            price_currency,
            category,
            image_url,
            positive_votes,
            negative_votes,
        } = row;
        let id = ProductId::new(product_id);
        let price = price(price_amount, price_currency).map_err(StoreError::Broken)?;
        let votes = Votes { positive: positive_votes, negative: negative_votes };
        Ok(Self { id, name, price, category, image_url, votes })
    }
}

fn price(amount: Option<i64>, currency: Option<String>) -> Result<Money, BoxError> {
    let (amount, currency) = amount.zip(currency).ok_or("a product that is sold has no price")?;
    Ok(Money::new(amount, currency.parse().map_err(|error: agora_vocab::Invalid| error.to_string())?)?)
}

#[derive(sqlx::FromRow)]
pub(super) struct TogetherRow {
    #[sqlx(flatten)]
    product: ProductRow,
    with_id: Uuid,
    with_name: String,
}

impl TryFrom<TogetherRow> for Together {
    type Error = StoreError;

    fn try_from(TogetherRow { product, with_id, with_name }: TogetherRow) -> Result<Self, StoreError> {
        Ok(Self { product: product.try_into()?, with: ProductId::new(with_id), with_name })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct ResultRow {
    user_id: Uuid,
    version: i64,
    product_ids: Vec<Uuid>,
    revision: i64,
}

impl From<ResultRow> for LastResult {
    fn from(ResultRow { user_id, version, product_ids, revision }: ResultRow) -> Self {
        let products = product_ids.into_iter().map(ProductId::new).collect();
        Self { user: UserId::new(user_id), version, products, revision }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RecomputationRow {
    running: bool,
    requested: bool,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
    next_at: OffsetDateTime,
    users: i64,
    changed: i64,
}

impl From<RecomputationRow> for Recomputation {
    fn from(row: RecomputationRow) -> Self {
        let RecomputationRow { running, requested, started_at, finished_at, next_at, users, changed } = row;
        Self { running, requested, started_at, finished_at, next_at, users, changed }
    }
}
