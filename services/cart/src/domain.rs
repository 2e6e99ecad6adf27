//! Domain model of the cart: cart, view, quote and checkout. Pure: no HTTP, no SQL, no clock and no id generation.

use std::collections::{BTreeMap, BTreeSet};

use agora_events::cart::{Cart as CartUpdated, CartEvent, CartLine};
use agora_vocab::{CartId, Currency, Invalid, LineId, Money, MoneyError, OrderId, ProductId, Quantity, UserId};
use serde::{Deserialize, Serialize};

/// Maximum number of lines of a cart, and therefore of an order.
pub const LINES_MAX: usize = 100;
const VARIANT_CHARACTERS_MAX: usize = 64;

/// A variant of a product: up to 64 characters; empty for a product without variants.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variant(String);

impl Variant {
    /// Accepts up to 64 characters on one line; trims surrounding whitespace.
    pub fn parse(variant: &str) -> Result<Self, Invalid> {
        let variant = variant.trim();
        if variant.chars().count() > VARIANT_CHARACTERS_MAX || variant.chars().any(char::is_control) {
            let message = format!("must be at most {VARIANT_CHARACTERS_MAX} characters on one line");
            return Err(Invalid::new("variant", message));
        }
        Ok(Self(variant.to_owned()))
    }

    /// The variant's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A shopper's cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// The cart.
    pub id: CartId,
    /// The owner of the cart.
    pub user: UserId,
    /// Incremented by each change; also the sequence number of the change's event. 0: the cart has never had a line.
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
    /// Number of units.
    pub quantity: Quantity,
    /// Unit price when the user last changed the line.
    pub seen: Money,
}

/// A stored copy of a product, shown while the catalog is unavailable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductCopy {
    /// The product.
    pub product: ProductId,
    /// Version of the product; an older copy never replaces a newer one.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// URL of a picture.
    pub image_url: Option<String>,
    /// Unit price of that version; `None` if only the deletion of the product is known.
    pub price: Option<Money>,
    /// Whether the product is deleted.
    pub deleted: bool,
}

/// An existing product in a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedLine {
    /// The copy to store.
    pub copy: ProductCopy,
    /// Current unit price.
    pub price: Money,
    /// Available units of all variants.
    pub stock: i64,
}

/// A quote of the catalog; the value is `None` for a product that does not exist or is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuoteResult(pub BTreeMap<ProductId, Option<QuotedLine>>);

impl QuoteResult {
    /// Returns the quoted product; `None` if it was not requested or does not exist.
    pub fn of(&self, product: ProductId) -> Option<&QuotedLine> {
        self.0.get(&product).and_then(Option::as_ref)
    }
}

/// A cart with the stored copies of its products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The cart.
    pub cart: Cart,
    /// Stored copies of its products.
    pub copies: BTreeMap<ProductId, ProductCopy>,
}

/// The cart as shown to its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The cart.
    pub id: CartId,
    /// The cart's version.
    pub version: i64,
    /// Its lines, oldest first.
    pub items: Vec<Item>,
    /// Total of all lines, including unavailable ones.
    pub total: Money,
}

/// A cart line as shown to the cart's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The line.
    pub line: Line,
    /// The product's name.
    pub name: String,
    /// URL of a picture.
    pub image_url: Option<String>,
    /// Current unit price; the last known price while the catalog is unavailable.
    pub price: Money,
    /// Whether stock covers the quantity; false while the catalog is unavailable.
    pub available: bool,
}

impl Item {
    /// Whether the price differs from the price at the user's last change of the line.
    pub fn price_changed(&self) -> bool {
        self.price != self.line.seen
    }
}

impl Cart {
    /// The empty cart of a user, of version 0. Its id equals the user's id, so it is stable before the cart is stored.
    pub const fn of(user: UserId) -> Self {
        Self { id: CartId::new(user.uuid()), user, version: 0, lines: Vec::new() }
    }

