//! Rules of carts, views and checkouts.

use std::collections::{BTreeMap, BTreeSet};

use agora_vocab::{AMOUNT_MAX, CartId, Currency, Epoch, LineId, Money, OrderId, ProductId, Quantity, UserId, Variant};
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
        reported: None,
    }
}

fn copy(product: u128, price: i64) -> ProductCopy {
    let product = ProductId::new(Uuid::from_u128(product));
    ProductCopy {
        product,
        epoch: Epoch(0),
        version: 1,
        name: "Chair".into(),
        image_url: None,
        price: Some(eur(price)),
        variant_prices: BTreeMap::new(),
        deleted: false,
    }
}

/// The empty cart of a user, of version 1.
fn empty() -> Cart {
    Cart { version: 1, ..Cart::of(UserId::new(Uuid::from_u128(1))) }
}

fn contents(lines: Vec<Line>, copies: &[ProductCopy]) -> Contents {
    let cart = Cart { lines, ..empty() };
    Contents { cart, copies: copies.iter().map(|copy| (copy.product, copy.clone())).collect() }
}

fn quote(quote: &[(u128, i64, i64)]) -> QuoteResult {
    let quoted = |&(product, price, stock): &(u128, i64, i64)| {
        let copy = copy(product, price);
        (copy.product, Some(QuotedLine { copy, price: eur(price), stock, variants: BTreeMap::new() }))
    };
    QuoteResult(quote.iter().map(quoted).collect())
}

#[test]
fn ct11_a_view_shows_quoted_prices_and_stock_and_flags_a_changed_price() {
    let cart = contents(vec![line(1, 2, 100), line(2, 1, 500)], &[copy(1, 100), copy(2, 500)]);
    let view = cart.view(&quote(&[(1, 150, 2), (2, 500, 0)]));
    let seen: Vec<_> = view.items.iter().map(|i| (i.price.amount, i.available, i.price_changed())).collect();
    assert_eq!(seen, [(150, true, true), (500, false, false)]);
    assert_eq!(view.total, eur(800));
}

#[test]
fn without_a_quote_copies_are_shown_and_nothing_is_available() {
    let view = contents(vec![line(1, 2, 100)], &[copy(1, 120)]).view(&QuoteResult::default());
    let item = &view.items[0];
    assert_eq!(
        (item.name.as_str(), item.price, item.available, item.price_changed()),
        ("Chair", eur(120), false, true)
    );
}

