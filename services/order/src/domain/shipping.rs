//! Shipping methods: where they deliver, and what they cost for an order. No I/O.

use agora_vocab::{Country, Currency, Invalid, Money, Patch};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{FieldError, ShippingTax};

/// Shipping methods of a shop.
pub const SHIPPING_METHODS_MAX: u16 = 100;
/// Longest code and longest name, in characters.
const CODE_CHARACTERS_MAX: usize = 32;
const NAME_CHARACTERS_MAX: usize = 100;
/// Countries of a method: more than there are.
const COUNTRIES_MAX: usize = 300;
/// Highest price in minor units.
const PRICE_AMOUNT_MAX: i64 = 9_000_000_000;

/// The code of a shipping method: 1 to 32 of a-z, 0-9 and hyphen. Taken in any case and stored in small letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MethodCode(String);

/// The fields of a shipping method that can be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingTerms {
    pub name: String,
    pub price: Money,
    /// Sum of the lines less the discount from which it costs nothing, in minor units of the price's currency.
    pub free_from: Option<i64>,
    /// Where it delivers; everywhere, and to orders without an address, if empty.
    pub countries: Vec<Country>,
    pub active: bool,
}

/// A change of a shipping method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShippingChange {
    pub name: Option<String>,
    pub price: Option<Money>,
    pub free_from: Patch<Money>,
    pub countries: Option<Vec<String>>,
    pub active: Option<bool>,
}

/// A shipping method that is not yet stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShippingMethod {
    pub code: MethodCode,
    pub terms: ShippingTerms,
}

/// A way in which orders are delivered. The code is fixed at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingMethod {
    pub code: MethodCode,
    pub terms: ShippingTerms,
    /// Creation time, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time of the last change, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// How an order is delivered, and what that costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingCharge {
    pub method: MethodCode,
    /// Name of the method at creation of the order.
    pub name: String,
    pub price: Money,
    /// The tax that the price includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<ShippingTax>,
}

/// Why an order cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShippingRefused {
    /// No active method has the code.
    #[error("is not a shipping method of this shop")]
    Unknown,
    #[error("does not deliver to the address of the order")]
    OtherCountry,
    #[error("is for orders in {0}")]
    OtherCurrency(Currency),
    /// The order names no method, and none that exists can deliver it.
    #[error("no shipping method delivers to the address of the order: order to another address")]
    NoneDelivers,
}

impl MethodCode {
    /// Accepts 1 to 32 letters, digits and hyphens; spaces around them are dropped.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
        let code = text.trim().to_ascii_lowercase();
        let fits = (1..=CODE_CHARACTERS_MAX).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits {
            return Ok(Self(code));
        }
        Err(FieldError::new(field, format!("must be 1 to {CODE_CHARACTERS_MAX} letters, digits and hyphens")))
    }

    /// A code that was parsed before it was stored.
    pub(crate) const fn stored(code: String) -> Self {
        Self(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ShippingTerms {
    /// Checks all fields. Returns every invalid one on error.
    pub fn parse(
        name: &str,
        price: Money,
        (free_from, countries): (Option<Money>, &[String]),
        active: bool,
    ) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let name = name.trim();
        if !(1..=NAME_CHARACTERS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            wrong.push(FieldError::new("name", format!("must be one line of 1 to {NAME_CHARACTERS_MAX} characters")));
        }
        if !(0..=PRICE_AMOUNT_MAX).contains(&price.amount) {
            wrong.push(FieldError::new("price.amount", format!("must be from 0 to {PRICE_AMOUNT_MAX} minor units")));
        }
        if let Some(free_from) = free_from {
            if free_from.amount < 1 {
                wrong.push(FieldError::new("freeFrom.amount", "must be more than zero, or absent"));
            }
            if free_from.currency != price.currency {
                wrong.push(FieldError::new("freeFrom.currency", format!("must be {}", price.currency)));
            }
        }
        let countries = parse_countries(countries, &mut wrong);
        let free_from = free_from.map(|free_from| free_from.amount);
        if wrong.is_empty() {
            Ok(Self { name: name.to_owned(), price, free_from, countries, active })
        } else {
            Err(wrong)
        }
    }

    /// The sum from which it costs nothing.
    pub fn free_from(&self) -> Option<Money> {
        self.free_from.map(|amount| Money { amount, ..self.price })
    }

    fn delivers_to(&self, country: Option<&Country>) -> bool {
        self.countries.is_empty() || country.is_some_and(|country| self.countries.contains(country))
    }

    /// What it costs for goods of `goods`.
    fn price_for(&self, goods: Money) -> Money {
        let free = self.free_from.is_some_and(|free_from| goods.amount >= free_from);
        if free { Money::zero(self.price.currency) } else { self.price }
    }
}

/// Sorts the countries and drops repetitions.
fn parse_countries(texts: &[String], wrong: &mut Vec<FieldError>) -> Vec<Country> {
    if texts.len() > COUNTRIES_MAX {
        wrong.push(FieldError::new("countries", format!("must hold at most {COUNTRIES_MAX} countries")));
        return Vec::new();
    }
    let mut countries = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match Country::parse(text) {
            Ok(country) => countries.push(country),
            Err(Invalid { message, .. }) => wrong.push(FieldError::new(format!("countries[{index}]"), message)),
        }
    }
    countries.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    countries.dedup();
    countries
}

