//! An order before it exists: what is wanted, how it is to be paid, and what it costs at the quoted prices.

use std::{collections::BTreeMap, fmt};

use agora_vocab::{Money, MoneyError, OrderId, PaymentId, ProductId, Quantity, SellerId, UserId};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{Address, CartVersion, Line, Order, OwnPayment, Saga, Standing, State};

/// Most lines of an order: what one quote and one hold carry.
pub const DRAFT_LINES_MAX: usize = 100;
/// Longest variant and payment token, in bytes.
const VARIANT_BYTES_MAX: usize = 100;
const TOKEN_BYTES_MAX: usize = 255;

/// A product and how many of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The product.
    pub product: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    /// Units.
    pub quantity: Quantity,
}

/// Lines to order: at least one, no two of the same product and variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket(Vec<Wanted>);

/// Where the lines of a new order come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The request lists them.
    Items(Basket),
    /// The user's cart, which is emptied.
    Cart,
}

/// A field that was refused: its path as the client wrote it, and what would be acceptable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Such as `items[0].quantity`.
    pub field: String,
    /// A sentence without a full stop.
    pub message: String,
}

/// A way to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By card.
    Card,
}

/// A provider's token of a card. Masked wherever it could be printed: it can be charged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

/// How a new order is to be paid at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayWith {
    /// The way.
    pub method: Method,
    /// With what.
    pub token: Token,
}

/// A product as the catalogue quotes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// The product.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// What one unit costs.
    pub price: Money,
    /// Its brand.
    pub brand: Option<String>,
    /// Its category.
    pub category: Option<String>,
    /// Its supplier.
    pub supplier: Option<String>,
    /// Who sells it.
    pub seller: SellerId,
}

/// A new order with everything frozen, ready to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The order's id, drawn when its key was claimed.
    pub id: OrderId,
    /// Who buys.
    pub user: UserId,
    /// The cart that it was taken from.
    pub cart: Option<CartVersion>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Their sum.
    pub total: Money,
    /// Where it goes.
    pub address: Option<Address>,
    /// The payment to be made as soon as its stock is held.
    pub pay: Option<(PaymentId, PayWith)>,
}

/// Why lines have no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    /// Products that the catalogue does not have.
    #[error("products that the catalogue does not have")]
    Unknown(Vec<ProductId>),
    /// The sum cannot be written as one amount of money.
    #[error("the lines have no sum")]
    Sum(#[source] MoneyError),
}

impl Basket {
    /// Takes 1 to [`DRAFT_LINES_MAX`] lines of product, variant and units; equal lines become one, so that no later
    /// step can count the same stock twice.
    pub fn parse(items: Vec<(ProductId, Option<String>, i64)>) -> Result<Self, Vec<Wrong>> {
        if items.is_empty() || items.len() > DRAFT_LINES_MAX {
            return Err(vec![Wrong::new("items", format!("must hold 1 to {DRAFT_LINES_MAX} items"))]);
        }
        let mut wrong = Vec::new();
        let mut lines: Vec<Wanted> = Vec::with_capacity(items.len());
        for (i, (product, variant, units)) in items.into_iter().enumerate() {
            let variant = variant.unwrap_or_default();
            if variant.len() > VARIANT_BYTES_MAX {
                wrong.push(Wrong::new(
                    format!("items[{i}].variant"),
                    format!("must be at most {VARIANT_BYTES_MAX} bytes"),
                ));
            }
            let same = lines.iter().position(|line| line.product == product && line.variant == variant);
            let already = same.map_or(0, |at| i64::from(lines[at].quantity.get()));
            match (Quantity::parse(units).and_then(|_| Quantity::parse(already + units)), same) {
                (Err(invalid), _) => wrong.push(Wrong::new(format!("items[{i}].quantity"), invalid.message)),
                (Ok(quantity), Some(at)) => lines[at].quantity = quantity,
                (Ok(quantity), None) => lines.push(Wanted { product, variant, quantity }),
            }
        }
        if wrong.is_empty() { Ok(Self(lines)) } else { Err(wrong) }
    }

    /// Its lines.
    pub fn into_lines(self) -> Vec<Wanted> {
        self.0
    }
}

impl PayWith {
    /// Takes `card` and a token of visible ASCII.
    pub fn parse(method: &str, token: &str) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        if method != "card" {
            wrong.push(Wrong::new("payment.method", "must be card"));
        }
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            wrong.push(Wrong::new("payment.token", format!("must be 1 to {TOKEN_BYTES_MAX} visible ASCII characters")));
        }
        if wrong.is_empty() { Ok(Self { method: Method::Card, token: Token(token.to_owned()) }) } else { Err(wrong) }
    }
}

impl Draft {
    /// The order that this becomes when it draws `number` at `now` and may be paid for `window`.
    pub fn into_state(self, number: String, now: OffsetDateTime, window: Duration) -> State {
        let Self { id, user, cart, lines, total, address, pay } = self;
        let order = Order {
            id,
            number,
            user,
            cart,
            lines,
            total,
            address,
            expires_at: now + window,
            created_at: now,
            standing: Standing::START,
            version: 1,
            facts: 1,
            updated_at: now,
        };
        let own = pay.map(|(payment, PayWith { method, token })| OwnPayment::new(payment, method, token));
        State { order, saga: Saga { own, ..Saga::default() } }
    }
}

