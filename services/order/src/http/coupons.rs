//! Public HTTP API of coupons: `/api/v1/admin/coupons`.

use agora_api::{
    CursorQuery, List,
    order::{self as api, Moment},
};
use agora_web::{Command, Identity, Json, Path, Problem, Query, Routes, created, page_after};
use axum::{extract::State, response::Response};

use super::{
    dedup_key,
    settings::{Fields, page},
};
use crate::{
    domain::{Coupon, CouponChange, CouponCode, CouponTerms, CouponValue, NewCoupon, uses_limit},
    service::{Error, PriceService},
};

pub fn routes(service: PriceService) -> Routes {
    use api::routes::{CHANGE_COUPON, CREATE_COUPON, LIST_COUPONS, READ_COUPON};
    Routes::new()
        .on(LIST_COUPONS, list)
        .on(CREATE_COUPON, create)
        .on(READ_COUPON, read)
        .on(CHANGE_COUPON, change)
        .with_state(service)
}

async fn list(
    State(service): State<PriceService>,
    Query(query): Query<CursorQuery>,
) -> Result<Json<List<api::Coupon>>, Problem> {
    let (after, size) = page_after(query)?;
    Ok(Json(page(service.coupons(&after, size).await?, wire)))
}

async fn read(State(service): State<PriceService>, Path(code): Path<String>) -> Result<Json<api::Coupon>, Problem> {
    Ok(Json(wire(service.coupon(&named(&code)?).await?)))
}

async fn create(
    State(service): State<PriceService>,
    identity: Identity,
    command: Command<api::NewCoupon>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    let new = parse(command.body)?;
    let coupon = service.create_coupon(&new, &dedup_key).await?.into_inner();
    let location = api::routes::READ_COUPON.path_of([&coupon.code.as_str()]);
    Ok(created(location, wire(coupon)))
}

async fn change(
    State(service): State<PriceService>,
    identity: Identity,
    Path(code): Path<String>,
    command: Command<api::ChangeCoupon>,
) -> Result<Json<api::Coupon>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    let change = parse_change(command.body);
    Ok(Json(wire(service.change_coupon(&named(&code)?, &change, &dedup_key).await?.into_inner())))
}

/// The code in a path; one that no coupon can have is not found.
fn named(code: &str) -> Result<CouponCode, Error> {
    CouponCode::parse("code", code).map_err(|_| Error::NotFound)
}

fn parse(body: api::NewCoupon) -> Result<NewCoupon, Problem> {
    let api::NewCoupon { code, kind, basis_points, amount, minimum_total, valid_from, valid_until, .. } = body;
    let mut fields = Fields::default();
    let code = fields.take(CouponCode::parse("code", &code));
    let value = fields.take(CouponValue::parse(&kind, basis_points, amount));
    let mut limit = |field, uses: Option<i64>| uses.and_then(|uses| fields.take(uses_limit(field, uses)));
    let terms = CouponTerms {
        minimum_total,
        valid_from,
        valid_until,
        uses_max: limit("usesMax", body.uses_max),
        uses_per_user_max: limit("usesPerUserMax", body.uses_per_user_max),
        active: body.active.unwrap_or(true),
    };
    let terms = value.and_then(|value| fields.take_all(terms.check(&value, 0)));
    match (code, value, terms) {
        (Some(code), Some(value), Some(terms)) if fields.is_empty() => Ok(NewCoupon { code, value, terms }),
        _ => Err(fields.into_problem()),
    }
}

fn wire(coupon: Coupon) -> api::Coupon {
    let Coupon { code, value, terms, uses, created_at, updated_at } = coupon;
    let CouponTerms { minimum_total, valid_from, valid_until, uses_max, uses_per_user_max, active } = terms;
    let (kind, basis_points, amount) = match value {
        CouponValue::Percent { basis_points } => ("percent", Some(basis_points), None),
        CouponValue::Fixed { amount } => ("fixed", None, Some(amount)),
    };
    api::Coupon {
        code: code.as_str().to_owned(),
        kind: kind.to_owned(),
        basis_points,
        amount,
        minimum_total,
        valid_from,
        valid_until,
        uses_max,
        uses_per_user_max,
        uses,
        active,
        created_at,
        updated_at,
    }
}

fn parse_change(body: api::ChangeCoupon) -> CouponChange {
    let api::ChangeCoupon { minimum_total, valid_from, valid_until, uses_max, uses_per_user_max, active } = body;
    CouponChange {
        minimum_total,
        valid_from: valid_from.map(|Moment(time)| time),
        valid_until: valid_until.map(|Moment(time)| time),
        uses_max,
        uses_per_user_max,
        active,
    }
}
