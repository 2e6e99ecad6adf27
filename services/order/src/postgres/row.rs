//! Rows of the order tables and their conversion to the domain.

use agora_chassis::BoxError;
use agora_vocab::{CartId, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId};
use serde::Deserialize;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{Address, CartVersion, Line, Order, OrderProgress},
    ports::StoreError,
};

#[derive(sqlx::FromRow)]
pub(super) struct OrderRow {
    id: Uuid,
    number: String,
    user_id: Uuid,
    cart_id: Option<Uuid>,
    cart_version: Option<i64>,
    currency: String,
    total_minor: i64,
    shipping_address: Option<Json<Address>>,
    status: String,
    payment_status: String,
    payment_id: Option<Uuid>,
    hold: i32,
    declines: i32,
    version: i64,
    facts: i64,
    expires_at: OffsetDateTime,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    lines: Json<Vec<LineRow>>,
}

#[derive(Deserialize)]
struct LineRow {
    product_id: Uuid,
    variant: String,
    name: String,
    quantity: i64,
    currency: String,
    price_minor: i64,
    total_minor: i64,
    brand: Option<String>,
    category: Option<String>,
    supplier: Option<String>,
    seller_id: Uuid,
}

impl OrderRow {
    pub(super) fn into_order(self) -> Result<Order, StoreError> {
        self.read().map_err(StoreError::Broken)
    }

    fn read(self) -> Result<Order, BoxError> {
        let Self {
            id,
            number,
            user_id,
            cart_id,
            cart_version,
            currency,
            total_minor,
            shipping_address,
            status,
            payment_status,
            payment_id,
            hold,
            declines,
            version,
            facts,
            expires_at,
            created_at,
            updated_at,
            lines,
        } = self;
        let progress = OrderProgress {
            status: status.parse()?,
            payment_status: payment_status.parse()?,
            payment: payment_id.map(PaymentId::new),
            hold,
            declines,
        };
        Ok(Order {
            id: OrderId::new(id),
            number,
            user: UserId::new(user_id),
            cart: cart_id.zip(cart_version).map(|(id, version)| CartVersion { id: CartId::new(id), version }),
            lines: lines.0.into_iter().map(LineRow::read).collect::<Result<_, _>>()?,
            total: money(total_minor, &currency)?,
            address: shipping_address.map(|Json(address)| address),
            expires_at,
            created_at,
            progress,
            version,
            event_seq: facts,
            updated_at,
        })
    }
}

impl LineRow {
    fn read(self) -> Result<Line, BoxError> {
        let Self {
            product_id,
            variant,
            name,
            quantity,
            currency,
            price_minor,
            total_minor,
            brand,
            category,
            supplier,
            seller_id,
        } = self;
        Ok(Line {
            product: ProductId::new(product_id),
            variant,
            name,
            quantity: Quantity::parse(quantity)?,
            price: money(price_minor, &currency)?,
            total: money(total_minor, &currency)?,
            brand,
            category,
            supplier,
            seller: SellerId::new(seller_id),
        })
    }
}

fn money(minor: i64, currency: &str) -> Result<Money, BoxError> {
    Ok(Money::new(minor, currency.parse()?)?)
}
