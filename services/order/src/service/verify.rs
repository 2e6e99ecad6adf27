//! Use case that verifies stored orders against their histories.

use std::sync::Arc;

use agora_vocab::OrderId;

use super::Error;
use crate::{domain::Difference, ports::Histories};

/// Orders read at once, which bounds the memory.
const PAGE: u16 = 200;
/// Orders that a report lists.
pub const LISTED_MAX: usize = 100;

/// Compares every order with the order that its history results in. Changes nothing.
#[derive(Clone)]
pub struct VerifyService {
    pub histories: Arc<dyn Histories>,
}

/// What a verification has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Number of orders compared.
    pub checked: u64,
    /// Number of orders that differ from their histories.
    pub differing: u64,
    /// The first [`LISTED_MAX`] of them, by id.
    pub listed: Vec<(OrderId, Difference)>,
}

impl VerifyService {
    /// Verifies all orders by id and calls `progress` after each page. Orders that are created meanwhile may be left out.
    pub async fn verify(&self, mut progress: impl FnMut(&Verification) + Send) -> Result<Verification, Error> {
        let (mut found, mut after) = (Verification::default(), None);
        loop {
            let page = self.histories.page(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.id);
            for stored in page {
                found.checked += 1;
                let id = stored.id;
                let Some(difference) = stored.difference() else { continue };
                found.differing += 1;
                if found.listed.len() < LISTED_MAX {
                    found.listed.push((id, difference));
                }
            }
            progress(&found);
        }
    }
}