    /// The event that carries the current lines.
    pub fn updated(&self) -> CartEvent {
        let line = |line: &Line| CartLine {
            product_id: line.product,
            variant: line.variant.0.clone(),
            quantity: line.quantity.get(),
        };
        let items = self.lines.iter().map(line).collect();
        CartEvent::Updated(CartUpdated { cart_id: self.id, user_id: self.user, version: self.version, items })
    }

    /// Adds a line, or adds its units to the line of the same product and variant at the new price. Returns the resulting
    /// line.
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

    /// Returns the line with this id.
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == id)
    }

    /// Sets the units of a line and the price that its user has seen. Returns the resulting line; `None` without the line.
    pub fn change(&mut self, id: LineId, quantity: Quantity, seen: Money) -> Option<Line> {
        let line = self.lines.iter_mut().find(|line| line.id == id)?;
        (line.quantity, line.seen) = (quantity, seen);
        self.version += 1;
        Some(line.clone())
    }

    /// Removes a line and returns it; `None` without the line.
    pub fn remove(&mut self, id: LineId) -> Option<Line> {
        let at = self.lines.iter().position(|line| line.id == id)?;
        self.version += 1;
        Some(self.lines.remove(at))
    }

    /// Moves all lines to an order: returns the empty cart and the checkout. `None` if the cart has no lines.
    pub fn check_out(self, order: OrderId) -> Option<(Self, Checkout)> {
        let Self { id, user, version, lines } = self;
        let emptied = Self { id, user, version: version + 1, lines: Vec::new() };
        (!lines.is_empty()).then_some((emptied, Checkout { order, cart: id, version, lines }))
    }

    /// Adds the lines of a cancelled checkout. Quantities are summed up to the limit of a line, lines are added up to the
    /// limit of a cart, and deleted products are left out.
    pub fn restore(&mut self, lines: Vec<Line>, deleted: &BTreeSet<ProductId>) {
        self.lines = merge_lines(std::mem::take(&mut self.lines), lines, deleted);
        self.version += 1;
    }

    /// The distinct products of the cart.
    pub fn products(&self) -> BTreeSet<ProductId> {
        self.lines.iter().map(|line| line.product).collect()
    }
}

/// Why a change of a cart is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The product does not exist or is deleted.
    UnknownProduct,
    /// Stock is insufficient.
    Insufficient {
        /// The product.
        product: ProductId,
        /// Units of the line after the change.
        requested: u32,
        /// Available units.
        available: i64,
    },
    /// The line would exceed [`agora_vocab::QUANTITY_MAX`] units.
    QuantityTooLarge,
    /// The cart would exceed [`LINES_MAX`] lines.
    TooManyLines,
    /// The product has another currency than the cart.
    OtherCurrency,
    /// The total overflows.
    Total(MoneyError),
}

impl Contents {
    /// A stored cart with the copies of its products. The lines of deleted products are left out; the next change of the cart
    /// also removes them from the store.
    pub fn of(mut cart: Cart, copies: BTreeMap<ProductId, ProductCopy>) -> Self {
        let deleted = |product: &ProductId| copies.get(product).is_some_and(|copy| copy.deleted);
        cart.lines.retain(|line| !deleted(&line.product));
        Self { cart, copies }
    }

    /// Validates the cart after a change of `product`.
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

    /// Builds the view from the quote; products without a quote are shown from their copies.
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

/// The lines that an order has moved out of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The order.
    pub order: OrderId,
    /// The cart.
    pub cart: CartId,
    /// Version of the cart that was checked out; unique among checkouts of the cart.
    pub version: i64,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// State of a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckoutState {
    /// In progress: the order has the lines.
    Taken,
    /// Cancelled: the lines are back in the cart, or the checkout was cancelled before it began.
    Returned,
    /// Completed: the order is placed.
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

    /// Parses the name on the wire and in the database.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Taken, Self::Returned, Self::Done].into_iter().find(|state| state.as_str() == name)
    }
}

