//! The rules: products bought together with the user's, then the user's categories by units bought, then the default
//! category, then best sellers. Within a category, by votes.
//!
//! Products that the user bought are never recommended, nor those that are deleted or out of stock; the store leaves both out.

use std::collections::{BTreeMap, BTreeSet};

use agora_events::recommendation::{FeedbackStats, RecommendationEvent, Recommendations, RecommendedProduct};
use agora_vocab::{Money, ProductId, UserId};
use serde::{Deserialize, Serialize};

/// Products that are recommended to a user at most.
pub const ITEMS_MAX: usize = 20;
/// The first of them, which an event carries. Another order of the same products is no change.
pub const NOTIFIED_MAX: usize = 3;
/// Categories of a user that count, those bought from most.
pub const CATEGORIES_MAX: usize = 10;
/// Not a category: products without one were once given it.
const UNKNOWN_CATEGORY: &str = "Unknown";

/// What a user bought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<Bought>);

/// A product that a user bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bought {
    pub product: ProductId,
    pub units: i64,
    /// The product's category now, or when it was ordered.
    pub category: Option<String>,
}

/// A product that can be recommended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub id: ProductId,
    pub name: String,
    /// Price of one unit.
    pub price: Money,
    pub category: Option<String>,
    pub image_url: Option<String>,
    pub votes: Votes,
}

/// Votes of all users on a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    pub positive: i64,
    pub negative: i64,
}

/// A product that was bought together with one of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    pub product: Product,
    /// The product of the user with which it was bought most often.
    pub with: ProductId,
    /// Its name; empty if no event of it has arrived.
    pub with_name: String,
}

/// Products that the store offers to the rules, each list best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    pub together: Vec<Together>,
    /// Candidates by the category that they belong to.
    pub of_categories: BTreeMap<String, Vec<Product>>,
    pub best_sellers: Vec<Product>,
}

/// A recommended product and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    pub product: Product,
    pub reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Others bought it with a product of the user, whose name may be empty.
    BoughtTogether {
        with: ProductId,
        name: String,
    },
    /// The user bought from the category.
    Category(String),
    /// It is from the category that is shown to everybody.
    DefaultCategory(String),
    BestSeller,
}

impl History {
    /// The ids of the products.
    pub fn products(&self) -> Vec<ProductId> {
        self.0.iter().map(|bought| bought.product).collect()
    }

    /// The categories by units bought, those with equally many by name; at most [`CATEGORIES_MAX`].
    pub fn categories(&self) -> Vec<String> {
        let mut units = BTreeMap::<&str, i64>::new();
        for Bought { units: bought, category, .. } in &self.0 {
            let Some(category) = category.as_deref().filter(|name| !name.is_empty() && *name != UNKNOWN_CATEGORY)
            else {
                continue;
            };
            let sum = units.entry(category).or_default();
            *sum = sum.saturating_add(*bought);
        }
        let mut categories: Vec<_> = units.into_iter().collect();
        categories.sort_by_key(|(_, units)| std::cmp::Reverse(*units));
        categories.into_iter().take(CATEGORIES_MAX).map(|(name, _)| name.to_owned()).collect()
    }
}

/// Applies the rules: at most [`ITEMS_MAX`] products, each once, best first.
pub fn recommend(history: &History, default_category: &str, candidates: Candidates) -> Vec<Recommendation> {
    let Candidates { together, mut of_categories, best_sellers } = candidates;
    let together = together.into_iter().map(|Together { product, with, with_name }| Recommendation {
        product,
        reason: Reason::BoughtTogether { with, name: with_name },
    });
    let mut own = Vec::new();
    for category in history.categories() {
        for product in of_categories.remove(&category).unwrap_or_default() {
            own.push(Recommendation { product, reason: Reason::Category(category.clone()) });
        }
    }
    let default = of_categories.remove(default_category).unwrap_or_default().into_iter();
    let default =
        default.map(|product| Recommendation { product, reason: Reason::DefaultCategory(default_category.to_owned()) });
    let best = best_sellers.into_iter().map(|product| Recommendation { product, reason: Reason::BestSeller });

    let mut seen: BTreeSet<ProductId> = history.products().into_iter().collect();
    let all = together.chain(own).chain(default).chain(best);
    all.filter(|recommendation| seen.insert(recommendation.product.id)).take(ITEMS_MAX).collect()
}

/// The products of the first [`NOTIFIED_MAX`] recommendations.
pub fn notified(recommendations: &[Recommendation]) -> Vec<ProductId> {
    recommendations.iter().take(NOTIFIED_MAX).map(|recommendation| recommendation.product.id).collect()
}

/// The event that other products are recommended than `before`; `None` if they are the same, or if there are none.
pub fn changed(
    user: UserId,
    version: i64,
    before: &[ProductId],
    recommendations: &[Recommendation],
) -> Option<RecommendationEvent> {
    let now: BTreeSet<_> = notified(recommendations).into_iter().collect();
    if now.is_empty() || now == before.iter().copied().collect() {
        return None;
    }
    let recommendations = recommendations.iter().take(NOTIFIED_MAX).map(Recommendation::to_event).collect();
    Some(RecommendationEvent::Changed(Recommendations { user_id: user, version, recommendations }))
}

