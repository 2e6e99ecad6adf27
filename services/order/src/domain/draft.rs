//! A new order before it is written: requested lines, payment method and prices. No I/O.

use std::{collections::BTreeMap, fmt};

use agora_vocab::{
    Address, Money, MoneyError, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId, Variant,
    contains_card_number,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{CartVersion, Charges, Line, Order, OrderProgress, OwnPayment, Saga, State};

/// Maximum number of lines of an order; limit of one quote and one reservation.
pub const DRAFT_LINES_MAX: usize = 100;
/// Longest payment token, in bytes.
const TOKEN_BYTES_MAX: usize = 255;

/// A product, its variant and a quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedLine {
    /// Id of the product.
    pub product: ProductId,
    pub variant: Variant,
    pub quantity: Quantity,
}

/// Requested lines: 1 to [`DRAFT_LINES_MAX`], unique by product and variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedLines(Vec<RequestedLine>);

/// Where the lines of a new order come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The request lists them.
    Items(RequestedLines),
    /// The user's cart; the checkout empties it.
    Cart,
}

/// An invalid field of a request: its JSON path and the requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON path such as `items[0].quantity`.
    pub field: String,
    /// A sentence without a full stop.
    pub message: String,
}

/// A payment method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Card,
}

/// A payment provider's card token. It can be charged, so `Debug` masks it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

/// Payment method and token of an order that is paid on creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayWith {
    /// The payment method.
    pub method: Method,
    /// Token that the provider charges.
    pub token: Token,
}

/// A product and its price as catalog quotes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Id of the product.
    pub id: ProductId,
    pub name: String,
    /// Price of one unit.
    pub price: Money,
    /// Brand, if any.
    pub brand: Option<String>,
    /// Category, if any.
    pub category: Option<String>,
    /// Supplier, if any.
    pub supplier: Option<String>,
    /// Id of the seller.
    pub seller: SellerId,
    /// The variants that have a name, each with its own price; `None`: the product's.
    pub variants: BTreeMap<Variant, Option<Money>>,
}

/// A new order with fixed lines and prices, ready to be written.
#[derive(Clone, Debug)]
pub struct OrderDraft {
    /// The order's id, generated when its idempotency lease was acquired.
    pub id: OrderId,
    /// User who places the order.
    pub user: UserId,
    /// Cart and version of the checkout; `None` if the request listed the items.
    pub cart: Option<CartVersion>,
    /// Lines with prices and totals.
    pub lines: Vec<Line>,
    /// What the order costs, charges included.
    pub total: Money,
    pub charges: Charges,
    pub address: Option<Address>,
    /// Payment to make as soon as the stock is reserved.
    pub pay: Option<(PaymentId, PayWith)>,
}

/// Why the lines could not be priced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// Products that catalog does not contain.
    #[error("products that catalog does not contain")]
    Unknown(Vec<ProductId>),
    /// Indexes of lines whose product has no such variant.
    #[error("variants that their products do not have")]
    UnknownVariants(Vec<usize>),
    /// The total overflows or mixes currencies.
    #[error("the total overflows or mixes currencies")]
    Sum(#[source] MoneyError),
}

impl RequestedLines {
    /// Parses 1 to [`DRAFT_LINES_MAX`] lines of product, variant and quantity. Merges equal lines, so that no later
    /// step counts the same stock twice. Returns every invalid field on error.
    pub fn parse(items: Vec<(ProductId, Option<String>, i64)>) -> Result<Self, Vec<FieldError>> {
        if items.is_empty() || items.len() > DRAFT_LINES_MAX {
            return Err(vec![FieldError::new("items", format!("must hold 1 to {DRAFT_LINES_MAX} items"))]);
        }
        let mut wrong = Vec::new();
        let mut lines: Vec<RequestedLine> = Vec::with_capacity(items.len());
        for (i, (product, variant, units)) in items.into_iter().enumerate() {
            let variant = Variant::parse(variant.as_deref().unwrap_or_default()).unwrap_or_else(|invalid| {
                wrong.push(FieldError::new(format!("items[{i}].variant"), invalid.message));
                Variant::default()
            });
            let same = lines.iter().position(|line| line.product == product && line.variant == variant);
            let already = same.map_or(0, |at| i64::from(lines[at].quantity.get()));
            match (Quantity::parse(units).and_then(|_| Quantity::parse(already + units)), same) {
                (Err(invalid), _) => wrong.push(FieldError::new(format!("items[{i}].quantity"), invalid.message)),
                (Ok(quantity), Some(at)) => lines[at].quantity = quantity,
                (Ok(quantity), None) => lines.push(RequestedLine { product, variant, quantity }),
            }
        }
        if wrong.is_empty() { Ok(Self(lines)) } else { Err(wrong) }
    }

