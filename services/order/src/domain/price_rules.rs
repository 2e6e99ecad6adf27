//! What an administrator sets for all orders, and what is read once for many of them. No I/O.

use super::{ShippingMethod, TaxRule};

/// The settings that apply to every new order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceRules {
    pub shipping_methods: Vec<ShippingMethod>,
    pub tax_rules: Vec<TaxRule>,
}
