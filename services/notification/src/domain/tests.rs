//! Tests of rules across the files of the domain.

use agora_vocab::{Currency, EmailChangeId, Money, OrderId, PasswordResetId, ProductId, PromotionId, UserId};
use time::macros::datetime;
use uuid::Uuid;

use super::*;

const EVIL: &str = "<script>alert('x')</script> & \"Co\"";

fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

fn links() -> Links {
    Links { public_url: Some("https://shop.example".into()) }
}

fn filled(content: &Content, name: Option<&str>) -> Rendered {
    let links = links();
    let frame = Frame { links: &links, name, optional: true, tracking: Some(Uuid::from_u128(9)), token: Some("t.k") };
    render(content, frame).unwrap()
}

fn order(stage: OrderStage, lines: Vec<Line>) -> Content {
    let order_id = OrderId::new(Uuid::from_u128(1));
    Content::OrderUpdate(OrderUpdate { stage, order_id, number: Some("A-1000001".into()), lines, amount: eur(3998) })
}

fn line(name: &str) -> Line {
    Line { name: name.into(), variant: String::new(), quantity: 2, price: eur(1999) }
}

fn price_change(name: &str, variant: &str) -> Content {
    Content::PriceChange(PriceChange {
        product_id: ProductId::new(Uuid::from_u128(3)),
        name: name.into(),
        variant: variant.into(),
        previous_price: eur(1999),
        price: eur(2199),
    })
}

/// Defect of B (docs/DEFECTS.md): content was not escaped, and loops and conditions of templates were sent as text.
#[test]
fn no2_every_template_escapes_what_people_wrote_and_has_a_text_part() {
    let product =
        Product { id: ProductId::new(Uuid::nil()), name: EVIL.into(), price: eur(1), category: Some(EVIL.into()) };
    let promotion = Promotion {
        promotion_id: PromotionId::new(Uuid::nil()),
        title: EVIL.into(),
        message: Some(EVIL.into()),
        products: vec![product.clone()],
    };
    let contents = [
        Content::UserUpdate(UserUpdate::EmailChanged { previous_email: "a@b.de".into(), email: EVIL.into() }),
        order(OrderStage::Placed, vec![Line { variant: EVIL.into(), ..line(EVIL) }]),
        Content::Promotion(promotion),
        Content::Generic(Generic { subject: EVIL.into(), text: EVIL.into() }),
        Content::Recommendation(Recommendation { products: vec![product] }),
        price_change(EVIL, EVIL),
    ];
    let templates: Vec<_> = contents.iter().map(Content::template).collect();
    assert_eq!(templates, Template::ALL);
    for content in &contents {
        let Rendered { html, text, .. } = filled(content, Some(EVIL));
        assert!(!html.contains("<script>") && html.contains("&#60;script&#62;"), "{html}");
        assert!(text.contains(EVIL), "{text}");
        for part in [&html, &text] {
            assert!(!part.contains("{{") && !part.contains("{%"), "{part}");
        }
    }
}

#[test]
fn ct9_the_mail_of_a_removed_product_names_it_and_escapes_its_name() {
    let content = |name: &str| {
        let (product_id, name) = (ProductId::new(Uuid::nil()), name.into());
        Content::CartUpdate(CartUpdate { product_id, name })
    };
    let mail = filled(&content(EVIL), Some("Ada"));
    assert_eq!(mail.subject, "A product left your cart");
    assert!(!mail.html.contains("<script>") && mail.text.contains(EVIL), "{}", mail.html);
    assert_eq!(content("").summary(), "A product is no longer sold and was removed from your cart.");
    let stored = serde_json::json!({
        "template": "cartUpdate",
        "data": { "productId": Uuid::nil(), "name": "Lamp" },
    });
    assert_eq!(serde_json::to_value(content("Lamp")).unwrap(), stored, "what one build stores, later ones read");
    assert_eq!(serde_json::from_value::<Content>(stored).unwrap(), content("Lamp"));
}

