//! What an order costs beside its lines, fixed at creation: the discount of a coupon, shipping, and tax. No I/O.

use agora_vocab::{Country, Money, MoneyError};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Coupon, CouponCode, CouponRefused, Line, LineUnits, MethodCode, Order, PriceRules, ReturnStatus, ShippingCharge,
    ShippingRefused, Tax,
    coupon::share,
    shipping::choose,
    tax::{shipping_tax, tax},
};

/// Charges of an order. Empty for an order that costs the sum of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charges {
    /// What a coupon takes off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<Discount>,
    /// What the delivery costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping: Option<ShippingCharge>,
    /// The tax that the prices of the lines include.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<Tax>,
}

/// The discount of a coupon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    pub code: CouponCode,
    /// More than zero.
    pub amount: Money,
    /// The part of each line, in the sequence of the lines; they sum to `amount`.
    pub lines: Vec<Money>,
}

/// What the charges of a new order depend on.
#[derive(Clone, Copy, Debug)]
pub struct ChargeTerms<'a> {
    /// Time of the order, by the database's clock.
    pub at: OffsetDateTime,
    pub rules: &'a PriceRules,
    /// Where the order goes.
    pub country: Option<&'a Country>,
    pub coupon: Option<&'a Coupon>,
    /// The method that the user names.
    pub shipping_method: Option<&'a MethodCode>,
}

