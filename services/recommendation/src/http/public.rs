//! Public routes: recommendations and votes of a user, and the recomputation for administrators. Depends on wire types and use
//! cases, not on SQL.

use agora_api::{LimitQuery, List, recommendation as api};
use agora_web::{Command, Identity, Json, PageQuery, Problem, Query, Routes};
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;

use super::request;
use crate::{
    domain::{Product, Reason, Recommendation, Votes},
    ports::Recomputation,
    service::RecommendationService,
};

pub(super) fn routes() -> Routes<RecommendationService> {
    use api::routes::{LIST, READ_RECOMPUTATION, RECOMPUTE, VOTE};
    Routes::new().on(LIST, list).on(VOTE, vote).on(READ_RECOMPUTATION, read_recomputation).on(RECOMPUTE, recompute)
}

async fn list(
    State(service): State<RecommendationService>,
    Query(LimitQuery { limit }): Query<LimitQuery>,
    who: Identity,
) -> Result<Json<List<api::Recommendation>>, Problem> {
    let limit = PageQuery { limit, ..PageQuery::default() }.parse()?.size;
    let recommended = service.recommendations(who.user, limit.get().into()).await?;
    let items = recommended.into_iter().map(recommendation).collect();
    Ok(Json(List { items, total: None, next_cursor: None }))
}

async fn vote(
    State(service): State<RecommendationService>,
    who: Identity,
    Command { body, idempotency }: Command<api::Feedback>,
) -> Result<Json<api::CountedFeedback>, Problem> {
    let api::Feedback { product_id, is_positive } = body;
    let votes = service.vote(who.user, product_id, is_positive, &request(who.user, idempotency)).await?;
    let feedback_stats = feedback_stats(votes.into_inner());
    Ok(Json(api::CountedFeedback { product_id, is_positive, feedback_stats }))
}

async fn read_recomputation(State(service): State<RecommendationService>) -> Result<Json<api::Recomputation>, Problem> {
    Ok(Json(recomputation(service.recomputation().await?)))
}

/// A repetition requests the same run, so that no key is stored.
async fn recompute(State(service): State<RecommendationService>, _: Command<()>) -> Result<Response, Problem> {
    let state = recomputation(service.request_recomputation().await?);
    Ok((StatusCode::ACCEPTED, Json(state)).into_response())
}

fn recommendation(Recommendation { product, reason }: Recommendation) -> api::Recommendation {
    let text = reason.text();
    let (kind, product_id, of_category) = match reason {
        Reason::BoughtTogether { with, name: _ } => ("boughtTogether", Some(with), None),
        Reason::Category(name) => ("category", None, Some(name)),
        Reason::DefaultCategory(name) => ("defaultCategory", None, Some(name)),
        Reason::BestSeller => ("bestSeller", None, None),
    };
    let Product { id, name, price, category, image_url, votes } = product;
    api::Recommendation {
        product_id: id,
        name,
        price,
        category,
        image_url,
        feedback_stats: feedback_stats(votes),
        reason: api::Reason { kind: kind.to_owned(), product_id, category: of_category, text },
    }
}

fn feedback_stats(Votes { positive, negative }: Votes) -> api::FeedbackStats {
    api::FeedbackStats { positive_count: positive, negative_count: negative }
}

fn recomputation(state: Recomputation) -> api::Recomputation {
    let Recomputation { running, requested, started_at, finished_at, next_at, users, changed } = state;
    let state = match (running, requested) {
        (true, _) => "running",
        (false, true) => "requested",
        (false, false) => "scheduled",
    };
    api::Recomputation { state: state.to_owned(), started_at, finished_at, next_at, users, changed }
}