impl Recommendation {
    fn to_event(&self) -> RecommendedProduct {
        let Self { product: Product { id, name, price, category, image_url, votes }, reason } = self.clone();
        let Votes { positive, negative } = votes;
        RecommendedProduct {
            product_id: id,
            name,
            price,
            category,
            image_url,
            feedback_stats: FeedbackStats { positive_count: positive, negative_count: negative },
            reason: reason.text(),
        }
    }
}

impl Reason {
    /// The reason in words.
    pub fn text(&self) -> String {
        match self {
            Self::BoughtTogether { name, .. } if name.is_empty() => {
                "Bought together with a product that you bought".to_owned()
            }
            Self::BoughtTogether { name, .. } => format!("Bought together with {name}"),
            Self::Category(category) => format!("Because you bought from {category}"),
            Self::DefaultCategory(category) => format!("Popular in {category}"),
            Self::BestSeller => "Best seller".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Currency;
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> ProductId {
        ProductId::new(Uuid::from_u128(n))
    }

    fn product(n: u128) -> Product {
        let price = Money::zero(Currency::EUR);
        Product { id: id(n), name: format!("P{n}"), price, category: None, image_url: None, votes: Votes::default() }
    }

    fn products(ids: impl IntoIterator<Item = u128>) -> Vec<Product> {
        ids.into_iter().map(product).collect()
    }

    fn bought(n: u128, units: i64, category: &str) -> Bought {
        Bought { product: id(n), units, category: Some(category.to_owned()) }
    }

    fn chosen(recommendations: &[Recommendation]) -> Vec<ProductId> {
        recommendations.iter().map(|recommendation| recommendation.product.id).collect()
    }

    #[test]
    fn re2_categories_count_by_units_and_unknown_ones_do_not() {
        let history = History(vec![
            bought(1, 2, "Books"),
            bought(2, 9, "Unknown"),
            bought(3, 3, "Toys"),
            bought(4, 1, "Books"),
            bought(5, 4, "Garden"),
            bought(6, 9, ""),
            Bought { product: id(7), units: 9, category: None },
        ]);
        assert_eq!(history.categories(), ["Garden", "Books", "Toys"]);
        let many = (0..30).map(|n| bought(n, 1, &format!("C{n:02}"))).collect();
        assert_eq!(History(many).categories().len(), CATEGORIES_MAX);
    }

    #[test]
    fn re2_the_rules_apply_in_their_order_and_no_product_twice() {
        let history = History(vec![bought(1, 1, "Books"), bought(2, 5, "Toys")]);
        let together = vec![Together { product: product(10), with: id(1), with_name: "P1".into() }];
        let of_categories = BTreeMap::from([
            ("Books".to_owned(), products([20, 10])),
            ("Toys".to_owned(), products([30])),
            ("Electronics".to_owned(), products([40, 20])),
        ]);
        let candidates = Candidates { together, of_categories, best_sellers: products([50, 30, 1]) };
        let result = recommend(&history, "Electronics", candidates);
        assert_eq!(chosen(&result), [id(10), id(30), id(20), id(40), id(50)]);
        let texts: Vec<_> = result.iter().map(|recommendation| recommendation.reason.text()).collect();
        assert_eq!(
            texts,
            [
                "Bought together with P1",
                "Because you bought from Toys",
                "Because you bought from Books",
                "Popular in Electronics",
                "Best seller"
            ]
        );
    }

    #[test]
    fn re2_the_default_category_of_a_user_who_bought_from_it_is_their_own() {
        let history = History(vec![bought(1, 1, "Electronics")]);
        let of_categories = BTreeMap::from([("Electronics".to_owned(), products([40]))]);
        let result = recommend(&history, "Electronics", Candidates { of_categories, ..Candidates::default() });
        assert_eq!(result[0].reason, Reason::Category("Electronics".into()));
        assert_eq!(result.len(), 1);
    }

    #[test]
    fn the_number_of_recommendations_is_bounded() {
        let candidates = Candidates { best_sellers: products(1..100), ..Candidates::default() };
        assert_eq!(recommend(&History::default(), "Electronics", candidates).len(), ITEMS_MAX);
    }

    #[test]
    fn re12_only_other_products_among_the_first_are_a_change() {
        let user = UserId::new(Uuid::from_u128(1));
        let of = |ids: &[u128]| -> Vec<_> {
            let all = products(ids.iter().copied()).into_iter();
            all.map(|product| Recommendation { product, reason: Reason::BestSeller }).collect()
        };
        let event = |before: &[u128], now: &[u128]| {
            let before: Vec<_> = before.iter().map(|n| id(*n)).collect();
            changed(user, 4, &before, &of(now))
        };
        assert_eq!(event(&[1, 2, 3], &[3, 1, 2, 9]), None);
        assert_eq!(event(&[1], &[]), None);
        let Some(RecommendationEvent::Changed(changed)) = event(&[1, 2, 3], &[1, 2, 4, 3]) else { panic!("a change") };
        assert_eq!((changed.version, changed.recommendations.len()), (4, NOTIFIED_MAX));
        assert_eq!(changed.recommendations[2].product_id, id(4));
    }
}
