//! Coupons: when they apply, and what they take off the price of an order. No I/O.

use std::fmt;

use agora_vocab::{Currency, Money, Patch};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{FieldError, Order, Status};

/// Lengths of a code, in characters.
const CODE_CHARACTERS_MIN: usize = 3;
const CODE_CHARACTERS_MAX: usize = 32;
/// All of the price, in basis points.
const BASIS_POINTS_MAX: i64 = 10_000;
/// Largest limit of uses.
const USES_MAX: i64 = 1_000_000_000;

/// The code of a coupon: 3 to 32 of A-Z, 0-9 and hyphen. Taken in any case and stored in capitals.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CouponCode(String);

/// What a coupon takes off the sum of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CouponValue {
    /// A share of the sum, from 1 to 10000 basis points; rounded down to a minor unit.
    Percent { basis_points: i32 },
    /// A fixed amount, and less for an order that costs less.
    Fixed { amount: Money },
}

/// When and how often a coupon can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponTerms {
    /// Least sum of the lines; orders in another currency do not reach it.
    pub minimum_total: Option<Money>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub valid_from: Option<OffsetDateTime>,
    /// The coupon is no longer valid at this time.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub valid_until: Option<OffsetDateTime>,
    /// Uses in all.
    pub uses_max: Option<i32>,
    /// Uses of one user.
    pub uses_per_user_max: Option<i32>,
    pub active: bool,
}

/// A change of a coupon's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CouponChange {
    pub minimum_total: Patch<Money>,
    pub valid_from: Patch<OffsetDateTime>,
    pub valid_until: Patch<OffsetDateTime>,
    pub uses_max: Patch<i64>,
    pub uses_per_user_max: Patch<i64>,
    pub active: Option<bool>,
}

/// A coupon that is not yet stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCoupon {
    pub code: CouponCode,
    pub value: CouponValue,
    pub terms: CouponTerms,
}

/// A coupon. Code and value are fixed at creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    pub code: CouponCode,
    pub value: CouponValue,
    pub terms: CouponTerms,
    /// Orders that use it, without those that ended before their payment.
    pub uses: i32,
    /// Creation time, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Time of the last change of the terms, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Why a coupon gives no discount on an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CouponRefused {
    /// No coupon has the code, or an administrator has ended it.
    #[error("is not the code of a coupon of this shop")]
    Unknown,
    #[error("is valid from {} on", shown(.0))]
    NotYetValid(OffsetDateTime),
    #[error("was valid until {}", shown(.0))]
    Expired(OffsetDateTime),
    #[error("needs products for at least {0}")]
    BelowMinimum(Money),
    #[error("is for orders in {0}")]
    OtherCurrency(Currency),
    /// The order is so cheap that the discount is nothing.
    #[error("gives no discount on this order")]
    NoDiscount,
}

impl CouponCode {
    /// Accepts 3 to 32 letters, digits and hyphens; spaces around them are dropped.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldError> {
        let code = text.trim().to_ascii_uppercase();
        let fits = (CODE_CHARACTERS_MIN..=CODE_CHARACTERS_MAX).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if fits {
            return Ok(Self(code));
        }
        let message = format!("must be {CODE_CHARACTERS_MIN} to {CODE_CHARACTERS_MAX} letters, digits and hyphens");
        Err(FieldError::new(field, message))
    }

    /// A code that was parsed before it was stored.
    pub(crate) const fn stored(code: String) -> Self {
        Self(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masked: who knows the code can use the coupon.
impl fmt::Debug for CouponCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CouponCode(…)")
    }
}

