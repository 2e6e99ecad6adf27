//! Public HTTP API of shipping methods: `/api/v1/admin/shipping-methods`.

use agora_api::{CursorQuery, List, order as api};
use agora_web::{Command, Identity, Json, Path, Problem, Query, Routes, created, page_after};
use axum::{extract::State, response::Response};

use super::{
    dedup_key,
    settings::{Fields, page},
};
use crate::{
    domain::{MethodCode, NewShippingMethod, ShippingChange, ShippingMethod, ShippingTerms},
    service::{Error, PriceService},
};

pub fn routes(service: PriceService) -> Routes {
    use api::routes::{CHANGE_SHIPPING_METHOD, CREATE_SHIPPING_METHOD, LIST_SHIPPING_METHODS, READ_SHIPPING_METHOD};
    Routes::new()
        .on(LIST_SHIPPING_METHODS, list)
        .on(CREATE_SHIPPING_METHOD, create)
        .on(READ_SHIPPING_METHOD, read)
        .on(CHANGE_SHIPPING_METHOD, change)
        .with_state(service)
}

async fn list(
    State(service): State<PriceService>,
    Query(query): Query<CursorQuery>,
) -> Result<Json<List<api::ShippingMethod>>, Problem> {
    let (after, size) = page_after(query)?;
    Ok(Json(page(service.shipping_methods(&after, size).await?, wire)))
}

async fn read(
    State(service): State<PriceService>,
    Path(code): Path<String>,
) -> Result<Json<api::ShippingMethod>, Problem> {
    Ok(Json(wire(service.shipping_method(&named(&code)?).await?)))
}

async fn create(
    State(service): State<PriceService>,
    identity: Identity,
    command: Command<api::NewShippingMethod>,
) -> Result<Response, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    let new = parse(command.body)?;
    let method = service.create_shipping_method(&new, &dedup_key).await?.into_inner();
    let location = api::routes::READ_SHIPPING_METHOD.path_of([&method.code.as_str()]);
    Ok(created(location, wire(method)))
}

async fn change(
    State(service): State<PriceService>,
    identity: Identity,
    Path(code): Path<String>,
    command: Command<api::ChangeShippingMethod>,
) -> Result<Json<api::ShippingMethod>, Problem> {
    let dedup_key = dedup_key(identity.user, command.idempotency.as_ref());
    let api::ChangeShippingMethod { name, price, free_from, countries, active } = command.body;
    let change = ShippingChange { name, price, free_from, countries, active };
    Ok(Json(wire(service.change_shipping_method(&named(&code)?, &change, &dedup_key).await?.into_inner())))
}

/// The code in a path; one that no method can have is not found.
fn named(code: &str) -> Result<MethodCode, Error> {
    MethodCode::parse("code", code).map_err(|_| Error::NotFound)
}

fn parse(body: api::NewShippingMethod) -> Result<NewShippingMethod, Problem> {
    let api::NewShippingMethod { code, name, price, free_from, countries, active } = body;
    let mut fields = Fields::default();
    let code = fields.take(MethodCode::parse("code", &code));
    let countries = countries.unwrap_or_default();
    let terms = fields.take_all(ShippingTerms::parse(&name, price, (free_from, &countries), active.unwrap_or(true)));
    match (code, terms) {
        (Some(code), Some(terms)) => Ok(NewShippingMethod { code, terms }),
        _ => Err(fields.into_problem()),
    }
}

fn wire(method: ShippingMethod) -> api::ShippingMethod {
    let ShippingMethod { code, terms, created_at, updated_at } = method;
    let free_from = terms.free_from();
    let ShippingTerms { name, price, free_from: _, countries, active } = terms;
    api::ShippingMethod {
        code: code.as_str().to_owned(),
        name,
        price,
        free_from,
        countries: countries.iter().map(|country| country.as_str().to_owned()).collect(),
        active,
        created_at,
        updated_at,
    }
}
