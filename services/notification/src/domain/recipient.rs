//! Users as far as mails need them, and which mails they want.

use agora_vocab::UserId;

use super::{content::Content, kinds::Kind};

/// Where a user's mails go and which the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub email: String,
    pub name: Option<String>,
    pub preferences: Preferences,
}

/// Which mails a user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preferences {
    pub promotions: bool,
    pub order_updates: bool,
    pub recommendations: bool,
}

/// Place of an event among those of its user: a higher recovery epoch is newer than any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    pub epoch: i64,
    /// Sequence number, from 1.
    pub number: i64,
}

/// What an event says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientChange {
    pub user: UserId,
    /// Place of the event among the user's: the newest one wins.
    pub revision: Revision,
    pub email: String,
    /// Name and preferences, if the event has them.
    pub profile: Option<(Option<String>, Preferences)>,
}

/// Whether a user wants the mail. Security, confirmations, and whatever concerns money are always sent.
pub fn is_wanted(kind: Kind, content: &Content, preferences: Preferences) -> bool {
    match (kind, content) {
        (Kind::Promotion, _) => preferences.promotions,
        (Kind::Recommendation, _) => preferences.recommendations,
        (Kind::OrderUpdate, Content::OrderUpdate(update)) if update.is_progress() => preferences.order_updates,
        (Kind::OrderUpdate, Content::CartUpdate(_) | Content::PriceChange(_)) => preferences.order_updates,
        _ => true,
    }
}
