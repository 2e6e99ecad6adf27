//! Results of a search, completions, and recommendations.

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use serde::Deserialize;

use super::catalog::Product;
use crate::graphql::{
    fault::Answer,
    loaders::linked,
    scalars::{Long, Money},
};

/// One page of what a search finds.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    pub items: Vec<Product>,
    /// How many products all pages hold together, where they were counted.
    pub total: Option<Long>,
    /// Whether more products may match than were counted.
    pub total_is_lower_bound: bool,
    /// Value of the argument `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
    /// Values of the filters, where they were counted.
    pub facets: Option<Facets>,
    /// What was searched for instead of a text with words that no product has.
    pub corrected_query: Option<String>,
}

/// Values of the filters, each with the number of products that it would find with the other filters as they are.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    pub category: Vec<FacetValue>,
    pub brand: Vec<FacetValue>,
    /// Ranges of prices that have products.
    pub price: Vec<PriceRange>,
    /// Products of which units can be ordered.
    pub in_stock: Long,
}

/// A value of a filter.
#[derive(Clone, Deserialize, SimpleObject)]
pub struct FacetValue {
    pub value: String,
    /// How many products have it.
    pub count: Long,
}

/// A range of prices, in minor units.
#[derive(Clone, Deserialize, SimpleObject)]
pub struct PriceRange {
    pub currency: String,
    /// The lowest price.
    pub from: Long,
    /// Prices are lower than this; null for the last range.
    pub below: Option<Long>,
    /// How many products have such a price.
    pub count: Long,
}

/// What a text that is being typed may become.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    pub text: String,
    /// `category`, `brand` or `product`.
    pub kind: String,
    /// The product of that name; null for categories and brands.
    pub product_id: Option<ID>,
}

/// A product recommended to the user.
#[derive(Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    pub product_id: ID,
    pub name: String,
    /// What one unit costs.
    pub price: Money,
    pub category: Option<String>,
    pub image_url: Option<String>,
    pub feedback_stats: FeedbackStats,
    pub reason: Reason,
}

#[ComplexObject]
impl Recommendation {
    /// The product as it is now; null if it does not exist any more.
    async fn product(&self, context: &Context<'_>) -> Answer<Product> {
        linked(context, &self.product_id).await
    }
}

/// Votes of all users on a product.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackStats {
    pub positive_count: Long,
    pub negative_count: Long,
}

/// Why a product is recommended.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// `boughtTogether`, `category`, `defaultCategory` or `bestSeller`.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// The product of the user, for `boughtTogether`.
    pub product_id: Option<ID>,
    /// The category, for `category` and `defaultCategory`.
    pub category: Option<String>,
    /// The same in words.
    pub text: String,
}

/// A vote that is counted: the only one of its user on the product.
#[derive(Clone, Deserialize, SimpleObject)]
#[serde(rename_all = "camelCase")]
pub struct CountedFeedback {
    pub product_id: ID,
    pub is_positive: bool,
    /// The votes of all users, this one included.
    pub feedback_stats: FeedbackStats,
}

super::pages! {
    Suggestions of Suggestion;
    Recommendations of Recommendation;
}