    /// Returns the lines, unique by product and variant.
    pub fn into_lines(self) -> Vec<RequestedLine> {
        self.0
    }
}

impl PayWith {
    /// Accepts the method `card` and a token of 1 to 255 visible ASCII characters without a payment card number.
    pub fn parse(method: &str, token: &str) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Vec::new();
        if method != "card" {
            wrong.push(FieldError::new("payment.method", "must be card"));
        }
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            wrong.push(FieldError::new(
                "payment.token",
                format!("must be 1 to {TOKEN_BYTES_MAX} visible ASCII characters"),
            ));
        } else if contains_card_number(token) {
            wrong.push(FieldError::new("payment.token", "must not contain a payment card number"));
        }
        if wrong.is_empty() { Ok(Self { method: Method::Card, token: Token(token.to_owned()) }) } else { Err(wrong) }
    }
}

impl OrderDraft {
    /// Builds the order with `number`, created at `now` and payable for `window`.
    pub fn into_state(self, number: String, now: OffsetDateTime, window: Duration) -> State {
        let Self { id, user, cart, lines, total, charges, address, pay } = self;
        let order = Order {
            id,
            number,
            user,
            cart,
            lines,
            total,
            charges,
            address,
            expires_at: now + window,
            created_at: now,
            progress: OrderProgress::START,
            shipments: Vec::new(),
            returns: Vec::new(),
            version: 1,
            event_seq: 1,
            updated_at: now,
        };
        let own = pay.map(|(payment, PayWith { method, token })| OwnPayment::new(payment, method, token));
        State { order, saga: Saga { own, ..Saga::default() } }
    }
}

/// Prices the lines at the quoted prices and returns them with their total.
pub fn price(requested: &[RequestedLine], quoted: Vec<Product>) -> Result<(Vec<Line>, Money), PricingError> {
    let quoted: BTreeMap<ProductId, Product> = quoted.into_iter().map(|product| (product.id, product)).collect();
    let unknown: Vec<ProductId> =
        requested.iter().map(|line| line.product).filter(|product| !quoted.contains_key(product)).collect();
    if !unknown.is_empty() {
        return Err(PricingError::Unknown(unknown));
    }
    let has_variant = |line: &RequestedLine| {
        let product = quoted.get(&line.product);
        line.variant.is_default() || product.is_some_and(|product| product.variants.contains_key(&line.variant))
    };
    let without: Vec<usize> = (0..requested.len()).filter(|&at| !has_variant(&requested[at])).collect();
    if !without.is_empty() {
        return Err(PricingError::UnknownVariants(without));
    }
    let lines: Vec<Line> = requested
        .iter()
        .filter_map(|line| Some(price_line(line, quoted.get(&line.product)?)))
        .collect::<Result<_, _>>()?;
    let currency = lines.first().map_or(agora_vocab::Currency::EUR, |line| line.total.currency);
    let total = Money::sum(currency, lines.iter().map(|line| line.total)).map_err(PricingError::Sum)?;
    Ok((lines, total))
}

fn price_line(requested: &RequestedLine, product: &Product) -> Result<Line, PricingError> {
    let price = product.variants.get(&requested.variant).copied().flatten().unwrap_or(product.price);
    Ok(Line {
        product: requested.product,
        variant: requested.variant.clone(),
        name: product.name.clone(),
        quantity: requested.quantity,
        price,
        total: price.checked_mul(i64::from(requested.quantity.get())).map_err(PricingError::Sum)?,
        brand: product.brand.clone(),
        category: product.category.clone(),
        supplier: product.supplier.clone(),
        seller: product.seller,
    })
}

impl FieldError {
    /// An error of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl From<agora_vocab::Invalid> for FieldError {
    fn from(agora_vocab::Invalid { field, message }: agora_vocab::Invalid) -> Self {
        Self::new(field, message)
    }
}

impl Method {
    /// Name in requests, responses and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
        }
    }
}

impl Token {
    /// Returns the token in clear, for the call that charges it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use agora_vocab::{Currency, Money, ProductId, SellerId, Variant};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{PayWith, PricingError, Product, RequestedLines, price};

    fn product(n: u128) -> ProductId {
        ProductId::new(Uuid::from_u128(n))
    }

