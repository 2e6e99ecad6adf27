//! Routes of the gateway itself: a greeting and a health check.

use agora_api::gateway::routes::{GREETING, HEALTH};
use agora_web::{Json, Routes};
use serde_json::{Value, json};

pub fn routes() -> Routes {
    Routes::new().on(GREETING, greeting).on(HEALTH, health)
}

async fn greeting() -> Json<Value> {
    let routes: Vec<String> =
        agora_topology::ALL.iter().flat_map(|service| service.routes).map(|route| format!("/api/v1{route}")).collect();
    Json(json!({
        "name": "Agora",
        "message": "This is the gateway of a marketplace. Browse GET /api/v1/products, register at POST /api/v1/auth/register.",
        "version": env!("CARGO_PKG_VERSION"),
        "routes": routes,
    }))
}

/// For compatibility and external load balancers; Kubernetes probes the admin port.
async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
