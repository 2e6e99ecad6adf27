//! Samples for the preview of templates.

use agora_vocab::{Currency, Money, OrderId, ProductId, PromotionId};
use uuid::Uuid;

use super::{
    content::{
        Content, Generic, Line, OrderStage, OrderUpdate, PriceChange, Product, Promotion, Recommendation, UserUpdate,
    },
    kinds::Template,
};

/// What a template is filled with in its preview.
pub fn sample(template: Template) -> Content {
    match template {
        Template::UserUpdate => Content::UserUpdate(UserUpdate::Registered),
        Template::OrderUpdate => Content::OrderUpdate(OrderUpdate {
            stage: OrderStage::Placed,
            order_id: OrderId::new(Uuid::nil()),
            number: Some("A-1000001".into()),
            lines: vec![
                Line { name: "Desk lamp".into(), variant: "black".into(), quantity: 2, price: eur(1999) },
                Line { name: "Notebook <A5> & pen".into(), variant: String::new(), quantity: 1, price: eur(450) },
            ],
            amount: eur(4448),
        }),
        Template::Promotion => Content::Promotion(Promotion {
            promotion_id: PromotionId::new(Uuid::nil()),
            title: "Summer sale".into(),
            message: Some("Everything that gives light costs half until Sunday.".into()),
            products: products(),
        }),
        Template::Generic => Content::Generic(Generic {
            subject: "Opening hours".into(),
            text: "Our service is closed on Monday.\nOrders are delivered as usual.".into(),
        }),
        Template::Recommendation => Content::Recommendation(Recommendation { products: products() }),
        Template::PriceChange => Content::PriceChange(PriceChange {
            product_id: ProductId::new(Uuid::nil()),
            name: "Desk lamp".into(),
            variant: "black".into(),
            previous_price: eur(1999),
            price: eur(1799),
        }),
    }
}

fn products() -> Vec<Product> {
    let product = |name: &str, amount| Product {
        id: ProductId::new(Uuid::nil()),
        name: name.into(),
        price: eur(amount),
        category: Some("Lighting".into()),
    };
    vec![product("Desk lamp", 999), product("Bulb", 349)]
}

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}
