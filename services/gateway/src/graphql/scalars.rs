//! Values that several types of the schema have: times, large numbers, money. Must not know any service.

use agora_vocab::Currency;
use async_graphql::{ComplexObject, InputObject, SimpleObject, scalar};
use serde::{Deserialize, Serialize};

/// A time in RFC 3339, as the service wrote it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct DateTime(String);

scalar!(DateTime, "DateTime", "A time in RFC 3339, such as 2026-01-02T03:04:05Z.");

/// A whole number that `Int` cannot represent: the specification gives it 32 bits.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Long(pub i64);

scalar!(Long, "Long", "A whole number of up to 53 bits, which every JSON parser reads exactly.");

/// An amount in minor units of its currency: 1999 and EUR are 19.99 euros.
#[derive(Clone, Debug, Deserialize, SimpleObject)]
#[graphql(complex)]
pub struct Money {
    /// In minor units of the currency.
    pub amount: Long,
    /// An ISO 4217 code.
    pub currency: String,
}

#[ComplexObject]
impl Money {
    /// The amount as a decimal number, to be shown. Not for computing.
    async fn decimal(&self) -> f64 {
        self.as_decimal()
    }
}

impl Money {
    /// The amount as a decimal number, to be shown.
    pub fn as_decimal(&self) -> f64 {
        let exponent = self.currency.parse::<Currency>().map_or(2, Currency::exponent);
        // Always a number: digits with an exponent.
        format!("{}e-{exponent}", self.amount.0).parse().unwrap_or_default()
    }
}

/// An amount in minor units of its currency.
#[derive(InputObject, Serialize)]
pub struct MoneyInput {
    /// Minor units: 1999 for 19.99 euros.
    pub amount: Long,
    /// An ISO 4217 code.
    pub currency: String,
}

#[cfg(test)]
mod tests {
    use super::{Long, Money};

    #[test]
    fn gw4_money_is_shown_with_the_decimals_of_its_currency() {
        let shown = |amount, currency: &str| Money { amount: Long(amount), currency: currency.to_owned() }.as_decimal();
        let expected = [(1999, "EUR", "19.99"), (-5, "EUR", "-0.05"), (1999, "JPY", "1999"), (1999, "KWD", "1.999")];
        for (amount, currency, text) in expected {
            assert_eq!(shown(amount, currency).to_string(), text);
        }
    }
}
