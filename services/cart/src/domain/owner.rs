//! Whose a cart is. Pure.

use std::fmt;

use agora_vocab::UserId;
use serde::{Deserialize, Serialize};

/// SHA-256 of the token of a guest's cart. The token itself is stored nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDigest(pub [u8; 32]);

/// In hexadecimal digits.
impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whose a cart is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    User(UserId),
    /// A visitor without a login, who has the token of the cart.
    Guest(TokenDigest),
}

impl From<UserId> for Owner {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

/// Scope of the idempotency keys of an owner; must never change, because stored keys have it.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Guest(token) => write!(f, "guest {token}"),
        }
    }
}
