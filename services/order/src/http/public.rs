//! Public HTTP API: `/api/v1/orders` and `/api/v1/admin/orders`. Calls use cases only.

use agora_api::{List, ORDER_READERS, order as api};
use agora_vocab::{AddressText, Invalid, OrderId, Page, Role, UserId};
use agora_web::{
    Command, Identity, Json, PageQuery, Path, Problem, Query, Routes, Start, created, decode_cursor, encode_cursor,
    parse_ids,
};
use axum::{extract::State, response::Response};

use super::{
    dedup_key, replay,
    wire::{location, wire},
};
use crate::{
    domain::{CouponCode, FieldError, MethodCode, Order, PayWith, RequestedLines, Source},
    ports::Listing,
    service::{Error, NewOrder, OrderService, Placed, Shipping},
};

pub fn routes(service: OrderService) -> Routes {
    use api::routes::{ADVANCE, CANCEL, LIST, LIST_ALL, PLACE, READ};
    Routes::new()
        .on(LIST, list)
        .on(PLACE, place)
        .on(READ, read)
        .on(ADVANCE, advance)
        .on(CANCEL, cancel)
        .on(LIST_ALL, list_all)
        .with_state(service)
}

async fn place(
    State(service): State<OrderService>,
    identity: Identity,
    command: Command<api::NewOrder>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, Some(command.required()?));
    let new = parse(identity.user, command.body).map_err(Error::Invalid)?;
    Ok(match service.place(new, &dedup_key).await? {
        Placed::Answered(answer) => replay(answer),
        Placed::Provisional(state) => created(location(&state.order), wire(&state.order)),
    })
}

async fn read(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
) -> Result<Json<api::Order>, Problem> {
    Ok(Json(wire(&service.order(id, confined(&identity, ORDER_READERS)).await?)))
}

async fn cancel(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
    command: Command<()>,
) -> Result<Json<api::Order>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    Ok(Json(wire(&service.cancel(id, confined(&identity, HELPERS), &dedup_key).await?.into_inner())))
}

async fn advance(
    State(service): State<OrderService>,
    identity: Identity,
    Path(id): Path<OrderId>,
    command: Command<api::ChangeStatus>,
) -> Result<Json<api::Order>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    Ok(Json(wire(&service.advance(id, &command.body.status, &dedup_key).await?.into_inner())))
}

async fn list(
    State(service): State<OrderService>,
    identity: Identity,
    Query(query): Query<api::OrdersQuery>,
) -> Result<Json<List<api::Order>>, Problem> {
    let api::OrdersQuery { ids, limit, cursor, offset } = query;
    if let Some(ids) = ids {
        let ids: Vec<OrderId> = parse_ids(&ids, limit.is_none() && cursor.is_none() && offset.is_none())?;
        let found = service.many(&ids, confined(&identity, ORDER_READERS)).await?;
        return Ok(Json(List { items: found.iter().map(wire).collect(), total: None, next_cursor: None }));
    }
    let listing = listing(Some(identity.user), &PageQuery { limit, cursor, offset })?;
    Ok(Json(page(service.page(&listing).await?)))
}

async fn list_all(
    State(service): State<OrderService>,
    Query(query): Query<api::AllOrdersQuery>,
) -> Result<Json<List<api::Order>>, Problem> {
    let api::AllOrdersQuery { user_id, limit, cursor, offset } = query;
    let listing = listing(user_id, &PageQuery { limit, cursor, offset })?;
    Ok(Json(page(service.page(&listing).await?)))
}

/// Roles that act for shoppers on their orders.
pub(super) const HELPERS: &[Role] = &[Role::Support];

/// The user to whose orders the caller is confined; `None` (all users) for these roles and admins.
pub(super) fn confined(identity: &Identity, roles: &[Role]) -> Option<UserId> {
    (!identity.has_any(roles)).then_some(identity.user)
}

fn listing(user: Option<UserId>, query: &PageQuery) -> Result<Listing, Problem> {
    let query = query.parse()?;
    let (before, offset) = match query.start {
        Start::First => (None, 0),
        Start::Cursor(cursor) => (Some(decode_cursor(&cursor)?), 0),
        Start::Offset(offset) => (None, offset),
    };
    Ok(Listing { user, size: query.size, before, offset })
}

fn page(page: Page<Order>) -> List<api::Order> {
    let mut page = page.map(|order| wire(&order));
    page.next = page.next.map(|id| encode_cursor(&id));
    page.into()
}

/// Validates the request body; returns every invalid field on error.
fn parse(user: UserId, body: api::NewOrder) -> Result<NewOrder, Vec<FieldError>> {
    let api::NewOrder { items, address_id, shipping_address, payment, expected_total, coupon_code, shipping_method } =
        body;
    let mut wrong = Vec::new();
    let source = items.map_or(Ok(Source::Cart), |items| {
        RequestedLines::parse(items.into_iter().map(item).collect()).map(Source::Items)
    });
    let source = source.map_err(|found| wrong.extend(found)).ok();
    let shipping = match (address_id, shipping_address) {
        (None, None) => Some(Shipping::Unknown),
        (Some(entry), None) => Some(Shipping::AddressBook(entry)),
        (None, Some(address)) => {
            let parsed = AddressText::from(address).parse();
            let within =
                |invalid: Invalid| FieldError::new(format!("shippingAddress.{}", invalid.field), invalid.message);
            parsed.map_err(|found| wrong.extend(found.into_iter().map(within))).ok().map(Shipping::To)
        }
        (Some(_), Some(_)) => {
            wrong.push(FieldError::new("addressId", "cannot stand beside shippingAddress"));
            None
        }
    };
    let pay = payment.map(|api::PayWith { method, token }| PayWith::parse(&method, &token)).transpose();
    let pay = pay.map_err(|found| wrong.extend(found)).ok();
    let coupon = coupon_code.map(|code| CouponCode::parse("couponCode", &code)).transpose();
    let coupon = coupon.map_err(|error| wrong.push(error)).ok();
    let shipping_method = shipping_method.map(|code| MethodCode::parse("shippingMethod", &code)).transpose();
    let shipping_method = shipping_method.map_err(|error| wrong.push(error)).ok();
    match (source, shipping, pay, coupon, shipping_method) {
        (Some(source), Some(shipping), Some(pay), Some(coupon), Some(shipping_method)) => {
            Ok(NewOrder { user, source, shipping, pay, expected_total, coupon, shipping_method })
        }
        _ => Err(wrong),
    }
}

pub(super) fn item(item: api::NewItem) -> (agora_vocab::ProductId, Option<String>, i64) {
    let api::NewItem { product_id, quantity, variant } = item;
    (product_id, variant, quantity)
}
