//! The merge of a guest's cart into the cart of the user that the guest turned out to be. Pure.

use agora_vocab::{QUANTITY_MAX, Quantity};

use super::{
    cart::{Cart, LINES_MAX, Line, RemovalReason, RemovedLine},
    contents::{Contents, View},
    product::QuoteResult,
};

impl Contents {
    /// Adds the lines of a guest's cart: the units of the same product and variant are summed, up to the stock and the limit
    /// of a line. The user's lines keep their place, units and seen price. The quote contains the guest's products.
    ///
    /// Returns the cart to store and its view. The view lists as removed what did not fit: of another currency or beyond the
    /// limit of lines until the cart's next change, anything else once.
    #[must_use]
    pub fn merge(mut self, guest: Self, quote: &QuoteResult) -> (Cart, View) {
        self.copies.extend(guest.copies);
        self.copies.extend(quote.0.values().flatten().map(|quoted| (quoted.copy.product, quoted.copy.clone())));
        let mut left_out = guest.cart.removed;
        left_out.extend(guest.cart.lines.into_iter().filter_map(|line| self.cart.take_in(line, quote)));
        let (kept, once): (Vec<_>, Vec<_>) = left_out
            .into_iter()
            .partition(|removed| matches!(removed.reason, RemovalReason::Currency | RemovalReason::Full));
        self.cart.keep_removed(kept);
        self.cart.version += 1;
        let mut view = self.view(quote);
        view.removed.extend(once.iter().map(|RemovedLine { line, reason }| self.removed(line, *reason)));
        (self.cart, view)
    }
}

impl Cart {
    /// Adds as many units of a guest's line as fit. Returns the others, if any.
    fn take_in(&mut self, line: Line, quote: &QuoteResult) -> Option<RemovedLine> {
        let stock = quote.of(line.product).and_then(|quoted| quoted.stock_of(&line.variant));
        let Some(stock) = stock else {
            return Some(RemovedLine { line, reason: RemovalReason::Deleted });
        };
        if self.lines.first().is_some_and(|first| first.seen.currency != line.seen.currency) {
            return Some(RemovedLine { line, reason: RemovalReason::Currency });
        }
        let is_full = self.lines.len() >= LINES_MAX;
        let same = |there: &&mut Line| there.product == line.product && there.variant == line.variant;
        let there = self.lines.iter_mut().find(same);
        if there.is_none() && is_full {
            return Some(RemovedLine { line, reason: RemovalReason::Full });
        }
        let held = there.as_ref().map_or(0, |there| there.quantity.get());
        let limit = u32::try_from(stock.max(0)).unwrap_or(QUANTITY_MAX).min(QUANTITY_MAX);
        let added = line.quantity.get().min(limit.saturating_sub(held));
        match (there, units(held + added)) {
            (Some(there), Some(quantity)) => there.quantity = quantity,
            (None, Some(quantity)) => self.lines.push(Line { quantity, ..line.clone() }),
            (_, None) => {}
        }
        let reason = if stock < i64::from(QUANTITY_MAX) { RemovalReason::Stock } else { RemovalReason::Quantity };
        let left_over = units(line.quantity.get() - added)?;
        Some(RemovedLine { line: Line { quantity: left_over, ..line }, reason })
    }
}

/// `None` for zero.
fn units(number: u32) -> Option<Quantity> {
    Quantity::parse(i64::from(number)).ok()
}