impl CouponValue {
    /// Accepts `percent` with basis points, or `fixed` with an amount.
    pub fn parse(kind: &str, basis_points: Option<i64>, amount: Option<Money>) -> Result<Self, FieldError> {
        match (kind, basis_points, amount) {
            ("percent", Some(points), None) if (1..=BASIS_POINTS_MAX).contains(&points) => {
                Ok(Self::Percent { basis_points: i32::try_from(points).unwrap_or(i32::MAX) })
            }
            ("percent", Some(_), None) => {
                Err(FieldError::new("basisPoints", format!("must be from 1 to {BASIS_POINTS_MAX}")))
            }
            ("percent", None, None) => Err(FieldError::new("basisPoints", "must stand beside percent")),
            ("percent", _, Some(_)) => Err(FieldError::new("amount", "cannot stand beside percent")),
            ("fixed", None, Some(amount)) if amount.amount > 0 => Ok(Self::Fixed { amount }),
            ("fixed", None, Some(_)) => Err(FieldError::new("amount", "must be more than zero")),
            ("fixed", None, None) => Err(FieldError::new("amount", "must stand beside fixed")),
            ("fixed", Some(_), _) => Err(FieldError::new("basisPoints", "cannot stand beside fixed")),
            _ => Err(FieldError::new("kind", "must be percent or fixed")),
        }
    }
}

impl CouponTerms {
    /// Checks the terms of a coupon of this value that was used `uses` times. Returns every invalid field on error.
    pub fn check(self, value: &CouponValue, uses: i32) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        if self.minimum_total.is_some_and(|minimum| minimum.amount < 1) {
            wrong.push(FieldError::new("minimumTotal", "must be more than zero, or absent"));
        }
        if let (CouponValue::Fixed { amount }, Some(minimum)) = (value, self.minimum_total)
            && amount.currency != minimum.currency
        {
            wrong.push(FieldError::new("minimumTotal.currency", format!("must be {}", amount.currency)));
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && from >= until
        {
            wrong.push(FieldError::new("validUntil", "must be later than validFrom"));
        }
        if self.uses_max.is_some_and(|max| max < uses) {
            wrong.push(FieldError::new("usesMax", format!("must be at least {uses}, the uses until now")));
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }

    fn changed(self, change: &CouponChange) -> Result<Self, Vec<FieldError>> {
        let CouponChange { minimum_total, valid_from, valid_until, uses_max, uses_per_user_max, active } = *change;
        let mut wrong = Vec::new();
        let mut limit = |field, patch: Patch<i64>, now: Option<i32>| {
            let parsed = patch.parsed(|uses| uses_limit(field, uses));
            parsed.map_err(|error| wrong.push(error)).ok().and_then(|patch| patch.applied(now))
        };
        let terms = Self {
            minimum_total: minimum_total.applied(self.minimum_total),
            valid_from: valid_from.applied(self.valid_from),
            valid_until: valid_until.applied(self.valid_until),
            uses_max: limit("usesMax", uses_max, self.uses_max),
            uses_per_user_max: limit("usesPerUserMax", uses_per_user_max, self.uses_per_user_max),
            active: active.unwrap_or(self.active),
        };
        if wrong.is_empty() { Ok(terms) } else { Err(wrong) }
    }
}

/// A limit of uses, from 1.
pub fn uses_limit(field: &str, uses: i64) -> Result<i32, FieldError> {
    let within = (1..=USES_MAX).contains(&uses);
    let limit = i32::try_from(uses).ok().filter(|_| within);
    limit.ok_or_else(|| FieldError::new(field, format!("must be from 1 to {USES_MAX}, or absent")))
}

impl Coupon {
    /// The terms after a change; every invalid field on error.
    pub fn changed(&self, change: &CouponChange) -> Result<CouponTerms, Vec<FieldError>> {
        self.terms.clone().changed(change)?.check(&self.value, self.uses)
    }

    /// Whether all of its uses are claimed, as far as was read.
    pub fn is_used_up(&self) -> bool {
        self.terms.uses_max.is_some_and(|max| self.uses >= max)
    }

