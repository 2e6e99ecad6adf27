//! What the user service says of the account that a cart belongs to. Pure.

use agora_vocab::{Epoch, UserId};

/// An account as of one event. A later event, by epoch and sequence number, replaces an earlier one in any order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountEvent {
    pub user: UserId,
    /// Whether the account was erased. False for one that exists, again after a restore of the user service's database.
    pub erased: bool,
    pub epoch: Epoch,
    pub seq: i64,
}
