//! Taxes that the prices of an order include. No I/O.

use std::str::FromStr;

use agora_vocab::{Country, Money, MoneyError};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{FieldError, status::UnknownState};

/// Highest rate: the tax is as much as the net price.
const BASIS_POINTS_MAX: i64 = 10_000;
/// A whole, in basis points.
const WHOLE: i128 = 10_000;

/// What becomes of a part of a minor unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Up from a half on.
    #[default]
    HalfUp,
    /// Up from more than a half on; a half to the even neighbour.
    HalfEven,
}

/// What a tax rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxCategory {
    /// The lines of an order.
    #[default]
    Goods,
    /// The delivery of an order.
    Shipping,
}

/// How prices and taxes relate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxPolicy {
    /// The prices include the tax.
    #[default]
    Included,
}

/// The fields of a tax rule that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxTerms {
    /// Share of the net price, from 0 to 10000 basis points.
    pub basis_points: i32,
    pub rounding: Rounding,
    pub active: bool,
}

/// A change of a tax rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaxChange {
    pub basis_points: Option<i64>,
    pub rounding: Option<String>,
    pub active: Option<bool>,
}

/// A tax rule that is not yet stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTaxRule {
    pub country: Country,
    pub category: TaxCategory,
    pub terms: TaxTerms,
}

/// The tax of goods or of shipping in orders that go to a country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxRule {
    pub country: Country,
    #[serde(default)]
    pub category: TaxCategory,
    pub terms: TaxTerms,
    /// Creation time, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time of the last change, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The tax of the lines of an order, with the rule as it was at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    pub country: Country,
    pub basis_points: i32,
    pub policy: TaxPolicy,
    pub rounding: Rounding,
    /// Sum of the lines' taxes.
    pub amount: Money,
    /// The tax of each line, in the sequence of the lines, rounded by itself.
    pub lines: Vec<Money>,
}

/// The tax of an order's delivery, with the rule as it was at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingTax {
    pub country: Country,
    pub basis_points: i32,
    pub policy: TaxPolicy,
    pub rounding: Rounding,
    pub amount: Money,
}

impl TaxTerms {
    /// Checks rate and rounding. Returns every invalid field on error.
    pub fn parse(basis_points: i64, rounding: Option<&str>, active: bool) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let within = (0..=BASIS_POINTS_MAX).contains(&basis_points);
        if !within {
            wrong.push(FieldError::new("basisPoints", format!("must be from 0 to {BASIS_POINTS_MAX}")));
        }
        let rounding = rounding.map_or(Ok(Rounding::default()), str::parse);
        let rounding = rounding.unwrap_or_else(|UnknownState| {
            wrong.push(FieldError::new("rounding", "must be half_up or half_even"));
            Rounding::default()
        });
        let basis_points = i32::try_from(basis_points).unwrap_or_default();
        if wrong.is_empty() { Ok(Self { basis_points, rounding, active }) } else { Err(wrong) }
    }
}

impl TaxRule {
    /// The terms after a change; every invalid field on error.
    pub fn changed(&self, change: &TaxChange) -> Result<TaxTerms, Vec<FieldError>> {
        let TaxTerms { basis_points, rounding, active } = self.terms;
        TaxTerms::parse(
            change.basis_points.unwrap_or(i64::from(basis_points)),
            Some(change.rounding.as_deref().unwrap_or(rounding.as_str())),
            change.active.unwrap_or(active),
        )
    }

    /// The tax of an order for whose lines `paid` is paid.
    fn tax_of(&self, paid: &[Money]) -> Result<Option<Tax>, MoneyError> {
        let Some(currency) = paid.first().map(|amount| amount.currency) else { return Ok(None) };
        let TaxTerms { basis_points, rounding, .. } = self.terms;
        let lines: Vec<Money> = paid.iter().map(|gross| included_tax(*gross, basis_points, rounding)).collect();
        let amount = Money::sum(currency, lines.iter().copied())?;
        let (country, policy) = (self.country.clone(), TaxPolicy::Included);
        Ok(Some(Tax { country, basis_points, policy, rounding, amount, lines }))
    }
}

