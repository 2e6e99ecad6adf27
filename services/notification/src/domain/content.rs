//! What a notification says, as data: the subject, the sentences of the list, and what its template is filled with.

use agora_vocab::{EmailChangeId, Money, OrderId, PasswordResetId, ProductId, PromotionId};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, macros::format_description};

use super::kinds::Template;

/// Lines or products that one mail shows; an order may have more.
pub const LINES_MAX: usize = 50;

/// What a notification says, by template. Stored as JSON: variants and fields are only added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "template", content = "data", rename_all = "camelCase")]
pub enum Content {
    UserUpdate(UserUpdate),
    OrderUpdate(OrderUpdate),
    Promotion(Promotion),
    Generic(Generic),
    Recommendation(Recommendation),
    CartUpdate(CartUpdate),
    PriceChange(PriceChange),
}

/// What happened to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum UserUpdate {
    Registered,
    SignedIn {
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    ProfileChanged,
    /// The mail goes to the previous address.
    EmailChanged {
        previous_email: String,
        email: String,
    },
    /// The mail goes to the address of the request.
    PasswordReset {
        email: String,
        reset_id: PasswordResetId,
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
    SessionsEnded {
        all: bool,
        reason: String,
    },
    /// The mail goes to the present address.
    EmailChangeRequested {
        email: String,
        new_email: String,
    },
    /// The mail goes to the new address, which may be that of another person.
    EmailConfirmation {
        email: String,
        change_id: EmailChangeId,
        #[serde(with = "time::serde::rfc3339")]
        expires_at: OffsetDateTime,
    },
}

/// What happened to an order or its payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderUpdate {
    pub stage: OrderStage,
    pub order_id: OrderId,
    /// `A-1000001`; events of payments do not have it.
    pub number: Option<String>,
    /// The order's lines; empty for events of payments.
    pub lines: Vec<Line>,
    /// The order's total, or the amount of the payment.
    pub amount: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderStage {
    Placed,
    Paid,
    Processing,
    Shipped,
    Completed,
    Cancelled,
    Expired,
    PaymentDeclined,
    PaymentFailed,
    Refunded,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub quantity: u32,
    /// What one unit costs.
    pub price: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    pub promotion_id: PromotionId,
    pub title: String,
    pub message: Option<String>,
    pub products: Vec<Product>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The product that fits best comes first.
    pub products: Vec<Product>,
}

/// A product as a mail shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    pub id: ProductId,
    pub name: String,
    pub price: Money,
    pub category: Option<String>,
}

/// A product that is no longer sold and left the user's cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartUpdate {
    pub product_id: ProductId,
    /// The product's last name; empty if it is not known.
    pub name: String,
}

/// A product in the user's cart that costs another price than the user knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceChange {
    pub product_id: ProductId,
    pub name: String,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// What one unit cost.
    pub previous_price: Money,
    /// What one unit costs.
    pub price: Money,
}

/// A message that an admin wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generic {
    pub subject: String,
    /// Plain text; line breaks are kept.
    pub text: String,
}

impl Content {
    /// The template that shows it.
    pub const fn template(&self) -> Template {
        match self {
            Self::UserUpdate(_) => Template::UserUpdate,
            Self::OrderUpdate(_) => Template::OrderUpdate,
            Self::Promotion(_) => Template::Promotion,
            Self::Generic(_) | Self::CartUpdate(_) => Template::Generic,
            Self::Recommendation(_) => Template::Recommendation,
            Self::PriceChange(_) => Template::PriceChange,
        }
    }

    /// The subject of the notification and of its mail.
    pub fn subject(&self) -> String {
        match self {
            Self::UserUpdate(update) => update.subject().to_owned(),
            Self::OrderUpdate(update) => update.subject(),
            Self::Promotion(promotion) => promotion.title.clone(),
            Self::Generic(generic) => generic.subject.clone(),
            Self::Recommendation(_) => "Recommended for you".to_owned(),
            Self::CartUpdate(_) => "A product left your cart".to_owned(),
            Self::PriceChange(_) => "A price in your cart changed".to_owned(),
        }
    }

    /// What it says, in one or two sentences of plain text. Without secrets: the list shows it.
    pub fn summary(&self) -> String {
        match self {
            Self::UserUpdate(update) => update.sentence(),
            Self::OrderUpdate(update) => update.sentence(),
            Self::Promotion(promotion) => promotion.message.clone().unwrap_or_else(|| names(&promotion.products)),
            Self::Generic(generic) => generic.text.clone(),
            Self::Recommendation(recommendation) => names(&recommendation.products),
            Self::CartUpdate(update) => update.sentence(),
            Self::PriceChange(change) => change.sentence(),
        }
    }

    /// The address that the mail goes to in place of the user's current one.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::UserUpdate(
                UserUpdate::EmailChanged { previous_email: address, .. }
                | UserUpdate::PasswordReset { email: address, .. }
                | UserUpdate::EmailChangeRequested { email: address, .. }
                | UserUpdate::EmailConfirmation { email: address, .. },
            ) => Some(address),
            _ => None,
        }
    }

    /// The request whose token the mail's link carries.
    pub fn password_reset(&self) -> Option<PasswordResetId> {
        match self {
            Self::UserUpdate(UserUpdate::PasswordReset { reset_id, .. }) => Some(*reset_id),
            _ => None,
        }
    }

    /// The change of the address whose token the mail's link carries.
    pub fn email_change(&self) -> Option<EmailChangeId> {
        match self {
            Self::UserUpdate(UserUpdate::EmailConfirmation { change_id, .. }) => Some(*change_id),
            _ => None,
        }
    }

    /// Whether the mail goes to an address that is not known to be the user's: it must not carry a text that the user chose,
    /// such as a name, to a person who did not ask for it.
    pub const fn is_for_unconfirmed_address(&self) -> bool {
        matches!(self, Self::UserUpdate(UserUpdate::EmailConfirmation { .. }))
    }
}

