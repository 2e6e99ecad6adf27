//! Routes and bodies of the recommendation service.

pub mod routes;

use agora_vocab::{Money, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A product recommended to the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    pub product_id: ProductId,
    pub name: String,
    /// What one unit costs.
    pub price: Money,
    pub category: Option<String>,
    pub image_url: Option<String>,
    pub feedback_stats: FeedbackStats,
    pub reason: Reason,
}

/// Votes of all users on a product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct FeedbackStats {
    pub positive_count: i64,
    pub negative_count: i64,
}

/// Why a product is recommended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// `boughtTogether`: others bought it with a product of the user. `category`: the user bought from its category.
    /// `defaultCategory`: it is from the category that is shown to everybody. `bestSeller`: it sells best.
    #[serde(rename = "type")]
    pub kind: String,
    /// The product of the user, for `boughtTogether`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// The category, for `category` and `defaultCategory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The same in words.
    pub text: String,
}

/// A vote on a product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Feedback {
    pub product_id: ProductId,
    pub is_positive: bool,
}

/// A vote that is counted: the only one of its user on the product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CountedFeedback {
    pub product_id: ProductId,
    pub is_positive: bool,
    /// The votes of all users, this one included.
    pub feedback_stats: FeedbackStats,
}

/// The recomputation of everybody's recommendations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recomputation {
    /// `running`, `requested` or `scheduled`.
    pub state: String,
    /// When the present run, or else the last one, started; absent before the first.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When the last run that ended did.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// When the next scheduled run starts.
    #[serde(with = "time::serde::rfc3339")]
    pub next_at: OffsetDateTime,
    /// Users that the run of `startedAt` has visited.
    pub users: i64,
    /// Users to whom it recommends other products than before.
    pub changed: i64,
}
