//! Prices of a product in currencies other than its own. Pure.

use std::collections::BTreeMap;

use agora_vocab::{Currency, Invalid, Money};
use serde::{Deserialize, Serialize};

use super::fields::Price;

/// Most currencies of a product, besides its own.
pub const PRICES_MAX: usize = 20;

/// Prices by currency: at most [`PRICES_MAX`], each at least one minor unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<Currency, Price>);

impl Prices {
    /// Accepts at most [`PRICES_MAX`] prices of a currency each.
    pub fn parse(prices: impl IntoIterator<Item = Money>) -> Result<Self, Invalid> {
        let mut parsed = BTreeMap::new();
        for price in prices {
            let currency = price.currency;
            let price = Price::parse(price)
                .map_err(|Invalid { field: _, message }| Invalid::new("prices", format!("{currency}: {message}")))?;
            if parsed.insert(currency, price).is_some() {
                return Err(Invalid::new("prices", "must have each currency once"));
            }
        }
        if parsed.len() > PRICES_MAX {
            return Err(Invalid::new("prices", format!("must be at most {PRICES_MAX}")));
        }
        Ok(Self(parsed))
    }

    /// Collects stored prices, which were validated before they were stored.
    pub(crate) fn stored(prices: impl IntoIterator<Item = Money>) -> Self {
        Self(prices.into_iter().map(|price| (price.currency, Price::stored(price))).collect())
    }

    /// Rejects a second price in the product's own currency.
    pub fn check_beside(&self, price: Price) -> Result<(), Invalid> {
        let currency = price.money().currency;
        if self.0.contains_key(&currency) {
            return Err(Invalid::new("prices", format!("must not have {currency}, which is the currency of price")));
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The prices in the order of their currencies.
    pub fn iter(&self) -> impl Iterator<Item = Money> {
        self.0.values().map(|price| price.money())
    }

    pub fn get(&self, currency: Currency) -> Option<Price> {
        self.0.get(&currency).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> Money {
        Money { amount, currency: currency.parse().unwrap() }
    }

    #[test]
    fn a_currency_has_one_price_and_it_is_not_the_products_own() {
        let prices = Prices::parse([money(2_199, "USD"), money(300_000, "JPY")]).unwrap();
        assert_eq!(prices.iter().collect::<Vec<_>>(), [money(300_000, "JPY"), money(2_199, "USD")]);
        let own = |currency| Price::parse(money(1, currency)).unwrap();
        assert!(prices.check_beside(own("EUR")).is_ok() && prices.check_beside(own("USD")).is_err());
        assert!(Prices::parse([money(1, "USD"), money(2, "USD")]).is_err());
        assert!(Prices::parse([money(0, "USD")]).is_err());
        let many = (b'A'..=b'U').map(|letter| money(1, &format!("A{}A", char::from(letter))));
        assert!(Prices::parse(many).is_err());
    }
}
