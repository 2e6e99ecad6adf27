//! A cart, what it shows, and what an order takes out of it. Pure: knows neither HTTP nor database, reads no clock and
//! draws no id.

use std::collections::{BTreeMap, BTreeSet};

use agora_events::cart::{Cart as CartUpdated, CartEvent, CartLine};
use agora_vocab::{CartId, Currency, Invalid, LineId, Money, MoneyError, OrderId, ProductId, Quantity, UserId};
use serde::{Deserialize, Serialize};

/// Most lines of a cart, and so of an order.
pub const LINES_MAX: usize = 100;
const VARIANT_CHARACTERS_MAX: usize = 64;

/// A variant of a product: up to 64 characters; empty for a product without variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

impl Variant {
    /// Takes up to 64 characters on one line; surrounding space is cut off.
    pub fn parse(variant: &str) -> Result<Self, Invalid> {
        let variant = variant.trim();
        if variant.chars().count() > VARIANT_CHARACTERS_MAX || variant.chars().any(char::is_control) {
            let message = format!("must be at most {VARIANT_CHARACTERS_MAX} characters on one line");
            return Err(Invalid::new("variant", message));
        }
        Ok(Self(variant.to_owned()))
    }

    /// A text that was parsed before it was stored.
    pub(crate) const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A shopper's cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// The cart.
    pub id: CartId,
    /// Whose it is.
    pub user: UserId,
    /// Rises by one with each change; also the change's place among the cart's facts. 0: nothing was ever in it.
    pub version: i64,
    /// Its lines, oldest first; no two of the same product and variant.
    pub lines: Vec<Line>,
}

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The line.
    pub id: LineId,
    /// The product.
    pub product: ProductId,
    /// Its variant.
    pub variant: Variant,
    /// How many.
    pub quantity: Quantity,
    /// What one unit cost when the shopper last changed the line.
    pub seen: Money,
}

/// What the cart keeps of a product, so that it can show it while the catalog is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductCopy {
    /// The product.
    pub product: ProductId,
    /// The product's version; an older copy never replaces a newer one.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// A picture of it.
    pub image_url: Option<String>,
    /// What one unit cost then; nothing is known of a product that was never seen alive.
    pub price: Option<Money>,
    /// Whether it left the catalog.
    pub deleted: bool,
}

/// A product as the catalog offers it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedLine {
    /// The product, as it may be copied.
    pub copy: ProductCopy,
    /// What one unit costs.
    pub price: Money,
    /// Units that can be ordered now, over all variants.
    pub stock: i64,
}

/// What the catalog said about some products: `None` for those that it does not know, or no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuoteResult(pub BTreeMap<ProductId, Option<QuotedLine>>);

impl QuoteResult {
    /// The product as it is offered now, if it was asked for and exists.
    pub fn of(&self, product: ProductId) -> Option<&QuotedLine> {
        self.0.get(&product).and_then(Option::as_ref)
    }
}

/// A cart and what is kept of its products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The cart.
    pub cart: Cart,
    /// What is kept of its products.
    pub copies: BTreeMap<ProductId, ProductCopy>,
}

/// A cart as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The cart.
    pub id: CartId,
    /// The cart's version.
    pub version: i64,
    /// Its lines, oldest first.
    pub items: Vec<Item>,
    /// The sum of all lines, those that cannot be had now included.
    pub total: Money,
}

/// A line as the cart's owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The line.
    pub line: Line,
    /// The product's name.
    pub name: String,
    /// A picture of it.
    pub image_url: Option<String>,
    /// What one unit costs: now, or when the catalog was last heard.
    pub price: Money,
    /// Whether that many are known to be there now; false while the catalog is away.
    pub available: bool,
}

impl Item {
    /// Whether the price differs from the one that the shopper saw when he last changed the line.
    pub fn price_changed(&self) -> bool {
        self.price != self.line.seen
    }
}

