//! Public HTTP API of one payment after its request: confirm, capture, void, log, and the reconciliation. Calls use cases
//! only.

use agora_api::{
    List,
    payment::{Capture, ChallengeAnswer, Difference, LogEntry, Payment as Wire},
};
use agora_vocab::PaymentId;
use agora_web::{Command, Identity, Json, Path, Problem, Routes};
use axum::{extract::State, http::StatusCode};

use super::{confined, wire};
use crate::{domain, ports, service::PaymentService};

/// Routes of the public port.
pub fn routes() -> Routes<PaymentService> {
    use agora_api::payment::routes::{CAPTURE, CHALLENGE, CONFIRM, DIFFERENCES, LOG, VOID_UNCAPTURED};
    Routes::new()
        .on(CONFIRM, confirm)
        .on(CAPTURE, capture)
        .on(VOID_UNCAPTURED, void)
        .on(LOG, log)
        .on(DIFFERENCES, differences)
        .on(CHALLENGE, answer_challenge)
}

async fn confirm(
    State(service): State<PaymentService>,
    who: Identity,
    Path(id): Path<PaymentId>,
    _: Command<()>,
) -> Result<Json<Wire>, Problem> {
    Ok(Json(wire(&service.confirm(id, confined(&who, &[])).await?, None)))
}

async fn capture(
    State(service): State<PaymentService>,
    Path(id): Path<PaymentId>,
    command: Command<Option<Capture>>,
) -> Result<Json<Wire>, Problem> {
    let amount = command.body.unwrap_or_default().amount;
    if amount.is_some_and(|amount| amount.amount <= 0) {
        return Err(Problem::unprocessable().field("amount", "must be greater than zero"));
    }
    Ok(Json(wire(&service.capture(id, amount).await?, None)))
}

async fn void(
    State(service): State<PaymentService>,
    Path(id): Path<PaymentId>,
    _: Command<()>,
) -> Result<Json<Wire>, Problem> {
    Ok(Json(wire(&service.void_for_admin(id).await?, None)))
}

async fn log(
    State(service): State<PaymentService>,
    Path(id): Path<PaymentId>,
) -> Result<Json<List<LogEntry>>, Problem> {
    let entry = |entry: ports::LogEntry| LogEntry {
        at: entry.at,
        kind: entry.kind,
        amount: entry.amount,
        reference_id: entry.reference,
        message: entry.message,
    };
    Ok(Json(list(service.log(id).await?.into_iter().map(entry).collect())))
}

async fn differences(State(service): State<PaymentService>) -> Result<Json<List<Difference>>, Problem> {
    let wire = |difference: domain::Difference| Difference {
        category: difference.category.as_str().to_owned(),
        kind: difference.kind.as_str().to_owned(),
        reference_id: difference.reference,
        here: difference.here,
        there: difference.there,
        at: difference.at,
    };
    Ok(Json(list(service.differences().await?.into_iter().map(wire).collect())))
}

async fn answer_challenge(
    State(service): State<PaymentService>,
    who: Identity,
    Path(reference): Path<String>,
    Json(ChallengeAnswer { approve }): Json<ChallengeAnswer>,
) -> Result<StatusCode, Problem> {
    service.answer_challenge(&reference, confined(&who, &[]), approve).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A list without further pages.
fn list<T>(items: Vec<T>) -> List<T> {
    List { items, total: None, next_cursor: None }
}