#[test]
fn a_deleted_product_is_shown_from_its_copy() {
    let gone = QuoteResult([(ProductId::new(Uuid::from_u128(1)), None)].into());
    let view = contents(vec![line(1, 2, 100)], &[copy(1, 100)]).view(&gone);
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
fn ct2_an_empty_cart_has_total_zero() {
    assert_eq!(contents(vec![], &[]).view(&QuoteResult::default()).total, eur(0));
}

#[test]
fn ct4_a_changed_or_removed_line_raises_the_version_and_an_unknown_line_does_not() {
    let mut cart = contents(vec![line(1, 2, 100), line(2, 1, 100)], &[]).cart;
    let (first, second, unknown) = (cart.lines[0].id, cart.lines[1].id, LineId::new(Uuid::from_u128(9)));
    let changed = cart.change(first, Quantity::parse(7).unwrap(), Some(eur(150))).unwrap();
    assert_eq!((changed.quantity.get(), changed.seen, cart.line(first)), (7, eur(150), Some(&changed)));
    assert_eq!(cart.remove(second).map(|line| line.id), Some(second));
    assert_eq!((cart.change(unknown, changed.quantity, Some(eur(1))), cart.remove(unknown)), (None, None));
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

fn yen(product: u128, quantity: i64) -> Line {
    let seen = Money { amount: 100, currency: "JPY".parse().unwrap() };
    Line { seen, ..line(product, quantity, 100) }
}

/// Previous and new price, and the version, of each repriced line.
fn repriced(cart: &mut Cart, quote: &QuoteResult) -> Vec<(i64, i64, i64)> {
    cart.reprice(quote).iter().map(|line| (line.previous.amount, line.price.amount, line.version)).collect()
}

#[test]
fn ct8_a_line_is_repriced_once_for_each_price_that_its_user_does_not_know() {
    let mut cart = contents(vec![line(1, 2, 100), line(2, 1, 500), line(3, 1, 70)], &[]).cart;
    let dearer = quote(&[(1, 120, 9), (2, 500, 9)]);
    assert_eq!(repriced(&mut cart, &dearer), [(100, 120, 2)]);
    assert_eq!((repriced(&mut cart, &dearer), cart.version), (vec![], 2));
    assert_eq!(repriced(&mut cart, &quote(&[(1, 130, 9), (2, 450, 9)])), [(120, 130, 3), (500, 450, 4)]);
    let view = Contents { cart: cart.clone(), copies: BTreeMap::new() }.view(&quote(&[(1, 130, 9)]));
    assert_eq!(
        (view.items[0].line.seen, view.items[0].previous_price()),
        (eur(100), Some(eur(100))),
        "the user saw 100"
    );

    let back = quote(&[(1, 100, 9), (2, 500, 9)]);
    assert_eq!(repriced(&mut cart, &back), [(130, 100, 5), (450, 500, 6)], "what was reported is not true any more");
    assert_eq!(cart.lines, [line(1, 2, 100), line(2, 1, 500), line(3, 1, 70)]);
    assert_eq!(repriced(&mut cart, &back), []);
}

#[test]
fn ct8_a_price_that_went_back_or_that_the_user_has_seen_meanwhile_is_not_reported() {
    let mut cart = contents(vec![line(1, 2, 100)], &[]).cart;
    assert_eq!(repriced(&mut cart, &quote(&[(1, 100, 9)])), []);
    assert_eq!(repriced(&mut cart, &quote(&[(1, 120, 9)])), [(100, 120, 2)]);
    let id = cart.lines[0].id;
    cart.change(id, Quantity::ONE, None).unwrap();
    assert_eq!(repriced(&mut cart, &quote(&[(1, 120, 9)])), [], "lowered without a price: 120 was reported");
    cart.change(id, Quantity::ONE, Some(eur(100))).unwrap();
    assert_eq!(repriced(&mut cart, &quote(&[(1, 100, 9)])), [], "the user saw that it is 100 again");
    cart.add(line(1, 1, 120)).unwrap();
    assert_eq!(repriced(&mut cart, &quote(&[(1, 120, 9)])), []);
}

#[test]
fn ct8_a_variant_is_repriced_by_its_own_price_and_not_at_all_once_it_is_gone() {
    let variant = |name: &str| Variant::parse(name).unwrap();
    let red = Line { id: LineId::new(Uuid::from_u128(7)), variant: variant("red"), ..line(1, 1, 150) };
    let mut cart = contents(vec![line(1, 1, 100), red.clone(), Line { variant: variant("blue"), ..red }], &[]).cart;
    let mut quote = quote(&[(1, 120, 9)]);
    let quoted = quote.0.values_mut().next().unwrap().as_mut().unwrap();
    quoted.variants.insert(variant("red"), QuotedVariant { stock: 1, price: Some(eur(150)) });
    assert_eq!(repriced(&mut cart, &quote), [(100, 120, 2)]);
    let quoted = quote.0.values_mut().next().unwrap().as_mut().unwrap();
    quoted.variants.insert(variant("red"), QuotedVariant { stock: 0, price: None });
    assert_eq!(repriced(&mut cart, &quote), [(150, 120, 3)], "also while it is sold out");
    let gone = QuoteResult([(ProductId::new(Uuid::from_u128(1)), None)].into());
    assert_eq!((repriced(&mut cart, &gone), cart.version), (vec![], 3));
}

/// Products and reasons of the removed lines.
fn removed(cart: &Cart) -> Vec<(ProductId, RemovalReason)> {
    cart.removed.iter().map(|removed| (removed.line.product, removed.reason)).collect()
}

#[test]
fn the_line_of_a_deleted_product_is_not_in_the_cart() {
    let gone = ProductCopy { deleted: true, ..copy(1, 100) };
    let copies = BTreeMap::from([(gone.product, gone)]);
    let stored = vec![line(1, 2, 100), line(2, 1, 100)];
    let read = Contents::read(empty(), stored, copies);
    assert_eq!(read.cart.lines, [line(2, 1, 100)]);
    assert_eq!(removed(&read.cart), [(line(1, 1, 1).product, RemovalReason::Deleted)]);
    let view = read.view(&QuoteResult::default());
    assert_eq!((view.items.len(), view.removed[0].name.as_str(), view.total), (1, "Chair", eur(100)));
}

#[test]
fn deleted_products_do_not_return_to_the_cart() {
    let deleted = [ProductId::new(Uuid::from_u128(2))].into();
    let mut cart = contents(vec![line(1, 1, 1)], &[]).cart;
    cart.restore(vec![line(1, 2, 1), line(2, 1, 1), line(3, 1, 1)], &deleted);
    let seen: Vec<_> = cart.lines.iter().map(|line| line.quantity.get()).collect();
    assert_eq!((seen, removed(&cart)), (vec![3, 1], vec![(line(2, 1, 1).product, RemovalReason::Deleted)]));
}

#[test]
fn returned_lines_of_another_currency_are_listed_as_removed_until_the_next_change() {
    let mut cart = contents(vec![yen(1, 2)], &[]).cart;
    cart.restore(vec![line(2, 1, 500), line(3, 1, 500)], &BTreeSet::new());
    let kept: Vec<_> = cart.stored_lines().into_iter().cloned().collect();
    let mut read = Cart { version: cart.version, ..empty() }.with_stored(kept, &BTreeSet::new());
    assert_eq!((&read, read.lines.as_slice()), (&cart, [yen(1, 2)].as_slice()));
    assert_eq!(removed(&read), [2, 3].map(|product| (line(product, 1, 1).product, RemovalReason::Currency)));
    read.change(yen(1, 2).id, Quantity::ONE, Some(yen(1, 1).seen)).unwrap();
    assert!(read.removed.is_empty());
}

proptest! {
    #[test]
    fn every_stored_cart_can_be_shown(
        stored in prop::collection::vec((0..9_u128, 1..9_999_i64, -AMOUNT_MAX..AMOUNT_MAX, any::<bool>()), 0..250),
        deleted in prop::collection::btree_set(0..9_u128, 0..9),
    ) {
        let lines = stored.into_iter().map(|(product, quantity, amount, is_yen)| {
            let currency = if is_yen { "JPY".parse().unwrap() } else { Currency::EUR };
            Line { seen: Money { amount, currency }, ..line(product, quantity, 1) }
        });
        let copies = deleted.iter().map(|&product| ProductCopy { deleted: true, ..copy(product, 1) });
        let copies = copies.map(|copy| (copy.product, copy)).collect();
        let contents = Contents::read(empty(), lines.collect(), copies);
        let view = contents.view(&QuoteResult::default());
        prop_assert!(view.items.iter().all(|item| item.price.currency == view.total.currency));
        prop_assert!(view.items.len() <= LINES_MAX && contents.cart.removed.len() <= LINES_MAX);
    }
}

proptest! {
    #[test]
    fn merging_loses_no_line_of_the_cart_and_keeps_the_limits(
        there in prop::collection::btree_map(0..150_u128, 1..9_999_i64, 0..100),
        back in prop::collection::btree_map(0..150_u128, 1..9_999_i64, 0..100),
    ) {
        let lines = |of: &BTreeMap<u128, i64>| of.iter().map(|(&p, &q)| line(p, q, 1)).collect::<Vec<_>>();
        let mut cart = contents(lines(&there), &[]).cart;
        cart.restore(lines(&back), &BTreeSet::new());
        let merged = cart.lines;
        prop_assert!(merged.len() <= LINES_MAX);
        for (&product, &quantity) in &there {
            let expected = (quantity + back.get(&product).copied().unwrap_or(0)).min(9_999);
            let product = ProductId::new(Uuid::from_u128(product));
            let found = merged.iter().find(|line| line.product == product).map(|line| i64::from(line.quantity.get()));
            prop_assert_eq!(found, Some(expected));
        }
    }
}

/// The cart of a guest.
fn guest(lines: Vec<Line>) -> Contents {
    let id = CartId::new(Uuid::from_u128(2));
    Contents { cart: Cart { lines, ..Cart::of_guest(id, TokenDigest([7; 32])) }, copies: BTreeMap::new() }
}

/// Products, units and reasons of what is not part of a cart.
fn left_out(view: &View) -> Vec<(ProductId, u32, RemovalReason)> {
    view.removed.iter().map(|removed| (removed.line.product, removed.line.quantity.get(), removed.reason)).collect()
}

fn units_of<'a>(lines: impl Iterator<Item = &'a Line>, product: ProductId) -> i64 {
    lines.filter(|line| line.product == product).map(|line| i64::from(line.quantity.get())).sum()
}

#[test]
fn a_merge_sums_units_keeps_what_the_user_saw_and_adds_new_lines_as_the_guest_saw_them() {
    let mine = contents(vec![line(1, 2, 100), line(2, 1, 500)], &[]);
    let (cart, view) =
        mine.merge(guest(vec![line(1, 3, 110), line(3, 1, 50)]), &quote(&[(1, 120, 9), (2, 500, 9), (3, 60, 9)]));
    assert_eq!(cart.lines, [line(1, 5, 100), line(2, 1, 500), line(3, 1, 50)]);
    assert_eq!((cart.version, cart.owner, view.total), (2, empty().owner, eur(5 * 120 + 500 + 60)));
    assert_eq!(view.items.iter().map(Item::price_changed).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((left_out(&view), cart.removed), (vec![], vec![]));
}

#[test]
fn a_line_that_the_guests_cart_could_not_keep_is_listed_by_the_merge() {
    let mut theirs = guest(vec![line(1, 1, 100)]);
    theirs.cart.removed.push(RemovedLine { line: line(9, 2, 100), reason: RemovalReason::Deleted });
    let (cart, view) = contents(vec![], &[]).merge(theirs, &quote(&[(1, 100, 9)]));
    assert_eq!(left_out(&view), [(line(9, 1, 1).product, 2, RemovalReason::Deleted)]);
    assert_eq!((cart.lines, cart.removed), (vec![line(1, 1, 100)], vec![]));
}

#[test]
fn the_scope_of_an_owners_keys_never_changes() {
    let user = UserId::new(Uuid::from_u128(1));
    assert_eq!(Owner::from(user).to_string(), user.to_string());
    let guest = Owner::Guest(TokenDigest([0xa7; 32])).to_string();
    assert_eq!(guest, format!("guest {}", "a7".repeat(32)));
}

proptest! {
    #[test]
    fn a_merge_loses_no_unit_and_keeps_the_limits(
        there in prop::collection::btree_map(0..150_u128, 1..9_999_i64, 0..100),
        theirs in prop::collection::btree_map(0..150_u128, (1..9_999_i64, any::<bool>()), 0..100),
        stock in prop::collection::btree_map(0..150_u128, 0..20_000_i64, 0..150),
    ) {
        let mine: Vec<_> = there.iter().map(|(&product, &quantity)| line(product, quantity, 1)).collect();
        let lines = theirs.iter().map(|(&product, &(quantity, is_yen))| {
            if is_yen { yen(product, quantity) } else { line(product, quantity, 1) }
        });
        let quoted: Vec<_> = stock.iter().map(|(&product, &stock)| (product, 1, stock)).collect();
        let (cart, view) = contents(mine.clone(), &[]).merge(guest(lines.collect()), &quote(&quoted));
        prop_assert!(cart.lines.len() <= LINES_MAX);
        prop_assert_eq!(&cart, &cart.clone().stored_again());
        for product in 0..150 {
            let id = ProductId::new(Uuid::from_u128(product));
            let before = there.get(&product).copied().unwrap_or(0);
            let added = theirs.get(&product).map_or(0, |&(quantity, _)| quantity);
            let kept = units_of(cart.lines.iter(), id);
            let removed = units_of(view.removed.iter().map(|removed| &removed.line), id);
            prop_assert_eq!(kept + removed, before + added);
            prop_assert!(kept >= before);
            prop_assert!(kept == before || kept <= stock.get(&product).copied().unwrap_or(0).min(9_999));
        }
    }
}

impl Cart {
    /// The cart as it is read after it was stored.
    fn stored_again(self) -> Self {
        let stored = self.stored_lines().into_iter().cloned().collect();
        Self { lines: Vec::new(), removed: Vec::new(), ..self }.with_stored(stored, &BTreeSet::new())
    }
}
