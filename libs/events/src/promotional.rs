//! `promotional-events`: promotions of the catalog. One promotion is one campaign.

use agora_vocab::{Money, ProductId, PromotionId};
use serde::{Deserialize, Serialize};

crate::events! {
    /// Events of `promotional-events`, keyed by promotion.
    PromotionalEvent on crate::topics::PROMOTIONAL;
    /// A promotion began: users who want promotions are notified once.
    "promotion.started" => Started(Promotion),
    /// A promotion is over: no further user is notified.
    "promotion.ended" => Ended(PromotionEnded),
}

/// A promotion as users are notified of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    pub promotion_id: PromotionId,
    /// One line: `Summer sale`.
    pub title: String,
    /// What it is about, in plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The products that it is about.
    pub products: Vec<PromotedProduct>,
}

/// A product of a promotion, at its price during the promotion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PromotedProduct {
    pub product_id: ProductId,
    pub name: String,
    /// What one unit costs.
    pub price: Money,
    /// Its category's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// A promotion that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PromotionEnded {
    pub promotion_id: PromotionId,
}