/// Why an order cannot be charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    #[error("the coupon gives no discount")]
    Coupon(#[source] CouponRefused),
    #[error("the order cannot be delivered")]
    Shipping(#[source] ShippingRefused),
    /// A sum overflows.
    #[error("the total overflows")]
    Sum(#[from] MoneyError),
}

/// The charges of an order whose lines sum to `goods`, and its total.
pub fn charge(lines: &[Line], goods: Money, terms: ChargeTerms<'_>) -> Result<(Charges, Money), ChargeError> {
    let ChargeTerms { at, rules, country, coupon, shipping_method } = terms;
    let discount = coupon.map(|coupon| discount(coupon, lines, (goods, at))).transpose()?;
    let net = match &discount {
        Some(discount) => goods.checked_sub(discount.amount)?,
        None => goods,
    };
    let mut shipping =
        choose(&rules.shipping_methods, shipping_method, (country, net)).map_err(ChargeError::Shipping)?;
    if let Some(shipping) = &mut shipping {
        shipping.tax = shipping_tax(&rules.tax_rules, country, shipping.price);
    }
    let total = match &shipping {
        Some(shipping) => net.checked_add(shipping.price)?,
        None => net,
    };
    let mut charges = Charges { discount, shipping, tax: None };
    let paid: Result<Vec<Money>, MoneyError> =
        lines.iter().enumerate().map(|(index, line)| charges.paid_for(index, line)).collect();
    charges.tax = tax(&rules.tax_rules, country, &paid?)?;
    Ok((charges, total))
}

/// Each line bears the discount in proportion to its price.
fn discount(coupon: &Coupon, lines: &[Line], (goods, at): (Money, OffsetDateTime)) -> Result<Discount, ChargeError> {
    let amount = coupon.discount_on(goods, at).map_err(ChargeError::Coupon)?;
    let weights: Vec<i64> = lines.iter().map(|line| line.total.amount).collect();
    Ok(Discount { code: coupon.code.clone(), amount, lines: amount.split(&weights)? })
}

impl Charges {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The part of the discount that the line at an index from 0 bears.
    pub fn discount_of(&self, index: usize) -> Option<Money> {
        self.discount.as_ref()?.lines.get(index).copied()
    }

    /// The tax that the price of the line at an index from 0 includes.
    pub fn tax_of(&self, index: usize) -> Option<Money> {
        self.tax.as_ref()?.lines.get(index).copied()
    }

    /// The tax that the total of the order includes: of the lines and of the delivery; `None` if neither is taxed.
    pub fn tax_total(&self) -> Option<Money> {
        let goods = self.tax.as_ref().map(|tax| tax.amount);
        let shipping = self.shipping.as_ref().and_then(|shipping| shipping.tax.as_ref()).map(|tax| tax.amount);
        match (goods, shipping) {
            // Each is at most what it is the tax of, and the total of these was computed.
            (Some(goods), Some(shipping)) => goods.checked_add(shipping).ok(),
            (goods, shipping) => goods.or(shipping),
        }
    }

    /// What is paid for a line at an index from 0: its total less its part of the discount.
    fn paid_for(&self, index: usize, line: &Line) -> Result<Money, MoneyError> {
        self.discount_of(index).map_or(Ok(line.total), |discount| line.total.checked_sub(discount))
    }
}

impl Order {
    /// What is paid for the line at an index from 0; `None` if there is no such line.
    pub fn paid_for(&self, index: usize) -> Option<Money> {
        self.charges.paid_for(index, self.lines.get(index)?).ok()
    }

    /// What is refunded for units of a line: their price, or of a discounted line the proportional part of what is paid for it and
    /// not yet refunded. Of all returns of the line, the last units get what is left, so that nothing is lost or refunded twice.
    pub(super) fn refund_for(&self, units: LineUnits) -> Result<Money, MoneyError> {
        let index = usize::try_from(units.line - 1).unwrap_or(usize::MAX);
        let (Some(line), Some(paid)) = (self.lines.get(index), self.paid_for(index)) else {
            return Ok(Money::zero(self.total.currency));
        };
        if self.charges.discount.is_none() {
            return line.price.checked_mul(i64::from(units.quantity));
        }
        let (mut left, mut left_units) = (paid, line.quantity.get());
        for returned in self.returns.iter().filter(|returned| returned.status != ReturnStatus::Rejected) {
            for (before, amount) in returned.items.iter().zip(&returned.amounts).filter(|(it, _)| it.line == units.line)
            {
                left = left.checked_sub(*amount)?;
                left_units = left_units.saturating_sub(before.quantity);
            }
        }
        let amount = share(left.amount, i64::from(units.quantity), i64::from(left_units));
        Money::new(amount, left.currency)
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::{Country, Currency, Money, OrderId, ProductId, Quantity, ReturnId, SellerId, UserId, Variant};
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    use super::{ChargeError, ChargeTerms, Charges, Discount, charge};
    use crate::domain::{
        Coupon, CouponCode, CouponRefused, CouponTerms, CouponValue, Line, LineUnits, MethodCode, Order, OrderDraft,
        PriceRules, Return, ReturnStatus, ShippingMethod, ShippingTerms, TaxCategory, TaxRule, TaxTerms,
    };

    const NOW: time::OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    fn eur(amount: i64) -> Money {
        Money { amount, currency: Currency::EUR }
    }

    fn line(n: u128, cents: i64, units: i64) -> Line {
        Line {
            product: ProductId::new(Uuid::from_u128(n)),
            variant: Variant::default(),
            name: format!("Lamp {n}"),
            quantity: Quantity::parse(units).unwrap(),
            price: eur(cents),
            total: eur(cents * units),
            brand: None,
            category: None,
            supplier: None,
            seller: SellerId::HOUSE,
        }
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
        let code = CouponCode::parse("code", "SUMMER").unwrap();
        Coupon { code, value, terms, uses: 0, created_at: NOW, updated_at: NOW }
    }

    fn with(coupon: Option<&Coupon>) -> ChargeTerms<'_> {
        static NO_RULES: PriceRules = PriceRules { shipping_methods: Vec::new(), tax_rules: Vec::new() };
        ChargeTerms { at: NOW, rules: &NO_RULES, country: None, coupon, shipping_method: None }
    }

    /// Rules of one shipping method, and of one tax each for goods and shipping.
    fn rules(shipping: i64, goods_points: i64, shipping_points: i64, rounding: &str) -> PriceRules {
        let terms = ShippingTerms::parse("Parcel", eur(shipping), (None, &[]), true).unwrap();
        let code = MethodCode::parse("code", "parcel").unwrap();
        let rule = |category, points| TaxRule {
            country: Country::parse("DE").unwrap(),
            category,
            terms: TaxTerms::parse(points, Some(rounding), true).unwrap(),
            created_at: NOW,
            updated_at: NOW,
        };
        PriceRules {
            shipping_methods: vec![ShippingMethod { code, terms, created_at: NOW, updated_at: NOW }],
            tax_rules: vec![rule(TaxCategory::Shipping, shipping_points), rule(TaxCategory::Goods, goods_points)],
        }
    }

    /// Whether a tax is the part of a price that the rate makes it, to half a minor unit.
    fn is_tax_of(tax: Money, gross: Money, points: i64) -> bool {
        let (exact, whole) = (i128::from(gross.amount) * i128::from(points), 10_000 + i128::from(points));
        (i128::from(tax.amount) * whole - exact).abs() * 2 <= whole
    }

    fn goods(lines: &[Line]) -> Money {
        Money::sum(Currency::EUR, lines.iter().map(|line| line.total)).unwrap()
    }

    /// An order of units of one product of which `paid` is paid in all.
    fn discounted(cents: i64, units: i64, discount: i64) -> Order {
        let (lines, at) = (vec![line(1, cents, units)], NOW);
        let total = eur(cents * units - discount);
        let code = CouponCode::parse("code", "SUMMER").unwrap();
        let discount = Discount { code, amount: eur(discount), lines: vec![eur(discount)] };
        let draft = OrderDraft {
            id: OrderId::new(Uuid::from_u128(1)),
            user: UserId::new(Uuid::from_u128(2)),
            cart: None,
            lines,
            total,
            charges: Charges { discount: Some(discount), ..Charges::default() },
            address: None,
            pay: None,
        };
        draft.into_state("A-1".to_owned(), at, Duration::MINUTE).order
    }

    fn returned(n: usize, units: LineUnits, amount: Money) -> Return {
        Return {
            id: ReturnId::new(Uuid::from_u128(n as u128)),
            items: vec![units],
            reason: "Too bright".to_owned(),
            amount,
            amounts: vec![amount],
            status: ReturnStatus::Requested,
            resellable: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    #[test]
    fn an_order_without_a_coupon_costs_the_sum_of_its_lines() {
        let lines = [line(1, 1999, 2), line(2, 500, 1)];
        let terms = with(None);
        assert_eq!(charge(&lines, goods(&lines), terms), Ok((Charges::default(), eur(4498))));
        assert_eq!(serde_json::to_string(&Charges::default()).unwrap(), "{}");
    }

    #[test]
    fn the_lines_bear_the_discount_in_proportion_to_their_prices() {
        let lines = [line(1, 1000, 1), line(2, 1000, 1), line(3, 1000, 1)];
        let coupon = coupon(CouponValue::Fixed { amount: eur(100) });
        let terms = with(Some(&coupon));
        let (charges, total) = charge(&lines, goods(&lines), terms).unwrap();
        let parts: Vec<_> = (0..4).map(|index| charges.discount_of(index).map(|part| part.amount)).collect();
        assert_eq!((parts, total), (vec![Some(34), Some(33), Some(33), None], eur(2900)));
    }

    #[test]
    fn a_coupon_that_does_not_apply_is_refused() {
        let lines = [line(1, 1, 1)];
        let coupon = coupon(CouponValue::Percent { basis_points: 10_000 });
        let terms = with(Some(&coupon));
        assert_eq!(charge(&lines, goods(&lines), terms), Err(ChargeError::Coupon(CouponRefused::NoDiscount)));
    }

    #[test]
    fn a_delivery_is_taxed_by_its_own_rule_and_its_tax_is_part_of_the_total() {
        let lines = [line(1, 11_900, 1)];
        let (rules, germany) = (rules(1_070, 1_900, 700, "half_up"), Country::parse("DE").unwrap());
        let terms = ChargeTerms { rules: &rules, country: Some(&germany), ..with(None) };
        let (charges, total) = charge(&lines, goods(&lines), terms).unwrap();
        let shipping = charges.shipping.clone().unwrap().tax.unwrap();
        assert_eq!((shipping.amount, shipping.basis_points, total), (eur(70), 700, eur(11_900 + 1_070)));
        assert_eq!((charges.tax.clone().unwrap().amount, charges.tax_total()), (eur(1_900), Some(eur(1_970))));
        let abroad = Country::parse("US").unwrap();
        let terms = ChargeTerms { country: Some(&abroad), ..terms };
        let (untaxed, same) = charge(&lines, goods(&lines), terms).unwrap();
        assert_eq!((untaxed.tax_total(), same), (None, total), "a tax that prices include changes no total");
    }

    proptest! {
        #[test]
        fn the_parts_of_a_total_and_its_taxes_sum_to_the_cent(
            prices in prop::collection::vec((1..=9_000_000_000_i64, 1..=9_999_i64), 1..100),
            shipping in 0..=9_000_000_000_i64,
            (goods_points, shipping_points) in (0..=10_000_i64, 0..=10_000_i64),
            even in any::<bool>(),
            share in prop::option::of(1..=9_999_i32),
        ) {
            let lines: Vec<Line> =
                prices.iter().enumerate().map(|(n, (cents, units))| line(n as u128, *cents, *units)).collect();
            let rounding = if even { "half_even" } else { "half_up" };
            let (rules, germany) =
                (rules(shipping, goods_points, shipping_points, rounding), Country::parse("DE").unwrap());
            // No coupon where the share of so low a sum is nothing.
            let share = share.filter(|points| goods(&lines).amount >= 20_000 / i64::from(*points));
            let coupon = share.map(|basis_points| coupon(CouponValue::Percent { basis_points }));
            let terms = ChargeTerms { rules: &rules, country: Some(&germany), ..with(coupon.as_ref()) };
            let charged = charge(&lines, goods(&lines), terms);
            prop_assume!(charged != Err(ChargeError::Coupon(CouponRefused::NoDiscount)));
            let (charges, total) = charged.unwrap();

            let paid: Vec<Money> =
                lines.iter().enumerate().map(|(index, line)| charges.paid_for(index, line).unwrap()).collect();
            let delivery = charges.shipping.clone().unwrap();
            let parts = paid.iter().copied().chain([delivery.price]);
            prop_assert_eq!(Money::sum(Currency::EUR, parts.clone()), Ok(total), "the total");
            let taxes: Vec<Money> =
                (0..lines.len()).map(|index| charges.tax_of(index).unwrap()).chain([delivery.tax.unwrap().amount]).collect();
            let tax = charges.tax_total().unwrap();
            prop_assert_eq!(Money::sum(Currency::EUR, taxes.iter().copied()), Ok(tax), "the tax of the total");
            let nets = parts.clone().zip(&taxes).map(|(gross, tax)| gross.checked_sub(*tax).unwrap());
            prop_assert_eq!(Money::sum(Currency::EUR, nets), total.checked_sub(tax), "what is left without tax");
            let points = std::iter::repeat_n(goods_points, lines.len()).chain([shipping_points]);
            for ((gross, tax), points) in parts.zip(taxes).zip(points) {
                prop_assert!((0..=gross.amount).contains(&tax.amount));
                prop_assert!(is_tax_of(tax, gross, points), "{tax} of {gross}");
            }
        }

        #[test]
        fn the_refunds_of_a_line_sum_to_what_was_paid_for_it(
            cents in 1..=10_000_i64,
            units in 1..=50_i64,
            share in 0..=10_000_i64,
            wanted in prop::collection::vec((1..=7_u32, any::<bool>()), 0..30),
        ) {
            let mut order = discounted(cents, units, (cents * units - 1) * share / 10_000);
            let paid = order.paid_for(0).unwrap();
            let mut left = u32::try_from(units).unwrap();
            let all = wanted.into_iter().chain([(u32::MAX, false)]);
            for (n, (quantity, rejected)) in all.enumerate() {
                let quantity = quantity.min(left);
                if quantity == 0 {
                    break;
                }
                let units = LineUnits { line: 1, quantity };
                let refund = order.refund_for(units).unwrap();
                prop_assert!((0..=cents * i64::from(quantity)).contains(&refund.amount), "{refund}");
                order.returns.push(returned(n, units, refund));
                // A rejected return gives its units back, also after later ones were requested.
                let mut rejectable = order.returns.iter_mut().filter(|_| rejected);
                match rejectable.find(|it| it.status == ReturnStatus::Requested) {
                    Some(first) => {
                        first.status = ReturnStatus::Rejected;
                        left = left - quantity + first.items[0].quantity;
                    }
                    None => left -= quantity,
                }
            }
            let open = order.returns.iter().filter(|it| it.status != ReturnStatus::Rejected);
            let refunded = Money::sum(Currency::EUR, open.map(|it| it.amount)).unwrap();
            prop_assert!(refunded.amount <= paid.amount);
            if left == 0 {
                prop_assert_eq!(refunded, paid);
            }
        }

        #[test]
        fn the_parts_of_a_discount_sum_to_it_and_none_exceeds_its_line(
            prices in prop::collection::vec((1..=9_000_000_000_i64, 1..=9_999_i64), 1..100),
            points in 1..=10_000_i32,
            fixed in prop::option::of(1..=100_000_000_i64),
        ) {
            let lines: Vec<Line> =
                prices.iter().enumerate().map(|(n, (cents, units))| line(n as u128, *cents, *units)).collect();
            let value = match fixed {
                Some(amount) => CouponValue::Fixed { amount: eur(amount) },
                None => CouponValue::Percent { basis_points: points },
            };
            let (coupon, goods) = (coupon(value), goods(&lines));
            let terms = with(Some(&coupon));
            match charge(&lines, goods, terms) {
                Err(error) => prop_assert_eq!(error, ChargeError::Coupon(CouponRefused::NoDiscount)),
                Ok((Charges { discount, .. }, total)) => {
                    let discount = discount.unwrap();
                    prop_assert_eq!(Money::sum(Currency::EUR, discount.lines.iter().copied()), Ok(discount.amount));
                    prop_assert_eq!(total.checked_add(discount.amount), Ok(goods));
                    prop_assert!(total.amount > 0);
                    for (line, part) in lines.iter().zip(&discount.lines) {
                        prop_assert!((0..=line.total.amount).contains(&part.amount));
                    }
                }
            }
        }
    }
}
