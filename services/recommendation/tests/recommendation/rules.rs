//! The rules on the real store: categories, votes, products bought together, fall-backs.

use agora_chassis::telemetry::{metrics_handle, series_value};
use agora_events::{
    catalog::{ProductDeleted, ProductEvent},
    order::OrderEvent,
};
use agora_vocab::OrderId;
use serde_json::json;

use crate::shop::{Shop, created, fresh, line, numbered, order, stock, user};

#[tokio::test]
async fn re2_unbought_products_in_stock_of_the_category_bought_most_come_first() {
    let shop = Shop::open().await;
    let (lamp, novel) = (shop.sell("Lamp", "Lighting").await, shop.sell("Novel", "Books").await);
    for (name, category) in [("Poems", "Books"), ("Torch", "Lighting"), ("Candle", "Lighting"), ("Doll", "Toys")] {
        shop.sell(name, category).await;
    }
    let sold_out = shop.sell("Chandelier", "Lighting").await;
    shop.deliver(&[stock(sold_out, 2, 0)]).await;
    let gone = shop.sell("Lantern", "Lighting").await;
    let deleted = ProductEvent::Deleted(ProductDeleted { product_id: gone, version: 2 });
    shop.deliver(&[numbered(gone.uuid(), 2, &deleted)]).await;

    let id = OrderId::new(fresh());
    let items = vec![line(lamp, 3), line(novel, 1)];
    shop.deliver(&[numbered(id.uuid(), 2, &OrderEvent::Placed(order(id, shop.me, items)))]).await;

    let items = shop.recommended().await;
    let found: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.reason.kind.as_str())).collect();
    assert_eq!(found, [("Torch", "category"), ("Candle", "category"), ("Poems", "category")]);
    assert_eq!(items[0].reason.text, "Because you bought from Lighting");
    assert_eq!(items[0].reason.category.as_deref(), Some("Lighting"));
}

#[tokio::test]
async fn re2_what_others_bought_together_with_ones_products_comes_first_by_number_of_orders() {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for name in ["Camera", "Tripod", "Film", "Frame"] {
        ids.push(shop.sell(name, "Photo").await);
    }
    let [camera, tripod, film, frame] = ids[..] else { panic!("four products") };
    for products in [&[camera, film][..], &[camera, film, tripod], &[film, frame]] {
        shop.buy(user(), products).await;
    }
    let cancelled = shop.buy(user(), &[camera, frame]).await;
    let withdrawn = OrderEvent::Cancelled(order(cancelled, user(), vec![line(camera, 1), line(frame, 1)]));
    shop.deliver(&[numbered(cancelled.uuid(), 3, &withdrawn)]).await;

    shop.buy(shop.me, &[camera]).await;
    let items = shop.recommended().await;
    let found: Vec<_> = items.iter().map(|item| (item.product_id, item.reason.kind.as_str())).collect();
    assert_eq!(found, [(film, "boughtTogether"), (tripod, "boughtTogether"), (frame, "category")]);
    assert_eq!(items[0].reason.product_id, Some(camera));
    assert_eq!(items[0].reason.text, "Bought together with Camera");
}

#[tokio::test]
async fn re7_within_a_category_the_share_of_positive_votes_times_confidence_decides() {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for name in ["Unvoted", "Disliked", "Liked once", "Liked by most", "Liked by all"] {
        ids.push(shop.sell(name, "Electronics").await);
    }
    // positive / total × (1 − 1 / (1 + total)): 0, 0, 1/2, 4/6, 3/4
    for (product, votes) in ids.iter().zip([(0, 0), (0, 1), (1, 0), (4, 1), (3, 0)]) {
        for positive in std::iter::repeat_n(true, votes.0).chain(std::iter::repeat_n(false, votes.1)) {
            let body = json!({"productId": product, "isPositive": positive});
            let token = shop.keys.token(user(), &[]);
            shop.public.post("/api/v1/recommendations/feedback", body).with(&token).await.expect(200);
        }
    }
    let items = shop.recommended().await;
    let names: Vec<_> = items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names[..3], ["Liked by all", "Liked by most", "Liked once"]);
    assert_eq!(names[3..], ["Unvoted", "Disliked"], "without a score the older product is first");
    let stats = &items[1].feedback_stats;
    assert_eq!((stats.positive_count, stats.negative_count), (4, 1));
}

