//! Money: integer minor units and a currency, with arithmetic that refuses rather than wraps or rounds.

use std::{fmt, str::FromStr};

use crate::Invalid;

/// Largest absolute amount in minor units: what a JSON number carries exactly (2^53 - 1, RFC 8259, section 6).
pub const AMOUNT_MAX: i64 = (1 << 53) - 1;

/// An amount in minor units of a currency: `{"amount": 1999, "currency": "EUR"}` is 19.99 euros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Wire")]
pub struct Money {
    /// Minor units, |amount| ≤ [`AMOUNT_MAX`].
    pub amount: i64,
    /// The currency that the minor units are of.
    pub currency: Currency,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    amount: i64,
    currency: Currency,
}

impl TryFrom<Wire> for Money {
    type Error = MoneyError;

    fn try_from(Wire { amount, currency }: Wire) -> Result<Self, MoneyError> {
        Self::new(amount, currency)
    }
}

/// Why a computation with money was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result's absolute value is over [`AMOUNT_MAX`].
    #[error("the amount is beyond what can be kept exactly")]
    Overflow,
    /// Two currencies met.
    #[error("amounts of different currencies cannot be combined")]
    CurrencyMismatch,
    /// A split over nothing.
    #[error("an amount cannot be split over no weights, or over weights that are negative or all zero")]
    NoWeights,
}

impl Money {
    /// An amount within bounds.
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if amount.unsigned_abs() > AMOUNT_MAX.unsigned_abs() {
            return Err(MoneyError::Overflow);
        }
        Ok(Self { amount, currency })
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// The sum, of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        Self::new(self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?, self.currency)
    }

    /// The difference, of one currency; may be negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.checked_add(Self { amount: -other.amount, currency: other.currency })
    }

    /// The amount `factor` times.
    pub fn checked_mul(self, factor: i64) -> Result<Self, MoneyError> {
        Self::new(self.amount.checked_mul(factor).ok_or(MoneyError::Overflow)?, self.currency)
    }

    /// The sum of many amounts of `currency`; nothing sums to zero.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Splits by weight so that the parts sum to the whole: floors first, then one minor unit each to the largest
    /// remainders, earlier parts first among equals (Hamilton's method).
    pub fn split(self, weights: &[i64]) -> Result<Vec<Self>, MoneyError> {
        let whole: i128 = weights.iter().map(|&w| i128::from(w)).sum();
        if weights.iter().any(|&w| w < 0) || whole == 0 {
            return Err(MoneyError::NoWeights);
        }
        let amount = i128::from(self.amount);
        let mut parts: Vec<(i128, i128)> = weights
            .iter()
            .map(|&weight| (amount * i128::from(weight)).div_euclid(whole))
            .zip(weights.iter().map(|&weight| (amount * i128::from(weight)).rem_euclid(whole)))
            .collect();
        let left = amount - parts.iter().map(|(part, _)| part).sum::<i128>();
        let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
        by_remainder.sort_by_key(|&i| std::cmp::Reverse(parts[i].1));
        for &i in by_remainder.iter().take(usize::try_from(left).unwrap_or(0)) {
            parts[i].0 += 1;
        }
        parts
            .into_iter()
            .map(|(part, _)| Self::new(i64::try_from(part).map_err(|_| MoneyError::Overflow)?, self.currency))
            .collect()
    }
}

/// For people: `19.99 EUR`. Nothing computes with it.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let (sign, minor) = (if self.amount < 0 { "-" } else { "" }, self.amount.unsigned_abs());
        match exponent {
            0 => write!(f, "{sign}{minor} {}", self.currency),
            _ => write!(
                f,
                "{sign}{}.{:0width$} {}",
                minor / unit,
                minor % unit,
                self.currency,
                width = exponent as usize
            ),
        }
    }
}

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// Currencies whose minor unit is not a hundredth (ISO 4217, list one).
const WITHOUT_MINOR_UNIT: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF"];
const WITH_THOUSANDTHS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

impl Currency {
    pub const EUR: Self = Self(*b"EUR");

    /// The code, three capital letters.
    pub fn as_str(&self) -> &str {
        // Only capital letters are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimal digits the minor unit is: 0, 2 or 3.
    pub fn exponent(self) -> u32 {
        match self.as_str() {
            code if WITHOUT_MINOR_UNIT.contains(&code) => 0,
            code if WITH_THOUSANDTHS.contains(&code) => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(Invalid::new("currency", "must be an ISO 4217 code like EUR")),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|Invalid { message, .. }| serde::de::Error::custom(message))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
        text.pattern(Some("^[A-Z]{3}$")).description(Some("A currency by its ISO 4217 code.")).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Currency {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AMOUNT_MAX, Currency, Money, MoneyError};

    fn eur(amount: i64) -> Money {
        Money::new(amount, Currency::EUR).unwrap()
    }

    #[test]
    fn wire_format_is_minor_units_and_a_code() {
        assert_eq!(serde_json::to_string(&eur(1999)).unwrap(), r#"{"amount":1999,"currency":"EUR"}"#);
        assert!(serde_json::from_str::<Money>(r#"{"amount":19.99,"currency":"EUR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount":9007199254740992,"currency":"EUR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount":1,"currency":"eur"}"#).is_err());
    }

    #[test]
    fn overflow_and_mixed_currencies_are_refused() {
        let yen = Money::new(1, "JPY".parse().unwrap()).unwrap();
        assert_eq!(eur(AMOUNT_MAX).checked_add(eur(1)), Err(MoneyError::Overflow));
        assert_eq!(eur(AMOUNT_MAX).checked_mul(i64::MAX), Err(MoneyError::Overflow));
        assert_eq!(eur(1).checked_add(yen), Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn people_see_the_currencys_own_decimals() {
        assert_eq!(eur(-1905).to_string(), "-19.05 EUR");
        assert_eq!(Money::new(500, "JPY".parse().unwrap()).unwrap().to_string(), "500 JPY");
        assert_eq!(Money::new(1005, "KWD".parse().unwrap()).unwrap().to_string(), "1.005 KWD");
    }

    proptest! {
        #[test]
        fn the_parts_of_a_split_sum_to_the_whole(amount in -AMOUNT_MAX..=AMOUNT_MAX, weights in prop::collection::vec(0..1_000_000_i64, 1..20)) {
            prop_assume!(weights.iter().any(|&w| w > 0));
            let parts = eur(amount).split(&weights).unwrap();
            prop_assert_eq!(Money::sum(Currency::EUR, parts).unwrap(), eur(amount));
        }
    }
}
