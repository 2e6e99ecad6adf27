//! Messages of the payment provider, which their signature admits. Calls use cases only.

use agora_api::payment::Received;
use agora_web::{BodyFault, Json, Path, Problem, Routes};
use axum::{
    body::Bytes,
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, StatusCode},
};

use crate::service::PaymentService;

/// The header of a signature.
const SIGNATURE: &str = "stripe-signature";

/// Routes of the public port.
pub fn routes() -> Routes<PaymentService> {
    Routes::new().on(agora_api::payment::routes::WEBHOOK, receive)
}

/// The body is read as it was sent: the signature is over its bytes.
async fn receive(
    State(service): State<PaymentService>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Received>, Problem> {
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => BodyFault::TooLarge,
        _ => BodyFault::of(&rejection),
    })?;
    let signature = headers.get(SIGNATURE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    service.receive_event(&provider, signature, &body).await?;
    Ok(Json(Received { received: true }))
}