#[tokio::test]
async fn re8_without_purchases_the_default_category_and_then_best_sellers_are_recommended() {
    let shop = Shop::open().await;
    assert_eq!(shop.names().await, [""; 0], "nothing is made up");
    let (novel, atlas) = (shop.sell("Novel", "Books").await, shop.sell("Atlas", "Books").await);
    shop.sell("Never sold", "Books").await;
    let radio = shop.sell("Radio", "Electronics").await;
    shop.buy(user(), &[novel]).await;
    shop.buy(user(), &[atlas]).await;
    shop.buy(user(), &[atlas]).await;

    let found: Vec<_> = shop.recommended().await.into_iter().map(|item| (item.product_id, item.reason.kind)).collect();
    let expected = [(radio, "defaultCategory"), (atlas, "bestSeller"), (novel, "bestSeller")];
    assert_eq!(found, expected.map(|(id, kind)| (id, kind.to_owned())));
}

#[tokio::test]
async fn re1_a_purchase_counts_until_it_is_cancelled_expired_or_refunded() {
    let shop = Shop::open().await;
    let (lamp, _torch) = (shop.sell("Lamp", "Lighting").await, shop.sell("Torch", "Lighting").await);
    let ends = [OrderEvent::Cancelled, OrderEvent::Expired, OrderEvent::Refunded];
    for end in ends {
        let id = shop.buy(shop.me, &[lamp]).await;
        let of_order = || order(id, shop.me, vec![line(lamp, 1)]);
        shop.deliver(&[numbered(id.uuid(), 3, &OrderEvent::Paid(of_order()))]).await;
        assert_eq!(shop.names().await, ["Torch"]);
        shop.deliver(&[numbered(id.uuid(), 4, &end(of_order()))]).await;
        assert_eq!(shop.names().await, [""; 0]);
    }
    let created = OrderId::new(fresh());
    let not_placed = OrderEvent::Created(order(created, shop.me, vec![line(lamp, 1)]));
    shop.deliver(&[numbered(created.uuid(), 1, &not_placed)]).await;
    assert_eq!(shop.names().await, [""; 0], "an order that is not placed is no purchase");

    // A late payment of an expired order.
    let id = shop.buy(shop.me, &[lamp]).await;
    let of_order = || order(id, shop.me, vec![line(lamp, 1)]);
    shop.deliver(&[numbered(id.uuid(), 3, &OrderEvent::Expired(of_order()))]).await;
    shop.deliver(&[numbered(id.uuid(), 4, &OrderEvent::Paid(of_order()))]).await;
    assert_eq!(shop.names().await, ["Torch"]);
    assert_eq!(shop.count("select units_sold from product where name = 'Lamp'").await, 1);
}

/// The older system pushed only an order's first product.
#[tokio::test]
async fn every_product_of_an_order_is_bought_not_only_the_first() {
    let shop = Shop::open().await;
    let (lamp, novel) = (shop.sell("Lamp", "Lighting").await, shop.sell("Novel", "Books").await);
    shop.sell("Torch", "Lighting").await;
    shop.sell("Poems", "Books").await;
    shop.buy(shop.me, &[lamp, novel]).await;
    assert_eq!(shop.names().await, ["Poems", "Torch"]);
}

#[tokio::test]
async fn a_product_whose_category_is_another_now_counts_for_that_one() {
    let shop = Shop::open().await;
    let (lamp, _doll) = (shop.sell("Lamp", "Lighting").await, shop.sell("Doll", "Toys").await);
    shop.sell("Torch", "Lighting").await;
    shop.buy(shop.me, &[lamp]).await;
    assert_eq!(shop.names().await, ["Torch"]);
    shop.deliver(&[created(lamp, 2, "Toy lamp", "Toys")]).await;
    assert_eq!(shop.names().await, ["Doll"]);
}

#[tokio::test]
async fn de10_orders_that_are_processed_and_recommendations_that_are_generated_are_counted() {
    metrics_handle();
    let names = ["order_processing_duration_seconds_count", "recommendations_generated_total"];
    let counts = || names.map(|name| series_value(name).unwrap_or_default());
    let before = counts();
    let shop = Shop::open().await;
    let lamp = shop.sell("Lamp", "Lighting").await;
    shop.buy(shop.me, &[lamp]).await;
    shop.recommended().await;
    // Delivered twice; other tests of this process count too.
    let after = counts();
    assert!(after[0] >= before[0] + 2.0 && after[1] > before[1], "{before:?} to {after:?}");
}