    /// The discount on an order whose lines sum to `goods`, at `at`. At least one minor unit is left to pay for the lines,
    /// because no provider captures nothing.
    pub fn discount_on(&self, goods: Money, at: OffsetDateTime) -> Result<Money, CouponRefused> {
        let CouponTerms { minimum_total, valid_from, valid_until, active, .. } = self.terms;
        if !active {
            return Err(CouponRefused::Unknown);
        }
        if let Some(from) = valid_from.filter(|from| at < *from) {
            return Err(CouponRefused::NotYetValid(from));
        }
        if let Some(until) = valid_until.filter(|until| at >= *until) {
            return Err(CouponRefused::Expired(until));
        }
        let fixed = match self.value {
            CouponValue::Fixed { amount } => Some(amount),
            CouponValue::Percent { .. } => None,
        };
        if let Some(other) = [fixed, minimum_total].into_iter().flatten().find(|term| term.currency != goods.currency) {
            return Err(CouponRefused::OtherCurrency(other.currency));
        }
        if let Some(minimum) = minimum_total.filter(|minimum| goods.amount < minimum.amount) {
            return Err(CouponRefused::BelowMinimum(minimum));
        }
        let amount = match self.value {
            CouponValue::Fixed { amount } => amount.amount,
            CouponValue::Percent { basis_points } => share(goods.amount, i64::from(basis_points), BASIS_POINTS_MAX),
        };
        let amount = amount.min(goods.amount - 1);
        if amount < 1 { Err(CouponRefused::NoDiscount) } else { Ok(Money { amount, ..goods }) }
    }
}

/// `amount` × `part` ÷ `whole`, rounded down. The result is at most `amount` where `part` is at most `whole`.
pub(super) fn share(amount: i64, part: i64, whole: i64) -> i64 {
    let share = (i128::from(amount) * i128::from(part)).div_euclid(i128::from(whole.max(1)));
    i64::try_from(share).unwrap_or(i64::MAX)
}

impl Order {
    /// Whether an order that was `before` has ended before its payment and gives the use of its coupon back. True for one change
    /// of an order at most: no order leaves such a status with a coupon.
    pub fn gives_coupon_back(&self, before: &Self) -> bool {
        let ended = matches!(self.progress.status, Status::Rejected | Status::Cancelled | Status::Expired);
        let open = matches!(before.progress.status, Status::Created | Status::Pending);
        self.charges.discount.is_some() && open && ended
    }
}

fn shown(time: &OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| "another time".to_owned())
}

#[cfg(test)]
mod tests {
    use agora_vocab::{Currency, Money, Patch};
    use proptest::prelude::*;
    use time::{Duration, OffsetDateTime, macros::datetime};

    use super::{Coupon, CouponChange, CouponCode, CouponRefused, CouponTerms, CouponValue};

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    fn eur(amount: i64) -> Money {
        Money { amount, currency: Currency::EUR }
    }

    fn coupon(value: CouponValue) -> Coupon {
        let terms = CouponTerms {
            minimum_total: None,
            valid_from: None,
            valid_until: None,
            uses_max: None,
            uses_per_user_max: None,
            active: true,
        };
        let code = CouponCode::parse("code", "SUMMER-26").unwrap();
        Coupon { code, value, terms, uses: 0, created_at: NOW, updated_at: NOW }
    }

    fn percent(basis_points: i32) -> Coupon {
        coupon(CouponValue::Percent { basis_points })
    }

    #[test]
    fn a_code_is_taken_in_any_case_and_never_printed() {
        let code = CouponCode::parse("code", " summer-26 ").unwrap();
        assert_eq!((code.as_str(), format!("{code:?}").contains("SUMMER")), ("SUMMER-26", false));
        for wrong in ["", "AB", "A B C", "ÄBC", "A_BC", &"X".repeat(33)] {
            assert_eq!(CouponCode::parse("couponCode", wrong).unwrap_err().field, "couponCode", "{wrong}");
        }
    }

    #[test]
    fn a_value_is_a_percentage_or_an_amount() {
        assert_eq!(CouponValue::parse("percent", Some(1250), None), Ok(CouponValue::Percent { basis_points: 1250 }));
        assert_eq!(CouponValue::parse("fixed", None, Some(eur(500))), Ok(CouponValue::Fixed { amount: eur(500) }));
        let fields = [
            ("percent", None, None, "basisPoints"),
            ("percent", Some(0), None, "basisPoints"),
            ("percent", Some(10_001), None, "basisPoints"),
            ("percent", Some(1), Some(eur(1)), "amount"),
            ("fixed", None, None, "amount"),
            ("fixed", None, Some(eur(0)), "amount"),
            ("fixed", Some(1), Some(eur(1)), "basisPoints"),
            ("gift", None, None, "kind"),
        ];
        for (kind, points, amount, field) in fields {
            assert_eq!(CouponValue::parse(kind, points, amount).unwrap_err().field, field, "{kind}");
        }
    }