impl ShippingMethod {
    /// The terms after a change; every invalid field on error.
    pub fn changed(&self, change: ShippingChange) -> Result<ShippingTerms, Vec<FieldError>> {
        let ShippingChange { name, price, free_from, countries, active } = change;
        let now = &self.terms;
        let free_from = free_from.applied(now.free_from());
        let countries =
            countries.unwrap_or_else(|| now.countries.iter().map(|country| country.as_str().to_owned()).collect());
        ShippingTerms::parse(
            name.as_deref().unwrap_or(&now.name),
            price.unwrap_or(now.price),
            (free_from, &countries),
            active.unwrap_or(now.active),
        )
    }

    fn charge_for(&self, goods: Money) -> ShippingCharge {
        let Self { code, terms, .. } = self;
        ShippingCharge { method: code.clone(), name: terms.name.clone(), price: terms.price_for(goods), tax: None }
    }
}

/// The method, without its tax, of an order to `country` whose lines cost `goods` less the discount: the `wanted` one, else
/// the cheapest that delivers; none if no method is active.
pub(super) fn choose(
    methods: &[ShippingMethod],
    wanted: Option<&MethodCode>,
    (country, goods): (Option<&Country>, Money),
) -> Result<Option<ShippingCharge>, ShippingRefused> {
    let mut active = methods.iter().filter(|method| method.terms.active).peekable();
    if let Some(wanted) = wanted {
        let method = active.find(|method| method.code == *wanted).ok_or(ShippingRefused::Unknown)?;
        if method.terms.price.currency != goods.currency {
            return Err(ShippingRefused::OtherCurrency(method.terms.price.currency));
        }
        if !method.terms.delivers_to(country) {
            return Err(ShippingRefused::OtherCountry);
        }
        return Ok(Some(method.charge_for(goods)));
    }
    if active.peek().is_none() {
        return Ok(None);
    }
    let delivers = |it: &&ShippingMethod| it.terms.price.currency == goods.currency && it.terms.delivers_to(country);
    let charges = active.filter(delivers).map(|method| method.charge_for(goods));
    let cheapest =
        charges.min_by(|one, other| (one.price.amount, &one.method).cmp(&(other.price.amount, &other.method)));
    cheapest.map(Some).ok_or(ShippingRefused::NoneDelivers)
}

#[cfg(test)]
mod tests {
    use agora_vocab::{Country, Currency, Money, Patch};
    use time::macros::datetime;

    use super::{MethodCode, ShippingChange, ShippingMethod, ShippingRefused, ShippingTerms, choose};

    fn eur(amount: i64) -> Money {
        Money { amount, currency: Currency::EUR }
    }

    fn method(code: &str, price: i64, free_from: Option<i64>, countries: &[&str]) -> ShippingMethod {
        let at = datetime!(2026-01-02 03:04:05 UTC);
        let countries: Vec<String> = countries.iter().map(|&country| country.to_owned()).collect();
        let terms = ShippingTerms::parse("Parcel", eur(price), (free_from.map(eur), &countries), true).unwrap();
        ShippingMethod { code: MethodCode::parse("code", code).unwrap(), terms, created_at: at, updated_at: at }
    }

