//! Notifications, the rules of their mails, and the mails themselves. Pure: no store, no server, no clock.

mod content;
mod dead_letter;
mod kinds;
mod mail;
mod notification;
mod recipient;
mod retry;
mod sample;
pub mod webhook;

pub use content::{
    CartUpdate, Content, Generic, LINES_MAX, Line, OrderStage, OrderUpdate, PriceChange, Product, Promotion,
    Recommendation, UserUpdate,
};
pub use dead_letter::{DeadLetter, DeadLetterKind, LetterState, MAIL_CONSUMER, Origin};
pub use kinds::{Kind, MailState, Priority, Template};
pub use mail::{Frame, Links, Rendered, render};
pub use notification::{
    CONTENT_CHARS_MAX, NewNotification, Notification, SUBJECT_CHARS_MAX, notification_id, one_line,
};
pub use recipient::{Preferences, Recipient, RecipientChange, Revision, is_wanted};
pub use retry::{Attempt, Bucket, MailFailure, RateLimits, Verdict, verdict};
pub use sample::sample;

#[cfg(test)]
mod tests;