/// Prices the lines at what the catalogue quotes.
pub fn price(wanted: &[Wanted], quoted: Vec<Product>) -> Result<(Vec<Line>, Money), Unpriced> {
    let quoted: BTreeMap<ProductId, Product> = quoted.into_iter().map(|product| (product.id, product)).collect();
    let unknown: Vec<ProductId> =
        wanted.iter().map(|line| line.product).filter(|product| !quoted.contains_key(product)).collect();
    if !unknown.is_empty() {
        return Err(Unpriced::Unknown(unknown));
    }
    let lines: Vec<Line> =
        wanted.iter().filter_map(|line| Some(priced(line, quoted.get(&line.product)?))).collect::<Result<_, _>>()?;
    let currency = lines.first().map_or(agora_vocab::Currency::EUR, |line| line.total.currency);
    let total = Money::sum(currency, lines.iter().map(|line| line.total)).map_err(Unpriced::Sum)?;
    Ok((lines, total))
}

fn priced(wanted: &Wanted, product: &Product) -> Result<Line, Unpriced> {
    Ok(Line {
        product: wanted.product,
        variant: wanted.variant.clone(),
        name: product.name.clone(),
        quantity: wanted.quantity,
        price: product.price,
        total: product.price.checked_mul(i64::from(wanted.quantity.get())).map_err(Unpriced::Sum)?,
        brand: product.brand.clone(),
        category: product.category.clone(),
        supplier: product.supplier.clone(),
        seller: product.seller,
    })
}

impl Wrong {
    /// A refusal of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl From<agora_vocab::Invalid> for Wrong {
    fn from(agora_vocab::Invalid { field, message }: agora_vocab::Invalid) -> Self {
        Self::new(field, message)
    }
}

impl Method {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
        }
    }
}

impl Token {
    /// The token itself, for the one call that charges it.
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
    use agora_vocab::{Currency, Money, ProductId, SellerId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::{Basket, PayWith, Product, Unpriced, price};

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
        }
    }

    fn fields(items: Vec<(ProductId, Option<String>, i64)>) -> Vec<String> {
        Basket::parse(items).unwrap_err().into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn an_order_of_nothing_of_no_units_or_of_less_is_refused_by_field() {
        assert_eq!(fields(vec![]), ["items"]);
        assert_eq!(
            fields(vec![(product(1), None, 0), (product(2), None, 1), (product(3), None, -5)]),
            ["items[0].quantity", "items[2].quantity"]
        );
    }

    #[test]
    fn equal_lines_become_one_and_their_sum_has_the_same_limit() {
        let lines = Basket::parse(vec![
            (product(1), None, 2),
            (product(1), Some("red".into()), 1),
            (product(1), Some(String::new()), 3),
        ]);
        let lines: Vec<_> =
            lines.unwrap().into_lines().into_iter().map(|line| (line.variant, line.quantity.get())).collect();
        assert_eq!(lines, [(String::new(), 5), ("red".to_owned(), 1)]);
        assert_eq!(fields(vec![(product(1), None, 9_999), (product(1), None, 1)]), ["items[1].quantity"]);
    }

    #[test]
    fn every_unknown_product_is_named() {
        let wanted = Basket::parse((1..=3).map(|n| (product(n), None, 1)).collect()).unwrap().into_lines();
        assert_eq!(price(&wanted, vec![quoted(2, 100, "EUR")]), Err(Unpriced::Unknown(vec![product(1), product(3)])));
    }

    #[test]
    fn lines_of_two_currencies_or_beyond_exact_amounts_have_no_sum() {
        let wanted = Basket::parse((1..=2).map(|n| (product(n), None, 9)).collect()).unwrap().into_lines();
        assert!(matches!(price(&wanted, vec![quoted(1, 100, "EUR"), quoted(2, 100, "USD")]), Err(Unpriced::Sum(_))));
        assert!(matches!(price(&wanted, vec![quoted(1, 1 << 52, "EUR"), quoted(2, 1, "EUR")]), Err(Unpriced::Sum(_))));
    }

    #[test]
    fn a_token_is_never_printed() {
        let pay = PayWith::parse("card", "tok_ok").unwrap();
        assert!(!format!("{pay:?}").contains("tok_ok"));
        let wrong: Vec<_> = PayWith::parse("cash", "").unwrap_err().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(wrong, ["payment.method", "payment.token"]);
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_quantity_times_price(lines in prop::collection::vec((1..=9_999_i64, 0..=1_000_000_i64), 1..20)) {
            let items = lines.iter().enumerate().map(|(i, (units, _))| (product(i as u128), None, *units)).collect();
            let quotes = lines.iter().enumerate().map(|(i, (_, amount))| quoted(i as u128, *amount, "EUR")).collect();
            let (_, total) = price(&Basket::parse(items).unwrap().into_lines(), quotes).unwrap();
            let sum: i64 = lines.iter().map(|(units, amount)| units * amount).sum();
            prop_assert_eq!(total, Money::new(sum, Currency::EUR).unwrap());
        }
    }
}
