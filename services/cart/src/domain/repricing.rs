//! Lines of a cart whose unit price is no longer the one that their user knows. Pure.

use agora_vocab::Money;

use super::{
    cart::{Cart, Line},
    product::QuoteResult,
};

/// A line whose unit price is another one than its user knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepricedLine {
    /// The line with its new price as the reported one.
    pub line: Line,
    /// The product's name.
    pub name: String,
    /// The version of the cart with this change.
    pub version: i64,
    /// Unit price that the user knew.
    pub previous: Money,
    /// Unit price now.
    pub price: Money,
}

impl Line {
    /// The unit price that the user knows: that of the last event about the line, or else the one that the user has seen.
    fn known_price(&self) -> Money {
        self.reported.unwrap_or(self.seen)
    }
}

impl Cart {
    /// Returns the lines whose unit price by the quote is not the one that the user knows, and makes it known. Each of them
    /// is a version of the cart. A line whose price changed and went back in the meantime is none of them; neither is that of a
    /// product or variant that was not quoted or does not exist. What the user sees of the cart does not change.
    pub fn reprice(&mut self, quote: &QuoteResult) -> Vec<RepricedLine> {
        let mut repriced = Vec::new();
        for line in &mut self.lines {
            let Some(quoted) = quote.of(line.product).filter(|quoted| quoted.stock_of(&line.variant).is_some()) else {
                continue;
            };
            let (previous, price) = (line.known_price(), quoted.price_of(&line.variant));
            if price == previous {
                continue;
            }
            line.reported = Some(price).filter(|price| *price != line.seen);
            self.version += 1;
            let (line, name) = (line.clone(), quoted.copy.name.clone());
            repriced.push(RepricedLine { line, name, version: self.version, previous, price });
        }
        repriced
    }
}
