//! Internal routes: the export and quotes of products, and holds: reserve, commit, release, take back. Depends on wire types and use cases, not on SQL.

use agora_api::catalog as api;
use agora_chassis::trace;
use agora_vocab::{OrderId, Quantity, Variant};
use agora_web::{CommandId, Json, Problem, Query, Routes};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;

use super::wire;
use crate::{
    domain::{Hold, Lines, Seconds},
    service::CatalogService,
};

pub(super) fn routes() -> Routes<CatalogService> {
    use api::routes::{COMMIT, EXPORT, QUOTE, RELEASE, RESERVE, TAKE_BACK};
    Routes::new()
        .on(EXPORT, export)
        .on(QUOTE, quote)
        .on(RESERVE, reserve)
        .on(COMMIT, commit)
        .on(RELEASE, release)
        .on(TAKE_BACK, take_back)
}

async fn export(
    State(catalog): State<CatalogService>,
    Query(query): Query<api::AfterQuery>,
) -> Result<Response, Problem> {
    let lines = wire::export(catalog.export(query.after).await?)?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

async fn quote(
    State(catalog): State<CatalogService>,
    Json(body): Json<api::QuoteRequest>,
) -> Result<Json<api::Quote>, Problem> {
    let quote = catalog.quote(&wire::product_ids("productIds", body.product_ids)?).await?;
    Ok(Json(wire::quote(quote)))
}

async fn reserve(
    State(catalog): State<CatalogService>,
    CommandId(id): CommandId,
    Json(body): Json<api::Reserve>,
) -> Result<Json<api::Reserved>, Problem> {
    let api::Reserve { order_id, hold, lines, seconds } = body;
    trace::note_order(order_id);
    let held = Hold::parse(order_id, hold)?;
    let (lines, seconds) = (parse_lines(lines)?, Seconds::parse(seconds)?);
    let expires_at = catalog.reserve(held, &lines, seconds, id).await?;
    Ok(Json(api::Reserved { order_id, hold, expires_at }))
}

async fn commit(
    State(catalog): State<CatalogService>,
    CommandId(id): CommandId,
    Json(body): Json<api::Hold>,
) -> Result<Json<api::HoldState>, Problem> {
    let state = catalog.commit(parse_hold(&body)?, id).await?;
    Ok(Json(api::HoldState { state: state.as_str().to_owned() }))
}

async fn release(
    State(catalog): State<CatalogService>,
    CommandId(id): CommandId,
    Json(body): Json<api::Hold>,
) -> Result<Json<api::HoldState>, Problem> {
    let state = catalog.release(parse_hold(&body)?, id).await?;
    Ok(Json(api::HoldState { state: state.as_str().to_owned() }))
}

async fn take_back(
    State(catalog): State<CatalogService>,
    Json(body): Json<api::TakeBack>,
) -> Result<Json<api::TakenBack>, Problem> {
    let api::TakeBack { order_id, hold, return_id, lines } = body;
    trace::note_order(order_id);
    let units = catalog.take_back(Hold::parse(order_id, hold)?, return_id, &parse_lines(lines)?).await?;
    Ok(Json(api::TakenBack { units }))
}

fn parse_hold(body: &api::Hold) -> Result<Hold, Problem> {
    let order: OrderId = body.order_id;
    trace::note_order(order);
    Ok(Hold::parse(order, body.hold)?)
}

/// Parses each line separately, so that the error names the line's index.
fn parse_lines(lines: Vec<api::Line>) -> Result<Lines, Problem> {
    let mut parsed = Vec::with_capacity(lines.len());
    for (index, api::Line { product_id, variant, quantity }) in lines.into_iter().enumerate() {
        let at = |field: &str| format!("lines[{index}].{field}");
        let variant = Variant::parse(&variant).map_err(|e| Problem::unprocessable().field(at(e.field), e.message))?;
        let quantity =
            Quantity::parse(i64::from(quantity)).map_err(|e| Problem::unprocessable().field(at(e.field), e.message))?;
        parsed.push((product_id, variant, quantity));
    }
    Ok(Lines::new(parsed)?)
}