#[test]
fn no2_the_mail_of_a_changed_price_has_both_prices_and_a_link_to_the_product() {
    let mail = filled(&price_change("Desk lamp", "black"), Some("Ada"));
    assert_eq!(mail.subject, "A price in your cart changed");
    let link = "https://shop.example/products/00000000-0000-0000-0000-000000000003";
    for part in [&mail.html, &mail.text] {
        for expected in ["Hello Ada,", "Desk lamp (black)", "19.99 EUR", "21.99 EUR", link] {
            assert!(part.contains(expected), "{expected}: {part}");
        }
    }
    let summary = price_change("Desk lamp", "").summary();
    assert_eq!(summary, "Desk lamp in your cart now costs 21.99 EUR. It cost 19.99 EUR before.");
    let stored = serde_json::json!({
        "template": "priceChange",
        "data": {
            "productId": "00000000-0000-0000-0000-000000000003",
            "name": "Lamp",
            "variant": "",
            "previousPrice": { "amount": 1999, "currency": "EUR" },
            "price": { "amount": 2199, "currency": "EUR" },
        },
    });
    assert_eq!(
        serde_json::to_value(price_change("Lamp", "")).unwrap(),
        stored,
        "what one build stores, later ones read"
    );
    assert_eq!(serde_json::from_value::<Content>(stored).unwrap(), price_change("Lamp", ""));
}

#[test]
fn no2_an_order_mail_names_the_user_the_number_the_lines_and_the_total() {
    let mail = filled(&order(OrderStage::Placed, vec![line("Desk lamp")]), Some("Ada"));
    assert_eq!(mail.subject, "We received order A-1000001");
    for part in [&mail.html, &mail.text] {
        for expected in ["Hello Ada,", "A-1000001", "Desk lamp", "39.98 EUR", "https://shop.example/orders/"] {
            assert!(part.contains(expected), "{expected}: {part}");
        }
    }
    let many = filled(&order(OrderStage::Placed, vec![line("Lamp"); LINES_MAX + 1]), None);
    assert_eq!(many.text.matches("2 x Lamp").count(), LINES_MAX);
    assert!(many.text.contains('…') && many.text.starts_with("Hello,"));
}

#[test]
fn no4_the_mail_of_a_password_reset_has_a_link_with_the_token_and_the_list_does_not() {
    let content = Content::UserUpdate(UserUpdate::PasswordReset {
        email: "ada@example.com".into(),
        reset_id: PasswordResetId::new(Uuid::from_u128(5)),
        expires_at: datetime!(2026-01-02 03:19 UTC),
    });
    let mail = filled(&content, None);
    for part in [&mail.html, &mail.text] {
        assert!(part.contains("https://shop.example/reset-password?token=t.k"), "{part}");
        assert!(part.contains("2026-01-02 03:19 UTC"), "{part}");
    }
    assert!(!content.summary().contains("t.k"));
    let bare = Links::default();
    let frame = Frame { links: &bare, name: None, optional: false, tracking: None, token: Some("t.k") };
    let mail = render(&content, frame).unwrap();
    assert!(mail.text.contains("Your token: t.k") && !mail.html.contains("href"), "{}", mail.html);
}

#[test]
fn the_mail_to_a_new_address_has_a_link_with_the_token_and_the_list_does_not() {
    let content = Content::UserUpdate(UserUpdate::EmailConfirmation {
        email: "countess@example.com".into(),
        change_id: EmailChangeId::new(Uuid::from_u128(6)),
        expires_at: datetime!(2026-01-02 04:04 UTC),
    });
    let mail = filled(&content, None);
    for part in [&mail.html, &mail.text] {
        assert!(part.contains("https://shop.example/confirm-email?token=t.k"), "{part}");
        assert!(part.contains("2026-01-02 04:04 UTC"), "{part}");
    }
    assert!(mail.html.contains("Confirm this address") && !content.summary().contains("t.k"));
    assert_eq!(content.address(), Some("countess@example.com"));
}

#[test]
fn no14_a_mail_has_a_picture_only_if_it_is_tracked() {
    let content = Content::UserUpdate(UserUpdate::Registered);
    assert!(filled(&content, None).html.contains("/api/v1/notifications/track/00000000-0000-0000-0000-000000000009"));
    let links = links();
    let frame = Frame { links: &links, name: None, optional: false, tracking: None, token: None };
    let mail = render(&content, frame).unwrap();
    assert!(!mail.html.contains("<img") && !mail.html.contains("preferences"), "{}", mail.html);
}