    fn quoted(n: u128, amount: i64, currency: &str) -> Product {
        Product {
            id: product(n),
            name: format!("Product {n}"),
            price: Money::new(amount, currency.parse().unwrap()).unwrap(),
            brand: None,
            category: None,
            supplier: None,
            seller: SellerId::HOUSE,
            variants: BTreeMap::new(),
        }
    }

    fn fields(items: Vec<(ProductId, Option<String>, i64)>) -> Vec<String> {
        RequestedLines::parse(items).unwrap_err().into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn empty_orders_and_non_positive_quantities_are_rejected_by_field() {
        assert_eq!(fields(vec![]), ["items"]);
        assert_eq!(
            fields(vec![(product(1), None, 0), (product(2), None, 1), (product(3), None, -5)]),
            ["items[0].quantity", "items[2].quantity"]
        );
    }

    #[test]
    fn or13_equal_lines_are_merged_within_the_quantity_limit() {
        let lines = RequestedLines::parse(vec![
            (product(1), None, 2),
            (product(1), Some("red".into()), 1),
            (product(1), Some(String::new()), 3),
        ]);
        let lines: Vec<_> =
            lines.unwrap().into_lines().into_iter().map(|line| (line.variant, line.quantity.get())).collect();
        assert_eq!(lines, [(Variant::default(), 5), (Variant::parse("red").unwrap(), 1)]);
        assert_eq!(fields(vec![(product(1), None, 9_999), (product(1), None, 1)]), ["items[1].quantity"]);
    }

    #[test]
    fn ca16_a_variant_costs_its_own_price_or_that_of_the_product() {
        let variant = |name: &str| Variant::parse(name).unwrap();
        let own = Money::new(150, Currency::EUR).unwrap();
        let variants = BTreeMap::from([(variant("red"), Some(own)), (variant("blue"), None)]);
        let chair = Product { variants, ..quoted(1, 100, "EUR") };
        let items = ["red", "blue", ""].map(|name| (product(1), Some(name.to_owned()), 2)).to_vec();
        let (lines, total) = price(&RequestedLines::parse(items).unwrap().into_lines(), vec![chair]).unwrap();
        let amounts: Vec<_> = lines.iter().map(|line| (line.price.amount, line.total.amount)).collect();
        assert_eq!((amounts, total.amount), (vec![(150, 300), (100, 200), (100, 200)], 700));
    }

    #[test]
    fn every_unknown_product_is_reported() {
        let requested = RequestedLines::parse((1..=3).map(|n| (product(n), None, 1)).collect()).unwrap().into_lines();
        assert_eq!(
            price(&requested, vec![quoted(2, 100, "EUR")]),
            Err(PricingError::Unknown(vec![product(1), product(3)]))
        );
    }

    #[test]
    fn mixed_currencies_and_overflowing_totals_are_rejected() {
        let requested = RequestedLines::parse((1..=2).map(|n| (product(n), None, 9)).collect()).unwrap().into_lines();
        assert!(matches!(
            price(&requested, vec![quoted(1, 100, "EUR"), quoted(2, 100, "USD")]),
            Err(PricingError::Sum(_))
        ));
        assert!(matches!(
            price(&requested, vec![quoted(1, 1 << 52, "EUR"), quoted(2, 1, "EUR")]),
            Err(PricingError::Sum(_))
        ));
    }

    #[test]
    fn a_token_is_never_printed() {
        let pay = PayWith::parse("card", "tok_ok").unwrap();
        assert!(!format!("{pay:?}").contains("tok_ok"));
        let wrong: Vec<_> = PayWith::parse("cash", "").unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(wrong, ["payment.method", "payment.token"]);
    }

    #[test]
    fn a_token_with_a_card_number_in_it_is_refused() {
        let wrong = PayWith::parse("card", "tok_4242424242424242").unwrap_err().remove(0);
        assert_eq!(wrong.field, "payment.token");
        assert!(!wrong.message.contains("4242"), "{}", wrong.message);
    }

    proptest! {
        #[test]
        fn or9_the_total_is_the_sum_of_quantity_times_price(lines in prop::collection::vec((1..=9_999_i64, 0..=1_000_000_i64), 1..20)) {
            let items = lines.iter().enumerate().map(|(i, (units, _))| (product(i as u128), None, *units)).collect();
            let quotes = lines.iter().enumerate().map(|(i, (_, amount))| quoted(i as u128, *amount, "EUR")).collect();
            let (_, total) = price(&RequestedLines::parse(items).unwrap().into_lines(), quotes).unwrap();
            let sum: i64 = lines.iter().map(|(units, amount)| units * amount).sum();
            prop_assert_eq!(total, Money::new(sum, Currency::EUR).unwrap());
        }
    }
}