    #[test]
    fn a_coupon_applies_from_its_first_time_until_its_last() {
        let mut coupon = percent(1000);
        (coupon.terms.valid_from, coupon.terms.valid_until) = (Some(NOW), Some(NOW + Duration::DAY));
        let second = Duration::SECOND;
        assert_eq!(coupon.discount_on(eur(999), NOW - second), Err(CouponRefused::NotYetValid(NOW)));
        assert_eq!(coupon.discount_on(eur(999), NOW), Ok(eur(99)));
        assert_eq!(coupon.discount_on(eur(999), NOW + Duration::DAY - second), Ok(eur(99)));
        let end = NOW + Duration::DAY;
        assert_eq!(coupon.discount_on(eur(999), end), Err(CouponRefused::Expired(end)));
        coupon.terms.active = false;
        assert_eq!(coupon.discount_on(eur(999), NOW), Err(CouponRefused::Unknown));
    }

    #[test]
    fn an_order_below_the_minimum_or_in_another_currency_has_no_discount() {
        let mut coupon = coupon(CouponValue::Fixed { amount: eur(500) });
        coupon.terms.minimum_total = Some(eur(2000));
        assert_eq!(coupon.discount_on(eur(1999), NOW), Err(CouponRefused::BelowMinimum(eur(2000))));
        assert_eq!(coupon.discount_on(eur(2000), NOW), Ok(eur(500)));
        let dollars = Money { amount: 9999, currency: "USD".parse().unwrap() };
        assert_eq!(coupon.discount_on(dollars, NOW), Err(CouponRefused::OtherCurrency(Currency::EUR)));
        coupon.terms.minimum_total = None;
        assert_eq!(coupon.discount_on(eur(400), NOW), Ok(eur(399)), "a payment is at least one minor unit");
        assert_eq!(coupon.discount_on(eur(1), NOW), Err(CouponRefused::NoDiscount));
        assert_eq!(percent(100).discount_on(eur(99), NOW), Err(CouponRefused::NoDiscount));
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_names_every_invalid_field() {
        let mut coupon = percent(1000);
        (coupon.uses, coupon.terms.uses_max, coupon.terms.valid_until) = (3, Some(10), Some(NOW));
        let change = CouponChange { valid_until: Patch::Remove, uses_max: Patch::Set(3), ..CouponChange::default() };
        let terms = coupon.changed(&change).unwrap();
        assert_eq!((terms.valid_until, terms.uses_max, terms.active), (None, Some(3), true));
        let fields = |change| -> Vec<String> {
            coupon.changed(&change).unwrap_err().into_iter().map(|wrong| wrong.field).collect()
        };
        let zero = CouponChange { uses_max: Patch::Set(0), uses_per_user_max: Patch::Set(-1), ..Default::default() };
        assert_eq!(fields(zero), ["usesMax", "usesPerUserMax"]);
        assert_eq!(fields(CouponChange { uses_max: Patch::Set(2), ..Default::default() }), ["usesMax"]);
        assert_eq!(fields(CouponChange { valid_from: Patch::Set(NOW), ..Default::default() }), ["validUntil"]);
    }

    proptest! {
        #[test]
        fn a_discount_leaves_something_to_pay(points in 1..=10_000_i32, goods in 1..=1_000_000_000_000_i64) {
            if let Ok(discount) = percent(points).discount_on(eur(goods), NOW) {
                prop_assert!((1..goods).contains(&discount.amount));
                prop_assert!(i128::from(discount.amount) * 10_000 <= i128::from(goods) * i128::from(points));
            }
        }
    }
}
