//! What an order says of the person who placed it. No I/O.

use super::Order;

impl Order {
    /// The order without what identifies a person: the shipping address and the reasons of returns.
    #[must_use]
    pub fn without_person(&self) -> Self {
        let mut order = Self { address: None, ..self.clone() };
        for returned in &mut order.returns {
            returned.reason.clear();
        }
        order
    }

    /// The order with address and reasons of returns as `stored`, a state of the same order, has them.
    #[must_use]
    pub fn with_person_of(mut self, stored: Self) -> Self {
        self.address = stored.address;
        for returned in &mut self.returns {
            let same = stored.returns.iter().find(|same| same.id == returned.id);
            returned.reason = same.map(|same| same.reason.clone()).unwrap_or_default();
        }
        self
    }
}
