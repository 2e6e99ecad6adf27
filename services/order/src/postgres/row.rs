//! Rows and composite types of the order tables, and their conversion from and to the domain.

use agora_chassis::BoxError;
use agora_postgres::composite;
use agora_vocab::{Address, CartId, Money, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId, Variant};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    domain::{
        CartVersion, Charges, HistoryEntry, Line, Order, OrderChange, OrderProgress, Phase, Saga, SagaLease, State,
        phase, wake_at,
    },
    ports::{SagaSnapshot, StoreError},
};

/// A row of the view `order_with_charges`.
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
    event_seq: i64,
    expires_at: OffsetDateTime,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    charges: Option<Json<Charges>>,
    lines: Vec<LineRow>,
}

/// The saga's columns of `order_with_charges`.
#[derive(sqlx::FromRow)]
pub(super) struct SagaRow {
    #[sqlx(flatten)]
    order: OrderRow,
    saga: Json<Saga>,
    lease_owner: Option<Uuid>,
    lease_until: Option<OffsetDateTime>,
    revision: i64,
    now: OffsetDateTime,
}

impl SagaRow {
    pub(super) fn into_snapshot(self) -> Result<SagaSnapshot, StoreError> {
        let Self { order, saga: Json(saga), lease_owner, lease_until, revision, now } = self;
        let state = State { order: order.into_order()?, saga };
        let lease = SagaLease { owner: lease_owner, until: lease_until };
        Ok(SagaSnapshot { state, now, lease, leased: false, revision })
    }
}

/// The composite type `order_line`.
#[derive(sqlx::Type)]
#[sqlx(type_name = "order_line")]
pub(super) struct LineRow {
    product_id: Uuid,
    variant: String,
    name: String,
    quantity: i32,
    price_minor: i64,
    total_minor: i64,
    brand: Option<String>,
    category: Option<String>,
    supplier: Option<String>,
    seller_id: Uuid,
}

/// The composite type `order_head`.
#[derive(sqlx::Encode)]
pub(super) struct HeadRow<'a> {
    number: &'a str,
    user_id: Uuid,
    cart_id: Option<Uuid>,
    cart_version: Option<i64>,
    currency: &'a str,
    total_minor: i64,
    shipping_address: Option<Json<&'a Address>>,
    expires_at: OffsetDateTime,
    created_at: OffsetDateTime,
}

composite!(HeadRow<'_>, "order_head");

/// The composite type `order_progress`.
#[derive(sqlx::Encode)]
pub(super) struct ProgressRow {
    status: &'static str,
    payment_status: &'static str,
    payment_id: Option<Uuid>,
    hold: i32,
    declines: i32,
    version: i64,
    event_seq: i64,
    updated_at: OffsetDateTime,
}

composite!(ProgressRow, "order_progress");

/// The composite type `saga_state`.
#[derive(sqlx::Encode)]
pub(super) struct SagaState<'a> {
    phase: &'static str,
    saga: Json<&'a Saga>,
    next_at: Option<OffsetDateTime>,
    lease_owner: Option<Uuid>,
    lease_until: Option<OffsetDateTime>,
}

composite!(SagaState<'_>, "saga_state");

/// The composite type `history_entry`.
#[derive(sqlx::Encode)]
pub(super) struct EntryRow<'a> {
    seq: i64,
    kind: &'static str,
    data: Json<&'a OrderChange>,
}

composite!(EntryRow<'_>, "history_entry");

impl<'a> HeadRow<'a> {
    pub(super) fn of(order: &'a Order) -> Self {
        Self {
            number: &order.number,
            user_id: order.user.uuid(),
            cart_id: order.cart.map(|cart| cart.id.uuid()),
            cart_version: order.cart.map(|cart| cart.version),
            currency: order.total.currency.as_str(),
            total_minor: order.total.amount,
            shipping_address: order.address.as_ref().map(Json),
            expires_at: order.expires_at,
            created_at: order.created_at,
        }
    }
}

impl ProgressRow {
    pub(super) fn of(order: &Order) -> Self {
        let OrderProgress { status, payment_status, payment, hold, declines } = order.progress;
        Self {
            status: status.as_str(),
            payment_status: payment_status.as_str(),
            payment_id: payment.map(PaymentId::uuid),
            hold,
            declines,
            version: order.version,
            event_seq: order.event_seq,
            updated_at: order.updated_at,
        }
    }
}

impl<'a> SagaState<'a> {
    pub(super) fn of(state: &'a State, now: OffsetDateTime, lease: SagaLease) -> Self {
        let phase = match phase(state, now) {
            Phase::Running => "running",
            Phase::Waiting => "waiting",
            Phase::Done => "done",
            Phase::Stuck => "stuck",
        };
        Self {
            phase,
            saga: Json(&state.saga),
            next_at: wake_at(state, now),
            lease_owner: lease.owner,
            lease_until: lease.until,
        }
    }
}

impl<'a> EntryRow<'a> {
    pub(super) fn of(entry: &'a HistoryEntry) -> Self {
        Self { seq: entry.seq, kind: entry.kind(), data: Json(&entry.change) }
    }
}

impl OrderRow {
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

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
            event_seq,
            expires_at,
            created_at,
            updated_at,
            charges,
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
            lines: lines.into_iter().map(|line| line.read(&currency)).collect::<Result<_, _>>()?,
            total: money(total_minor, &currency)?,
            charges: charges.map(|Json(charges)| charges).unwrap_or_default(),
            address: shipping_address.map(|Json(address)| address),
            expires_at,
            created_at,
            progress,
            shipments: Vec::new(),
            returns: Vec::new(),
            version,
            event_seq,
            updated_at,
        })
    }
}

impl LineRow {
    pub(super) fn of(line: &Line) -> Self {
        Self {
            product_id: line.product.uuid(),
            variant: line.variant.as_str().to_owned(),
            name: line.name.clone(),
            // At most 9999.
            quantity: i32::try_from(line.quantity.get()).unwrap_or(i32::MAX),
            price_minor: line.price.amount,
            total_minor: line.total.amount,
            brand: line.brand.clone(),
            category: line.category.clone(),
            supplier: line.supplier.clone(),
            seller_id: line.seller.uuid(),
        }
    }

    fn read(self, currency: &str) -> Result<Line, BoxError> {
        let Self {
            product_id,
            variant,
            name,
            quantity,
            price_minor,
            total_minor,
            brand,
            category,
            supplier,
            seller_id,
        } = self;
        Ok(Line {
            product: ProductId::new(product_id),
            variant: Variant::stored(variant),
            name,
            quantity: Quantity::parse(i64::from(quantity))?,
            price: money(price_minor, currency)?,
            total: money(total_minor, currency)?,
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