fn names(products: &[Product]) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = products.iter().take(SHOWN).map(|product| product.name.as_str()).collect();
    let more = if products.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

impl UserUpdate {
    const fn subject(&self) -> &'static str {
        match self {
            Self::Registered => "Welcome",
            Self::SignedIn { .. } => "New sign-in to your account",
            Self::ProfileChanged => "Your account details were changed",
            Self::EmailChanged { .. } => "Your e-mail address was changed",
            Self::PasswordReset { .. } => "Set a new password",
            Self::SessionsEnded { .. } => "You were signed out",
            Self::EmailChangeRequested { .. } => "A change of your e-mail address was requested",
            Self::EmailConfirmation { .. } => "Confirm your e-mail address",
        }
    }

    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Registered => "Your account was created.".to_owned(),
            Self::SignedIn { at } => {
                format!(
                    "There was a new sign-in to your account at {}. If it was not you, change your password.",
                    shown(*at)
                )
            }
            Self::ProfileChanged => {
                "The details of your account were changed. If it was not you, change your password.".to_owned()
            }
            Self::EmailChanged { email, .. } => {
                format!("Mails of your account now go to {email}. If you did not ask for that, contact the shop.")
            }
            Self::PasswordReset { expires_at, .. } => format!(
                "A new password was requested for your account. The link works until {}. If it was not you, do nothing.",
                shown(*expires_at)
            ),
            Self::EmailChangeRequested { new_email, .. } => format!(
                "A change of the e-mail address of your account to {new_email} was requested. If it was not you, change your \
                 password: that cancels the request.",
            ),
            Self::EmailConfirmation { expires_at, .. } => format!(
                "This address was given as the new e-mail address of an account. The link confirms it until {}. If it was not \
                 you, do nothing.",
                shown(*expires_at)
            ),
            Self::SessionsEnded { all, reason } => {
                let what = if *all { "All your sessions were" } else { "A session of yours was" };
                let why = match reason.as_str() {
                    "refresh-token-reused" => "because a stolen token may have been used",
                    "password-changed" => "because the password was changed",
                    "blocked" => "because the account was blocked",
                    "roles-changed" => "because the rights of the account were changed",
                    _ => "for your security",
                };
                format!("{what} ended {why}. Sign in again, and change your password if you did not expect this.")
            }
        }
    }
}

fn shown(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_else(|_| "an unknown time".to_owned())
}

impl OrderUpdate {
    fn name(&self) -> String {
        self.number.as_ref().map_or_else(|| "your order".to_owned(), |number| format!("order {number}"))
    }

    fn subject(&self) -> String {
        let order = self.name();
        let capital = self.number.as_ref().map_or_else(|| "Your order".to_owned(), |number| format!("Order {number}"));
        match self.stage {
            OrderStage::Placed => format!("We received {order}"),
            OrderStage::Paid => format!("{capital} is paid"),
            OrderStage::Processing => format!("{capital} is being prepared"),
            OrderStage::Shipped => format!("{capital} is on its way"),
            OrderStage::Completed => format!("{capital} is complete"),
            OrderStage::Cancelled => format!("{capital} was cancelled"),
            OrderStage::Expired => format!("{capital} has expired"),
            OrderStage::PaymentDeclined => format!("The payment of {order} was declined"),
            OrderStage::PaymentFailed => format!("The payment of {order} failed"),
            OrderStage::Refunded => format!("A refund for {order}"),
        }
    }

    pub(super) fn sentence(&self) -> String {
        let (order, amount) = (self.name(), self.amount);
        match self.stage {
            OrderStage::Placed => format!("Thank you: we received {order} over {amount}."),
            OrderStage::Paid => format!("We received your payment of {amount} for {order}."),
            OrderStage::Processing => format!("We are preparing {order} for delivery."),
            OrderStage::Shipped => format!("We have handed {order} over for delivery."),
            OrderStage::Completed => format!("We have completed {order}."),
            OrderStage::Cancelled => format!("We have cancelled {order}. Money that you paid for it goes back to you."),
            OrderStage::Expired => {
                format!("We did not receive a payment of {amount} for {order} in time, and released its products.")
            }
            OrderStage::PaymentDeclined => {
                format!("Your bank declined the payment of {amount} for {order}. You can try another card.")
            }
            OrderStage::PaymentFailed => format!("The payment of {amount} for {order} failed. Nothing was charged."),
            OrderStage::Refunded => format!("We have returned {amount} for {order}."),
        }
    }

    /// Whether the mail is about the progress between payment and delivery, which users may not want.
    pub(super) const fn is_progress(&self) -> bool {
        matches!(self.stage, OrderStage::Processing | OrderStage::Shipped | OrderStage::Completed)
    }
}

impl CartUpdate {
    pub(super) fn sentence(&self) -> String {
        let name = if self.name.is_empty() { "A product" } else { &self.name };
        format!("{name} is no longer sold and was removed from your cart.")
    }
}

impl PriceChange {
    pub(super) fn sentence(&self) -> String {
        let Self { product_id: _, name, variant, previous_price, price } = self;
        let variant = if variant.is_empty() { String::new() } else { format!(" ({variant})") };
        format!("{name}{variant} in your cart now costs {price}. It cost {previous_price} before.")
    }
}

impl Line {
    /// What the line costs; the price of one unit where that is beyond what can be computed.
    pub fn total(&self) -> Money {
        self.price.checked_mul(i64::from(self.quantity)).unwrap_or(self.price)
    }
}
