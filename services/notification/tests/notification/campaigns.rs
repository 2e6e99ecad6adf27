//! Campaigns of promotions and mails of recommendations.

use agora_events::{
    promotional::{PromotedProduct, Promotion, PromotionEnded, PromotionalEvent},
    recommendation::{FeedbackStats, RecommendationEvent, Recommendations, RecommendedProduct},
    user::{Preferences, UserEvent},
};
use agora_vocab::{ProductId, PromotionId};

use crate::shop::{Shop, account, envelope, eur, fresh, user};

fn promotion() -> Promotion {
    Promotion {
        promotion_id: PromotionId::new(fresh()),
        title: "Summer sale".into(),
        message: Some("Everything that gives light.".into()),
        products: vec![PromotedProduct {
            product_id: ProductId::new(fresh()),
            name: "Desk lamp".into(),
            price: eur(999),
            category: None,
        }],
    }
}

/// Registers users by the hundred; every third wants no promotions. Returns how many want them.
async fn crowd(shop: &Shop, size: usize) -> i64 {
    let events: Vec<_> = (0..size)
        .map(|n| {
            let preferences = Preferences { promotions: n % 3 != 0, ..Preferences::default() };
            envelope(&UserEvent::Registered(account(user(), &format!("user{n}"), preferences)), 1)
        })
        .collect();
    for batch in events.chunks(100) {
        shop.deliver_all(batch.to_vec()).await;
    }
    i64::try_from(size - size.div_ceil(3)).unwrap()
}

async fn finish(shop: &Shop) -> u64 {
    let mut notified = 0;
    while let Some(batch) = shop.service.continue_campaign().await.unwrap() {
        notified += batch;
    }
    notified
}

/// Defects of B (docs/DEFECTS.md): nobody consumed promotions, and a schedule mailed ten random users.
#[tokio::test]
async fn no15_a_promotion_is_mailed_once_to_every_user_who_wants_promotions() {
    let shop = Shop::open().await;
    let willing = crowd(&shop, 800).await;
    let sale = PromotionalEvent::Started(promotion());
    shop.deliver(&sale).await;
    // Two replicas continue the campaign at once.
    let notified = tokio::join!(finish(&shop), finish(&shop));
    assert_eq!(notified.0 + notified.1, willing.unsigned_abs());
    // The same promotion again, as another event.
    shop.deliver(&sale).await;
    assert_eq!(finish(&shop).await, 0);
    assert_eq!(shop.number("select count(distinct user_id) from notification where kind = 'PROMOTION'").await, willing);
    assert_eq!(shop.number("select count(*) from notification where kind = 'PROMOTION'").await, willing);
    assert_eq!(shop.number("select recipients from campaign").await, willing);
    let unwilling = "select count(*) from notification as n join recipient as r using (user_id) \
        where n.kind = 'PROMOTION' and not r.promotions";
    assert_eq!(shop.number(unwilling).await, 0);
}

#[tokio::test]
async fn no15_a_campaign_mail_shows_the_offer_and_the_way_to_the_preferences() {
    let shop = Shop::open().await;
    shop.register("Ada").await;
    let sale = promotion();
    shop.deliver(&PromotionalEvent::Started(sale.clone())).await;
    assert_eq!(finish(&shop).await, 1);
    shop.send().await;
    let mail = &shop.mails_to("ada@example.com")[1];
    assert_eq!(mail.header("subject"), "Summer sale");
    let html = mail.part("text/html");
    for expected in
        ["Everything that gives light.", "Desk lamp", "9.99 EUR", "https://shop.example/account/preferences"]
    {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    let link = format!("https://shop.example/products/{}", sale.products[0].product_id);
    assert!(mail.part("text/plain").contains(&link));
}

#[tokio::test]
async fn no15_a_promotion_that_is_over_or_old_notifies_nobody() {
    let shop = Shop::open().await;
    shop.register("Ada").await;
    let (over, old) = (promotion(), promotion());
    shop.deliver(&PromotionalEvent::Ended(PromotionEnded { promotion_id: over.promotion_id })).await;
    shop.deliver(&PromotionalEvent::Started(over)).await;
    let started = envelope(&PromotionalEvent::Started(old), 1);
    let started = agora_events::Envelope { time: started.time - time::Duration::days(3), ..started };
    shop.deliver_all(vec![started]).await;
    assert_eq!(finish(&shop).await, 0);
    let cut = promotion();
    crowd(&shop, 800).await;
    shop.deliver(&PromotionalEvent::Started(cut.clone())).await;
    assert_eq!(shop.service.continue_campaign().await.unwrap(), Some(500));
    shop.deliver(&PromotionalEvent::Ended(PromotionEnded { promotion_id: cut.promotion_id })).await;
    assert_eq!(finish(&shop).await, 0);
}

#[tokio::test]
async fn no16_recommendations_are_mailed_once_per_change() {
    let shop = Shop::open().await;
    let ada = shop.register("Ada").await;
    let changed = |names: &[&str]| {
        let one = |name: &&str| RecommendedProduct {
            product_id: ProductId::new(fresh()),
            name: (*name).to_owned(),
            price: eur(349),
            category: Some("Lighting".into()),
            image_url: None,
            feedback_stats: FeedbackStats { positive_count: 0, negative_count: 0 },
            reason: "bought together".into(),
        };
        let recommendations = names.iter().map(one).collect();
        RecommendationEvent::Changed(Recommendations { user_id: ada, version: 1, recommendations })
    };
    shop.deliver(&changed(&["Bulb", "Shade"])).await;
    shop.deliver(&changed(&[])).await;
    shop.send().await;
    shop.deliver(&changed(&["Cable"])).await;
    shop.send().await;
    let mails = shop.mails_to("ada@example.com");
    assert_eq!(shop.subjects("ada@example.com"), ["Welcome", "Recommended for you", "Recommended for you"]);
    assert!(mails[1].part("text/html").contains("Shade") && mails[2].part("text/plain").contains("Cable"));
    let listed = shop.list(ada, "?type=RECOMMENDATION").await;
    assert_eq!(listed["items"][1]["content"], "Bulb, Shade");
    assert_eq!(listed["items"][1]["metadata"]["productIds"].as_array().unwrap().len(), 2);
}