fn merge_lines(mut lines: Vec<Line>, back: Vec<Line>, deleted: &BTreeSet<ProductId>) -> Vec<Line> {
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
    fn a_view_shows_quoted_prices_and_stock_and_flags_a_changed_price() {
        let cart = contents(vec![line(1, 2, 100), line(2, 1, 500)], &[copy(1, 100), copy(2, 500)]);
        let view = cart.view(&quote(&[(1, 150, 2), (2, 500, 0)])).unwrap();
        let seen: Vec<_> = view.items.iter().map(|i| (i.price.amount, i.available, i.price_changed())).collect();
        assert_eq!(seen, [(150, true, true), (500, false, false)]);
        assert_eq!(view.total, eur(800));
    }

    #[test]
    fn without_a_quote_copies_are_shown_and_nothing_is_available() {
        let view = contents(vec![line(1, 2, 100)], &[copy(1, 120)]).view(&QuoteResult::default()).unwrap();
        let item = &view.items[0];
        assert_eq!(
            (item.name.as_str(), item.price, item.available, item.price_changed()),
            ("Chair", eur(120), false, true)
        );
    }

    #[test]
    fn a_deleted_product_is_shown_from_its_copy() {
        let gone = QuoteResult([(ProductId::new(Uuid::from_u128(1)), None)].into());
        let view = contents(vec![line(1, 2, 100)], &[copy(1, 100)]).view(&gone).unwrap();
        assert!(!view.items[0].available);
        assert_eq!(view.total, eur(200));
    }

    #[test]
    fn insufficient_stock_and_a_second_currency_are_rejected() {
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
    fn added_units_join_their_line_at_the_new_price_within_the_limit() {
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
    fn an_empty_cart_has_total_zero() {
        assert_eq!(contents(vec![], &[]).view(&QuoteResult::default()).unwrap().total, eur(0));
    }

    #[test]
    fn a_changed_or_removed_line_raises_the_version_and_an_unknown_line_does_not() {
        let mut cart = contents(vec![line(1, 2, 100), line(2, 1, 100)], &[]).cart;
        let (first, second, unknown) = (cart.lines[0].id, cart.lines[1].id, LineId::new(Uuid::from_u128(9)));
        let changed = cart.change(first, Quantity::parse(7).unwrap(), eur(150)).unwrap();
        assert_eq!((changed.quantity.get(), changed.seen, cart.line(first)), (7, eur(150), Some(&changed)));
        assert_eq!(cart.remove(second).map(|line| line.id), Some(second));
        assert_eq!((cart.change(unknown, changed.quantity, eur(1)), cart.remove(unknown)), (None, None));
        assert_eq!((cart.version, cart.lines), (3, vec![changed]));
    }

    #[test]
    fn a_checkout_has_all_lines_and_the_version_before() {
        let order = OrderId::new(Uuid::from_u128(5));
        let cart = contents(vec![line(1, 2, 100)], &[]).cart;
        let (emptied, checkout) = cart.clone().check_out(order).unwrap();
        assert_eq!((checkout.version, checkout.lines, checkout.cart), (1, cart.lines, cart.id));
        assert_eq!((emptied.version, emptied.lines.len(), emptied.check_out(order)), (2, 0, None));
    }

    #[test]
    fn the_line_of_a_deleted_product_is_not_in_the_cart() {
        let gone = ProductCopy { deleted: true, ..copy(1, 100) };
        let copies = BTreeMap::from([(gone.product, gone)]);
        let read = Contents::of(contents(vec![line(1, 2, 100), line(2, 1, 100)], &[]).cart, copies);
        assert_eq!(read.cart.lines, [line(2, 1, 100)]);
    }

    #[test]
    fn deleted_products_do_not_return_to_the_cart() {
        let deleted = [ProductId::new(Uuid::from_u128(2))].into();
        let lines = merge_lines(vec![line(1, 1, 1)], vec![line(1, 2, 1), line(2, 1, 1), line(3, 1, 1)], &deleted);
        let seen: Vec<_> = lines.iter().map(|line| line.quantity.get()).collect();
        assert_eq!(seen, [3, 1]);
    }

    proptest! {
        #[test]
        fn merging_loses_no_line_of_the_cart_and_keeps_the_limits(
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