/// The tax of an order to `country` for whose lines `paid` is paid; none without an active rule for goods there.
pub(super) fn tax(rules: &[TaxRule], country: Option<&Country>, paid: &[Money]) -> Result<Option<Tax>, MoneyError> {
    applying(rules, country, TaxCategory::Goods).map_or(Ok(None), |rule| rule.tax_of(paid))
}

/// The tax of a delivery to `country` that costs `price`; none without an active rule for shipping there.
pub(super) fn shipping_tax(rules: &[TaxRule], country: Option<&Country>, price: Money) -> Option<ShippingTax> {
    let TaxRule { country, terms, .. } = applying(rules, country, TaxCategory::Shipping)?;
    let TaxTerms { basis_points, rounding, .. } = *terms;
    let (amount, policy) = (included_tax(price, basis_points, rounding), TaxPolicy::Included);
    Some(ShippingTax { country: country.clone(), basis_points, policy, rounding, amount })
}

fn applying<'a>(rules: &'a [TaxRule], country: Option<&Country>, category: TaxCategory) -> Option<&'a TaxRule> {
    rules.iter().find(|rule| rule.terms.active && rule.category == category && Some(&rule.country) == country)
}

/// The part of `gross`, at least zero, that is tax: gross × rate ÷ (1 + rate).
fn included_tax(gross: Money, basis_points: i32, rounding: Rounding) -> Money {
    let rate = i128::from(basis_points);
    let (part, whole) = (i128::from(gross.amount) * rate, WHOLE + rate);
    let (floor, rest) = (part.div_euclid(whole), part.rem_euclid(whole));
    let up = match (2 * rest).cmp(&whole) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => rounding == Rounding::HalfUp || floor % 2 == 1,
    };
    // At most the gross amount.
    let amount = i64::try_from(floor + i128::from(up)).unwrap_or(gross.amount);
    Money { amount, ..gross }
}

impl Rounding {
    /// All values, in declaration order.
    const ALL: [Self; 2] = [Self::HalfUp, Self::HalfEven];

    /// Name in requests, responses and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HalfUp => "half_up",
            Self::HalfEven => "half_even",
        }
    }
}

impl FromStr for Rounding {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|rounding| rounding.as_str() == text).ok_or(UnknownState)
    }
}

impl TaxCategory {
    /// All values, in declaration order.
    const ALL: [Self; 2] = [Self::Goods, Self::Shipping];

    /// Name in requests, responses and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Goods => "goods",
            Self::Shipping => "shipping",
        }
    }
}

