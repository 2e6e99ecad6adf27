//! The topics' names, before the isolation key is put in front.

use std::fmt;

/// A topic by its bare name; on the broker it is `<isolation key>.<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(&'static str);

impl Topic {
    /// The bare name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

pub mod topics {
    use super::Topic;

    /// What users did: registered, logged in, changed their profile.
    pub const USER: Topic = Topic("user-events");
    /// Products created, updated, deleted.
    pub const PRODUCT: Topic = Topic("product-events");
    /// Stock that changed and reservations that expired.
    pub const INVENTORY: Topic = Topic("inventory-events");
    /// Promotions of the catalog.
    pub const PROMOTIONAL: Topic = Topic("promotional-events");
    /// Carts that changed.
    pub const CART: Topic = Topic("cart-events");
    /// The life of orders.
    pub const ORDER: Topic = Topic("order-events");
    /// Captures, declines, voids, refunds.
    pub const PAYMENT: Topic = Topic("payment-events");
    /// Products recommended to users.
    pub const RECOMMENDATION: Topic = Topic("recommendation-events");
    /// What a consumer could not read or handle, written by every consuming service.
    pub const DEAD_LETTER: Topic = Topic("dead-letter-queue");

    /// All of them.
    pub const ALL: [Topic; 9] =
        [USER, PRODUCT, INVENTORY, PROMOTIONAL, CART, ORDER, PAYMENT, RECOMMENDATION, DEAD_LETTER];

    /// The topic of that bare name.
    pub fn named(name: &str) -> Option<Topic> {
        ALL.into_iter().find(|topic| topic.name() == name)
    }
}
