//! Fills the templates: an HTML and a text part of each mail. What users and admins wrote is escaped in the HTML part.

use askama::Template as _;
use uuid::Uuid;

use super::{
    content::{Content, Generic, LINES_MAX, Line, OrderUpdate, PriceChange, Product, UserUpdate},
    notification::{SUBJECT_CHARS_MAX, one_line},
};

/// Addresses of pages of the shop, which mails link to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Base URL of the shop without a slash at its end; mails have no links without it.
    pub public_url: Option<String>,
}

/// What a mail needs besides its content.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub links: &'a Links,
    /// The user's name, if known.
    pub name: Option<&'a str>,
    /// Whether the user can turn such mails off.
    pub optional: bool,
    /// Identifies the picture by which opening the mail is noticed.
    pub tracking: Option<Uuid>,
    /// The token of the mail's link: to set a new password, or to confirm a new address.
    pub token: Option<&'a str>,
}

/// A mail ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line without control characters.
    pub subject: String,
    pub html: String,
    pub text: String,
}

/// Fills the template of `content`.
pub fn render(content: &Content, frame: Frame<'_>) -> Result<Rendered, askama::Error> {
    let subject = one_line(&content.subject(), SUBJECT_CHARS_MAX);
    let shell = Shell::of(&subject, frame);
    let (html, text) = match content {
        Content::UserUpdate(update) => {
            let (sentence, action) = (update.sentence(), action(update, frame));
            let (shell, sentence, action) = (&shell, sentence.as_str(), action.as_ref());
            (UserHtml { shell, sentence, action }.render()?, UserText { shell, sentence, action }.render()?)
        }
        Content::OrderUpdate(order) => {
            let (sentence, url) = (order.sentence(), frame.links.to(&format!("/orders/{}", order.order_id)));
            let (shell, sentence, url) = (&shell, sentence.as_str(), url.as_deref());
            let more = order.lines.len() > LINES_MAX;
            let lines = order.lines.get(..LINES_MAX).unwrap_or(&order.lines);
            (
                OrderHtml { shell, sentence, url, order, lines, more }.render()?,
                OrderText { shell, sentence, url, order, lines, more }.render()?,
            )
        }
        Content::Promotion(promotion) => {
            let products = items(&promotion.products, frame.links);
            let (shell, message, products) = (&shell, promotion.message.as_deref(), products.as_slice());
            let title = promotion.title.as_str();
            (
                PromotionHtml { shell, title, message, products }.render()?,
                PromotionText { shell, title, message, products }.render()?,
            )
        }
        Content::Generic(Generic { text, .. }) => {
            let lines: Vec<&str> = text.lines().collect();
            let (shell, paragraphs) = (&shell, lines.as_slice());
            (GenericHtml { shell, paragraphs }.render()?, GenericText { shell, paragraphs }.render()?)
        }
        Content::CartUpdate(update) => {
            let sentence = update.sentence();
            let lines = [sentence.as_str()];
            let (shell, paragraphs) = (&shell, lines.as_slice());
            (GenericHtml { shell, paragraphs }.render()?, GenericText { shell, paragraphs }.render()?)
        }
        Content::Recommendation(recommendation) => {
            let products = items(&recommendation.products, frame.links);
            let (shell, products) = (&shell, products.as_slice());
            (RecommendationHtml { shell, products }.render()?, RecommendationText { shell, products }.render()?)
        }
        Content::PriceChange(change) => {
            let (sentence, url) = (change.sentence(), frame.links.to(&format!("/products/{}", change.product_id)));
            let (shell, sentence, url) = (&shell, sentence.as_str(), url.as_deref());
            (PriceHtml { shell, sentence, url, change }.render()?, PriceText { shell, sentence, url, change }.render()?)
        }
    };
    Ok(Rendered { subject, html, text })
}

/// What every mail has around its body.
struct Shell {
    subject: String,
    greeting: String,
    shop_url: Option<String>,
    preferences_url: Option<String>,
    tracking_url: Option<String>,
}

/// What the mail asks for: by a link, or by the token itself where the shop has no address.
struct Action {
    label: &'static str,
    url: Option<String>,
    token: String,
}

/// A product with the address of its page.
struct Item<'a> {
    product: &'a Product,
    url: Option<String>,
}

impl Shell {
    fn of(subject: &str, frame: Frame<'_>) -> Self {
        Self {
            subject: subject.to_owned(),
            greeting: frame.name.map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},")),
            shop_url: frame.links.public_url.clone(),
            preferences_url: frame.links.to("/account/preferences").filter(|_| frame.optional),
            tracking_url: frame.tracking.and_then(|id| frame.links.to(&format!("/api/v1/notifications/track/{id}"))),
        }
    }
}

impl Links {
    fn to(&self, path: &str) -> Option<String> {
        self.public_url.as_ref().map(|url| format!("{url}{path}"))
    }
}

fn action(update: &UserUpdate, frame: Frame<'_>) -> Option<Action> {
    let (label, page) = match update {
        UserUpdate::PasswordReset { .. } => ("Set a new password", "reset-password"),
        UserUpdate::EmailConfirmation { .. } => ("Confirm this address", "confirm-email"),
        _ => return None,
    };
    let token = frame.token?.to_owned();
    Some(Action { label, url: frame.links.to(&format!("/{page}?token={token}")), token })
}

fn items<'a>(products: &'a [Product], links: &Links) -> Vec<Item<'a>> {
    let item = |product: &'a Product| Item { product, url: links.to(&format!("/products/{}", product.id)) };
    products.iter().take(LINES_MAX).map(item).collect()
}

/// Declares the two parts of a mail with the same fields.
macro_rules! parts {
    ($($html:ident $html_path:tt, $text:ident $text_path:tt { $($field:ident: $type:ty),* })+) => {$(
        #[derive(askama::Template)]
        #[template(path = $html_path)]
        struct $html<'a> {
            shell: &'a Shell,
            $($field: $type,)*
        }

        #[derive(askama::Template)]
        #[template(path = $text_path)]
        struct $text<'a> {
            shell: &'a Shell,
            $($field: $type,)*
        }
    )+};
}

parts! {
    UserHtml "user_update.html", UserText "user_update.txt" { sentence: &'a str, action: Option<&'a Action> }
    OrderHtml "order_update.html", OrderText "order_update.txt" {
        sentence: &'a str, url: Option<&'a str>, order: &'a OrderUpdate, lines: &'a [Line], more: bool
    }
    PromotionHtml "promotion.html", PromotionText "promotion.txt" {
        title: &'a str, message: Option<&'a str>, products: &'a [Item<'a>]
    }
    GenericHtml "generic.html", GenericText "generic.txt" { paragraphs: &'a [&'a str] }
    RecommendationHtml "recommendation.html", RecommendationText "recommendation.txt" { products: &'a [Item<'a>] }
    PriceHtml "price_change.html", PriceText "price_change.txt" {
        sentence: &'a str, url: Option<&'a str>, change: &'a PriceChange
    }
}
