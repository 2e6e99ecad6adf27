//! Promotions: some products that users are notified of, by schedule. Pure.

use std::time::Duration;

use agora_events::promotional::{PromotedProduct, Promotion, PromotionEnded, PromotionalEvent};
use agora_vocab::PromotionId;

use super::{fields::Label, product::Product};

/// Largest number of products of a promotion.
pub const PROMOTED_MAX: u32 = 10;

/// The schedule of promotions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Time from the start of one promotion to the start of the next.
    pub every: Duration,
    /// Title of each promotion.
    pub title: Label,
}

impl Campaign {
    /// The event that a promotion of these products started.
    pub fn started(&self, id: PromotionId, products: &[Product]) -> PromotionalEvent {
        let promoted = |product: &Product| PromotedProduct {
            product_id: product.id,
            name: product.details.name.as_str().to_owned(),
            price: product.details.price.money(),
            category: product.details.category.clone().map(String::from),
        };
        PromotionalEvent::Started(Promotion {
            promotion_id: id,
            title: self.title.as_str().to_owned(),
            message: None,
            products: products.iter().map(promoted).collect(),
        })
    }
}

/// The event that a promotion ended.
pub fn ended(id: PromotionId) -> PromotionalEvent {
    PromotionalEvent::Ended(PromotionEnded { promotion_id: id })
}
