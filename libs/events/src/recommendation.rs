//! `recommendation-events`: what a user is recommended.

use agora_vocab::{Money, ProductId, UserId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `recommendation-events`, keyed by user.
    RecommendationEvent on crate::topics::RECOMMENDATION;
    /// Other products are recommended to a user than before; carries the present ones. Once per change.
    "recommendation.changed" => Changed(Recommendations),
}

/// The products recommended to a user, best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recommendations {
    pub user_id: UserId,
    /// Rises by one with each change.
    pub version: i64,
    /// At least one, at most three.
    pub recommendations: Vec<RecommendedProduct>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RecommendedProduct {
    pub product_id: ProductId,
    pub name: String,
    /// Price of one unit when the recommendation was made.
    pub price: Money,
    pub category: Option<String>,
    pub image_url: Option<String>,
    pub feedback_stats: FeedbackStats,
    /// Why it is recommended, in words: `Because you bought from Lighting`.
    pub reason: String,
}

/// Votes of all users on a product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FeedbackStats {
    pub positive_count: i64,
    pub negative_count: i64,
}