#[test]
fn a_subject_is_one_short_line() {
    let content =
        Content::Generic(Generic { subject: format!("a\r\nBcc: x@y.z{}", "ä".repeat(500)), text: "t".into() });
    let subject = filled(&content, None).subject;
    assert!(!subject.contains(['\r', '\n']), "{subject}");
    assert!(subject.chars().count() <= SUBJECT_CHARS_MAX);
}

#[test]
fn no7_progress_promotions_and_recommendations_follow_the_preferences_and_nothing_else_does() {
    let none = Preferences { promotions: false, order_updates: false, recommendations: false };
    let all = Preferences { promotions: true, order_updates: true, recommendations: true };
    let generic = Content::Generic(Generic { subject: "s".into(), text: "t".into() });
    let mut cases: Vec<(Kind, Content, bool)> = Kind::ALL
        .iter()
        .map(|kind| (*kind, generic.clone(), !matches!(kind, Kind::Promotion | Kind::Recommendation)))
        .collect();
    for (stage, always) in [
        (OrderStage::Placed, true),
        (OrderStage::Paid, true),
        (OrderStage::Processing, false),
        (OrderStage::Shipped, false),
        (OrderStage::Completed, false),
        (OrderStage::Cancelled, true),
        (OrderStage::Expired, true),
        (OrderStage::PaymentDeclined, true),
        (OrderStage::PaymentFailed, true),
        (OrderStage::Refunded, true),
    ] {
        cases.push((Kind::OrderUpdate, order(stage, Vec::new()), always));
    }
    let removed = CartUpdate { product_id: ProductId::new(Uuid::nil()), name: "Lamp".into() };
    cases.push((Kind::OrderUpdate, Content::CartUpdate(removed), false));
    cases.push((Kind::OrderUpdate, price_change("Lamp", ""), false));
    for (kind, content, always) in cases {
        assert_eq!(is_wanted(kind, &content, none), always, "{kind:?} {content:?}");
        assert!(is_wanted(kind, &content, all));
    }
}

#[test]
fn no8_a_mail_is_tried_often_and_not_for_ever() {
    let gives_up_at = |priority, failure: &MailFailure, refusals: fn(i32) -> i32| {
        (1..100).find(|number| {
            verdict(priority, Attempt { number: *number, refusals: refusals(number - 1) }, failure) == Verdict::GiveUp
        })
    };
    let not_now = MailFailure::NotNow("away".into());
    assert_eq!(gives_up_at(Priority::Critical, &not_now, |_| 0), Some(20));
    assert_eq!(gives_up_at(Priority::Standard, &not_now, |_| 0), Some(10));
    assert_eq!(gives_up_at(Priority::Critical, &MailFailure::UnknownRecipient, |_| 0), Some(20));
    assert_eq!(
        gives_up_at(Priority::Critical, &MailFailure::Refused("no such mailbox".into()), |before| before),
        Some(3)
    );
}

/// Rows written by one build are found by another.
#[test]
fn the_id_of_a_notification_is_that_of_its_source_and_user() {
    let id = |source: u128, user: u128| notification_id(Uuid::from_u128(source), UserId::new(Uuid::from_u128(user)));
    assert_eq!(id(1, 2), id(1, 2));
    assert_ne!(id(1, 2), id(1, 3));
    assert_ne!(id(1, 2), id(2, 2));
    assert_eq!(id(1, 2).to_string(), "cfc0356d-8612-54eb-a4d2-4ba6b70a12f0");
}

/// What one build stores, later ones read.
#[test]
fn stored_content_keeps_its_form() {
    let json = serde_json::json!({
        "template": "userUpdate",
        "data": { "what": "signedIn", "at": "2026-01-02T03:04:05Z" },
    });
    let content = Content::UserUpdate(UserUpdate::SignedIn { at: datetime!(2026-01-02 03:04:05 UTC) });
    assert_eq!(serde_json::to_value(&content).unwrap(), json);
    for template in Template::ALL {
        let content = sample(*template);
        let json = serde_json::to_string(&content).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        assert!(json.starts_with(&format!(r#"{{"template":"{}""#, template.as_str())), "{json}");
    }
}