impl Cart {
    /// The cart of somebody who never had anything in it. Its id is the user's: it is the same at each look, and the one
    /// that the first line gives it.
    pub const fn of(user: UserId) -> Self {
        Self { id: CartId::new(user.uuid()), user, version: 0, lines: Vec::new() }
    }

    /// The fact of its present content.
    pub fn updated(&self) -> CartEvent {
        let line = |line: &Line| CartLine {
            product_id: line.product,
            variant: line.variant.0.clone(),
            quantity: line.quantity.get(),
        };
        let items = self.lines.iter().map(line).collect();
        CartEvent::Updated(CartUpdated { cart_id: self.id, user_id: self.user, version: self.version, items })
    }

    /// Puts a line into it, or its units to those of the same product and variant, all at the price of the new ones; the
    /// line as it then is.
    pub fn add(&mut self, line: Line) -> Result<Line, Refused> {
        let same = |there: &&mut Line| there.product == line.product && there.variant == line.variant;
        let added = if let Some(there) = self.lines.iter_mut().find(same) {
            let units = i64::from(there.quantity.get()) + i64::from(line.quantity.get());
            there.quantity = Quantity::parse(units).map_err(|_| Refused::QuantityTooLarge)?;
            there.seen = line.seen;
            there.clone()
        } else {
            self.lines.push(line.clone());
            line
        };
        self.version += 1;
        Ok(added)
    }

    /// The products in it, each once.
    pub fn products(&self) -> BTreeSet<ProductId> {
        self.lines.iter().map(|line| line.product).collect()
    }
}

/// Why a cart cannot become what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The catalog does not have the product, or no more.
    UnknownProduct,
    /// Fewer units can be had.
    Insufficient {
        /// The product.
        product: ProductId,
        /// Units that the line would have.
        requested: u32,
        /// Units that can be ordered.
        available: i64,
    },
    /// A line would have more than [`agora_vocab::QUANTITY_MAX`] units.
    QuantityTooLarge,
    /// It would have more than [`LINES_MAX`] lines.
    TooManyLines,
    /// The product is sold in another currency than the others.
    OtherCurrency,
    /// The sum cannot be kept.
    Total(MoneyError),
}

impl Contents {
    /// Whether the cart may be as it now is, after `product` was changed in it.
    pub fn check(&self, product: ProductId, variant: &Variant, quoted: &QuotedLine) -> Result<(), Refused> {
        let lines = &self.cart.lines;
        if lines.len() > LINES_MAX {
            return Err(Refused::TooManyLines);
        }
        if lines.iter().any(|line| line.seen.currency != quoted.price.currency) {
            return Err(Refused::OtherCurrency);
        }
        let line = lines.iter().find(|line| line.product == product && line.variant == *variant);
        let requested = line.map_or(0, |line| line.quantity.get());
        if i64::from(requested) > quoted.stock {
            return Err(Refused::Insufficient { product, requested, available: quoted.stock.max(0) });
        }
        Ok(())
    }

    /// The cart as its owner sees it: by the catalog's offers, and by the copies where it said nothing.
    pub fn view(&self, quote: &QuoteResult) -> Result<View, Refused> {
        let items: Vec<Item> = self.cart.lines.iter().map(|line| self.item(line, quote)).collect();
        let currency = items.first().map_or(Currency::EUR, |item| item.price.currency);
        let sums = items.iter().map(|item| item.price.checked_mul(i64::from(item.line.quantity.get())));
        let sums = sums.collect::<Result<Vec<_>, _>>().map_err(Refused::Total)?;
        let total = Money::sum(currency, sums).map_err(Refused::Total)?;
        Ok(View { id: self.cart.id, version: self.cart.version, items, total })
    }

