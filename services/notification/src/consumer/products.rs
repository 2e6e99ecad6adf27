//! Campaigns of promotions, and notifications about recommendations.

use agora_events::{
    Envelope,
    promotional::{PromotedProduct, Promotion as PromotionData, PromotionalEvent},
    recommendation::{RecommendationEvent, RecommendedProduct},
};
use serde_json::json;

use super::notification;
use crate::{
    domain::{Content, Kind, LINES_MAX, NewNotification, Priority, Product, Promotion, Recommendation},
    service::CampaignEffect,
};

pub(super) fn of_promotion(envelope: &Envelope, event: PromotionalEvent) -> CampaignEffect {
    match event {
        PromotionalEvent::Started(PromotionData { promotion_id, title, message, products }) => {
            let product = |product: PromotedProduct| {
                let PromotedProduct { product_id: id, name, price, category } = product;
                Product { id, name, price, category }
            };
            let products = products.into_iter().take(LINES_MAX).map(product).collect();
            CampaignEffect::Start(Promotion { promotion_id, title, message, products }, envelope.time)
        }
        PromotionalEvent::Ended(ended) => CampaignEffect::End(ended.promotion_id),
    }
}

/// `None` for a list that became empty.
pub(super) fn of_recommendation(envelope: &Envelope, event: RecommendationEvent) -> Option<NewNotification> {
    let RecommendationEvent::Changed(changed) = event;
    let product = |product: RecommendedProduct| {
        let RecommendedProduct { product_id: id, name, price, category, .. } = product;
        Product { id, name, price, category }
    };
    let products: Vec<Product> = changed.recommendations.into_iter().take(LINES_MAX).map(product).collect();
    let ids: Vec<_> = products.iter().map(|product| product.id).collect();
    let kind = (Kind::Recommendation, Priority::Standard);
    let content = Content::Recommendation(Recommendation { products });
    (!ids.is_empty()).then(|| notification(envelope, changed.user_id, kind, content, json!({ "productIds": ids })))
}