    /// Code and price of the method of an order.
    fn chosen(
        methods: &[ShippingMethod],
        wanted: Option<&str>,
        country: Option<&str>,
        goods: i64,
    ) -> Result<Option<(String, i64)>, ShippingRefused> {
        let wanted = wanted.map(|code| MethodCode::parse("code", code).unwrap());
        let country = country.map(|code| Country::parse(code).unwrap());
        let charge = choose(methods, wanted.as_ref(), (country.as_ref(), eur(goods)))?;
        Ok(charge.map(|charge| (charge.method.as_str().to_owned(), charge.price.amount)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what `chosen` returns")]
    fn found(code: &str, price: i64) -> Result<Option<(String, i64)>, ShippingRefused> {
        Ok(Some((code.to_owned(), price)))
    }

    #[test]
    fn the_cheapest_method_that_delivers_is_taken_unless_the_order_names_one() {
        let methods = [
            method("express", 990, None, &[]),
            method("local", 300, Some(5000), &["DE", "at"]),
            method("standard", 490, None, &["de", "FR"]),
        ];
        assert_eq!(chosen(&methods, None, Some("DE"), 4999), found("local", 300));
        assert_eq!(chosen(&methods, None, Some("DE"), 5000), found("local", 0));
        assert_eq!(chosen(&methods, None, Some("FR"), 5000), found("standard", 490));
        assert_eq!(chosen(&methods, None, Some("US"), 5000), found("express", 990));
        assert_eq!(chosen(&methods, None, None, 5000), found("express", 990));
        assert_eq!(chosen(&methods, Some("EXPRESS"), Some("DE"), 5000), found("express", 990));
        assert_eq!(chosen(&methods, Some("local"), Some("US"), 1), Err(ShippingRefused::OtherCountry));
        assert_eq!(chosen(&methods, Some("drone"), Some("US"), 1), Err(ShippingRefused::Unknown));
        assert_eq!(chosen(&methods[1..], None, Some("US"), 1), Err(ShippingRefused::NoneDelivers));
        assert_eq!(chosen(&methods[1..], None, None, 1), Err(ShippingRefused::NoneDelivers));
    }

    #[test]
    fn methods_of_the_same_price_are_taken_by_code_and_inactive_ones_never() {
        let mut methods = [method("b", 300, None, &[]), method("a", 300, None, &[])];
        assert_eq!(chosen(&methods, None, None, 1), found("a", 300));
        methods[1].terms.active = false;
        assert_eq!(chosen(&methods, None, None, 1), found("b", 300));
        assert_eq!(chosen(&methods, Some("a"), None, 1), Err(ShippingRefused::Unknown));
        methods[0].terms.active = false;
        assert_eq!((chosen(&methods, None, None, 1), chosen(&[], None, None, 1)), (Ok(None), Ok(None)));
    }

    #[test]
    fn a_method_of_another_currency_delivers_no_order() {
        let mut dollars = method("usa", 300, None, &[]);
        dollars.terms.price.currency = "USD".parse().unwrap();
        let refused = Err(ShippingRefused::OtherCurrency(dollars.terms.price.currency));
        assert_eq!(chosen(&[dollars.clone()], Some("usa"), None, 1), refused);
        assert_eq!(chosen(&[dollars], None, None, 1), Err(ShippingRefused::NoneDelivers));
    }

    #[test]
    fn every_invalid_field_is_named_and_a_change_keeps_the_others() {
        let dollars = Money { amount: 0, currency: "USD".parse().unwrap() };
        let countries = ["DE".to_owned(), "UK".to_owned()];
        let wrong = ShippingTerms::parse(" ", eur(-1), (Some(dollars), &countries), true).unwrap_err();
        let fields: Vec<_> = wrong.iter().map(|wrong| wrong.field.as_str()).collect();
        assert_eq!(fields, ["name", "price.amount", "freeFrom.amount", "freeFrom.currency", "countries[1]"]);
        let local = method("local", 300, Some(5000), &["DE", "AT", "DE"]);
        assert_eq!(local.terms.countries.len(), 2);
        let change = ShippingChange { price: Some(eur(400)), ..ShippingChange::default() };
        let terms = local.changed(change).unwrap();
        assert_eq!((terms.price, terms.free_from, terms.countries.len()), (eur(400), Some(5000), 2));
        let change = ShippingChange { free_from: Patch::Remove, active: Some(false), ..ShippingChange::default() };
        let terms = local.changed(change).unwrap();
        assert_eq!((terms.free_from, terms.active), (None, false));
    }
}