impl FromStr for TaxCategory {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|category| category.as_str() == text).ok_or(UnknownState)
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::{Country, Currency, Money};
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::{Rounding, TaxCategory, TaxChange, TaxRule, TaxTerms, included_tax, shipping_tax, tax};

    fn eur(amount: i64) -> Money {
        Money { amount, currency: Currency::EUR }
    }

    fn rule(country: &str, basis_points: i64) -> TaxRule {
        let at = datetime!(2026-01-02 03:04:05 UTC);
        let terms = TaxTerms::parse(basis_points, None, true).unwrap();
        let (country, category) = (Country::parse(country).unwrap(), TaxCategory::Goods);
        TaxRule { country, category, terms, created_at: at, updated_at: at }
    }

    #[test]
    fn the_included_tax_is_rounded_as_the_rule_says() {
        let amount = |gross, points, rounding| included_tax(eur(gross), points, rounding).amount;
        assert_eq!(amount(11_900, 1_900, Rounding::HalfUp), 1_900);
        assert_eq!(amount(1_999, 1_900, Rounding::HalfUp), 319, "319.17");
        assert_eq!(amount(100, 0, Rounding::HalfUp), 0);
        // With a rate of 100 %, half of the price is tax.
        assert_eq!([1, 3, 5].map(|gross| amount(gross, 10_000, Rounding::HalfUp)), [1, 2, 3]);
        assert_eq!([1, 3, 5].map(|gross| amount(gross, 10_000, Rounding::HalfEven)), [0, 2, 2]);
        let most = agora_vocab::AMOUNT_MAX;
        assert_eq!(amount(most, 10_000, Rounding::HalfUp), i64::midpoint(most, 1));
    }

    #[test]
    fn only_an_active_rule_of_the_country_taxes_an_order() {
        let mut rules = [rule("DE", 1_900), rule("FR", 2_000)];
        let paid = [eur(1_190), eur(119), eur(1)];
        let germany = Country::parse("DE").unwrap();
        let taxed = tax(&rules, Some(&germany), &paid).unwrap().unwrap();
        assert_eq!((taxed.amount, taxed.lines), (eur(209), vec![eur(190), eur(19), eur(0)]));
        assert_eq!(tax(&rules, Some(&Country::parse("US").unwrap()), &paid), Ok(None));
        assert_eq!(tax(&rules, None, &paid), Ok(None));
        rules[0].terms.active = false;
        assert_eq!(tax(&rules, Some(&germany), &paid), Ok(None));
    }

    #[test]
    fn a_delivery_is_taxed_by_the_active_rule_for_shipping_alone_and_rounded_as_it_says() {
        let germany = Country::parse("DE").unwrap();
        let mut rules = [rule("DE", 1_900), TaxRule { category: TaxCategory::Shipping, ..rule("DE", 10_000) }];
        let amount = |rules: &[TaxRule]| shipping_tax(rules, Some(&germany), eur(5)).map(|tax| tax.amount);
        assert_eq!(amount(&rules), Some(eur(3)));
        rules[1].terms.rounding = Rounding::HalfEven;
        assert_eq!(amount(&rules), Some(eur(2)));
        assert_eq!(amount(&rules[..1]), None, "a rule for goods taxes no delivery");
        assert_eq!(tax(&rules[1..], Some(&germany), &[eur(5)]), Ok(None), "nor the other way round");
        assert_eq!(shipping_tax(&rules, Some(&Country::parse("FR").unwrap()), eur(5)), None);
        assert_eq!(shipping_tax(&rules, None, eur(5)), None);
        rules[1].terms.active = false;
        assert_eq!(amount(&rules), None);
    }

    #[test]
    fn a_stored_rule_without_a_category_is_one_of_goods() {
        let mut stored = serde_json::to_value(rule("DE", 1_900)).unwrap();
        assert_eq!(stored.as_object_mut().unwrap().remove("category"), Some(serde_json::json!("goods")));
        assert_eq!(serde_json::from_value::<TaxRule>(stored).unwrap(), rule("DE", 1_900));
    }

    #[test]
    fn rate_and_rounding_are_checked_and_a_change_keeps_the_others() {
        let wrong = TaxTerms::parse(10_001, Some("up"), true).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["basisPoints", "rounding"]);
        let rule = rule("DE", 1_900);
        let change = TaxChange { rounding: Some("half_even".to_owned()), ..TaxChange::default() };
        let changed = rule.changed(&change).unwrap();
        assert_eq!((changed.basis_points, changed.rounding, changed.active), (1_900, Rounding::HalfEven, true));
        assert!(rule.changed(&TaxChange { basis_points: Some(-1), ..TaxChange::default() }).is_err());
    }

    proptest! {
        #[test]
        fn the_taxes_of_the_lines_sum_to_the_tax_and_each_is_within_half_a_unit(
            paid in prop::collection::vec(0..=90_000_000_000_i64, 1..100),
            points in 0..=10_000_i64,
        ) {
            let rules = [rule("DE", points)];
            let paid: Vec<Money> = paid.into_iter().map(eur).collect();
            let taxed = tax(&rules, Some(&rules[0].country), &paid).unwrap().unwrap();
            prop_assert_eq!(Money::sum(Currency::EUR, taxed.lines.iter().copied()), Ok(taxed.amount));
            for (gross, tax) in paid.iter().zip(&taxed.lines) {
                prop_assert!((0..=gross.amount).contains(&tax.amount));
                let (exact, whole) = (i128::from(gross.amount) * i128::from(points), 10_000 + i128::from(points));
                prop_assert!((i128::from(tax.amount) * whole - exact).abs() * 2 <= whole);
            }
        }
    }
}