    fn item(&self, line: &Line, quote: &QuoteResult) -> Item {
        let quoted = quote.of(line.product);
        let copy = quoted.map(|quoted| &quoted.copy).or_else(|| self.copies.get(&line.product));
        Item {
            name: copy.map(|copy| copy.name.clone()).unwrap_or_default(),
            image_url: copy.and_then(|copy| copy.image_url.clone()),
            price: copy.and_then(|copy| copy.price).unwrap_or(line.seen),
            available: quoted.is_some_and(|quoted| quoted.stock >= i64::from(line.quantity.get())),
            line: line.clone(),
        }
    }
}

/// What an order took out of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The order.
    pub order: OrderId,
    /// The cart.
    pub cart: CartId,
    /// The cart's version that was taken: no other taking has it.
    pub version: i64,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// What became of a taking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckoutState {
    /// The order has the lines.
    Taken,
    /// The cart has them again; or it never will be taken, being undone before.
    Returned,
    /// The order stands.
    Done,
}

impl CheckoutState {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Returned => "returned",
            Self::Done => "done",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Taken, Self::Returned, Self::Done].into_iter().find(|state| state.as_str() == name)
    }
}

/// The lines of a cart after a taking is given back: quantities are summed up to what a line may have, lines are added up
/// to what a cart may have, and what left the catalog meanwhile stays away.
pub fn merge_lines(mut lines: Vec<Line>, back: Vec<Line>, deleted: &BTreeSet<ProductId>) -> Vec<Line> {
    for line in back.into_iter().filter(|line| !deleted.contains(&line.product)) {
        let full = lines.len() >= LINES_MAX;
        match lines.iter_mut().find(|there| there.product == line.product && there.variant == line.variant) {
            Some(there) => there.quantity = there.quantity.saturating_add(line.quantity),
            None if full => {}
            None => lines.push(line),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn eur(amount: i64) -> Money {
        Money { amount, currency: Currency::EUR }
    }

    fn line(product: u128, quantity: i64, seen: i64) -> Line {
        Line {
            id: LineId::new(Uuid::from_u128(product + 1_000)),
            product: ProductId::new(Uuid::from_u128(product)),
            variant: Variant::default(),
            quantity: Quantity::parse(quantity).unwrap(),
            seen: eur(seen),
        }
    }

    fn copy(product: u128, price: i64) -> ProductCopy {
        let product = ProductId::new(Uuid::from_u128(product));
        ProductCopy {
            product,
            version: 1,
            name: "Chair".into(),
            image_url: None,
            price: Some(eur(price)),
            deleted: false,
        }
    }

    fn contents(lines: Vec<Line>, copies: &[ProductCopy]) -> Contents {
        let cart = Cart { lines, version: 1, ..Cart::of(UserId::new(Uuid::from_u128(1))) };
        Contents { cart, copies: copies.iter().map(|copy| (copy.product, copy.clone())).collect() }
    }

    fn quote(quote: &[(u128, i64, i64)]) -> QuoteResult {
        let quoted = |&(product, price, stock): &(u128, i64, i64)| {
            let copy = copy(product, price);
            (copy.product, Some(QuotedLine { copy, price: eur(price), stock }))
        };
        QuoteResult(quote.iter().map(quoted).collect())
    }

    #[test]
    fn prices_and_stock_are_those_of_now_and_a_changed_price_is_flagged() {
        let cart = contents(vec![line(1, 2, 100), line(2, 1, 500)], &[copy(1, 100), copy(2, 500)]);
        let view = cart.view(&quote(&[(1, 150, 2), (2, 500, 0)])).unwrap();
        let seen: Vec<_> = view.items.iter().map(|i| (i.price.amount, i.available, i.price_changed())).collect();
        assert_eq!(seen, [(150, true, true), (500, false, false)]);
        assert_eq!(view.total, eur(800));
    }

    #[test]
    fn while_the_catalog_is_away_copies_are_shown_and_nothing_is_called_available() {
        let view = contents(vec![line(1, 2, 100)], &[copy(1, 120)]).view(&QuoteResult::default()).unwrap();
        let item = &view.items[0];
        assert_eq!(
            (item.name.as_str(), item.price, item.available, item.price_changed()),
            ("Chair", eur(120), false, true)
        );
    }

    #[test]
    fn a_product_that_is_gone_is_shown_as_it_was() {
        let gone = QuoteResult([(ProductId::new(Uuid::from_u128(1)), None)].into());
        let view = contents(vec![line(1, 2, 100)], &[copy(1, 100)]).view(&gone).unwrap();
        assert!(!view.items[0].available);
        assert_eq!(view.total, eur(200));
    }

    #[test]
    fn a_cart_refuses_what_cannot_be_had_and_what_cannot_be_summed() {
        let product = ProductId::new(Uuid::from_u128(1));
        let cart = contents(vec![line(1, 5, 100)], &[]);
        let check = |quote: &QuoteResult| cart.check(product, &Variant::default(), quote.of(product).unwrap());
        assert_eq!(check(&quote(&[(1, 100, 5)])), Ok(()));
        let short = Refused::Insufficient { product, requested: 5, available: 4 };
        assert_eq!(check(&quote(&[(1, 100, 4)])), Err(short));
        let mut yen = quote(&[(1, 100, 5)]);
        let quoted = yen.0.get_mut(&product).unwrap().as_mut().unwrap();
        quoted.price.currency = "JPY".parse().unwrap();
        assert_eq!(check(&yen), Err(Refused::OtherCurrency));
    }

    #[test]
    fn what_is_added_joins_its_line_at_the_new_price_and_keeps_the_limit() {
        let mut cart = contents(vec![line(1, 2, 100)], &[]).cart;
        let there = cart.lines[0].id;
        let more = Line { id: LineId::new(Uuid::from_u128(7)), ..line(1, 3, 150) };
        let added = cart.add(more.clone()).unwrap();
        assert_eq!((added.id, added.quantity.get(), added.seen), (there, 5, eur(150)));
        let red = Line { variant: Variant::parse("red").unwrap(), ..more };
        assert_eq!(cart.add(red.clone()).unwrap(), red);
        assert_eq!((cart.version, cart.lines.as_slice()), (3, [added, red].as_slice()));
        let before = cart.clone();
        assert_eq!((cart.add(line(1, 9_995, 1)), cart), (Err(Refused::QuantityTooLarge), before));
    }

    #[test]
    fn an_empty_cart_sums_to_nothing() {
        assert_eq!(contents(vec![], &[]).view(&QuoteResult::default()).unwrap().total, eur(0));
    }

    #[test]
    fn what_left_the_catalog_is_not_given_back() {
        let deleted = [ProductId::new(Uuid::from_u128(2))].into();
        let lines = merge_lines(vec![line(1, 1, 1)], vec![line(1, 2, 1), line(2, 1, 1), line(3, 1, 1)], &deleted);
        let seen: Vec<_> = lines.iter().map(|line| line.quantity.get()).collect();
        assert_eq!(seen, [3, 1]);
    }

    proptest! {
        #[test]
        fn giving_back_loses_no_line_that_was_there_and_keeps_the_limits(
            there in prop::collection::btree_map(0..150_u128, 1..9_999_i64, 0..100),
            back in prop::collection::btree_map(0..150_u128, 1..9_999_i64, 0..100),
        ) {
            let lines = |of: &BTreeMap<u128, i64>| of.iter().map(|(&p, &q)| line(p, q, 1)).collect::<Vec<_>>();
            let merged = merge_lines(lines(&there), lines(&back), &BTreeSet::new());
            prop_assert!(merged.len() <= LINES_MAX);
            for (&product, &quantity) in &there {
                let expected = (quantity + back.get(&product).copied().unwrap_or(0)).min(9_999);
                let product = ProductId::new(Uuid::from_u128(product));
                let found = merged.iter().find(|line| line.product == product).map(|line| i64::from(line.quantity.get()));
                prop_assert_eq!(found, Some(expected));
            }
        }
    }
}
