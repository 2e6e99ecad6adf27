//! Contract tests of the `Carts` port: run on the fake and on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use agora_cart::{
    domain::{Checkout, CheckoutState, ProductCopy, QuoteResult, QuotedLine, Refused, Variant, View},
    ports::{CartError, Carts, CheckoutError, NewLine, StoreError},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Currency, Ids as _, LineId, Money, OrderId, ProductId, Quantity, UserId};
use uuid::Uuid;

pub fn fresh() -> Uuid {
    agora_chassis::SystemIds.next()
}

pub fn user() -> UserId {
    UserId::new(fresh())
}

pub fn product() -> ProductId {
    ProductId::new(fresh())
}

pub fn order() -> OrderId {
    OrderId::new(fresh())
}

pub fn command() -> DedupKey {
    DedupKey::Command { id: fresh() }
}

pub fn request(user: UserId, key: &str, body: u8) -> DedupKey {
    DedupKey::Request { scope: user.to_string(), key: key.into(), route: "POST /x".into(), hash: [body; 32] }
}

pub fn eur(amount: i64) -> Money {
    Money { amount, currency: Currency::EUR }
}

pub fn copy(product: ProductId, version: i64) -> ProductCopy {
    let name = format!("Chair {version}");
    ProductCopy { product, version, name, image_url: None, price: Some(eur(100 * version)), deleted: false }
}

pub fn deleted(product: ProductId, version: i64) -> ProductCopy {
    ProductCopy { name: String::new(), price: None, deleted: true, ..copy(product, version) }
}

/// A quote of products of version 1 with this stock each.
pub fn quote(products: &[ProductId], stock: i64) -> QuoteResult {
    let quoted = |id: &ProductId| (*id, Some(QuotedLine { copy: copy(*id, 1), price: eur(100), stock }));
    QuoteResult(products.iter().map(quoted).collect())
}

pub fn units(n: i64) -> Quantity {
    Quantity::parse(n).unwrap()
}

pub fn line(product: ProductId, n: i64) -> NewLine {
    NewLine { id: LineId::new(fresh()), product, variant: Variant::default(), quantity: units(n) }
}

pub async fn add(carts: &dyn Carts, user: UserId, product: ProductId, n: i64) -> View {
    let quote = quote(&[product], 99_999);
    put(carts, user, &line(product, n), &quote, &DedupKey::None).await.unwrap().into_inner()
}

/// Reads the user's cart and adds to it.
pub async fn put(
    carts: &dyn Carts,
    user: UserId,
    line: &NewLine,
    quote: &QuoteResult,
    dedup_key: &DedupKey,
) -> Result<Outcome<View>, CartError> {
    carts.add(carts.find(user).await?, line, quote, dedup_key).await
}

/// Returns the cart's version and the units of each line.
pub async fn held(carts: &dyn Carts, user: UserId) -> (i64, Vec<u32>) {
    let cart = carts.find(user).await.unwrap().cart;
    (cart.version, cart.lines.iter().map(|line| line.quantity.get()).collect())
}

async fn begin_checkout(carts: &dyn Carts, order: OrderId, user: UserId) -> Result<Checkout, CheckoutError> {
    carts.begin_checkout(order, user, &command()).await.map(Outcome::into_inner)
}

async fn cancel_checkout(carts: &dyn Carts, order: OrderId) -> CheckoutState {
    carts.cancel_checkout(order, &command()).await.unwrap().into_inner()
}

/// Runs every contract test in sequence.
pub async fn all_hold(carts: &dyn Carts) {
    equal_lines_are_merged_and_variants_are_separate(carts).await;
    every_change_raises_the_version_by_one(carts).await;
    an_add_applies_to_the_current_cart_even_if_the_read_is_stale(carts).await;
    a_rejected_change_does_not_change_the_cart(carts).await;
    a_line_is_accessible_to_its_user_only(carts).await;
    a_duplicate_request_returns_the_first_result(carts).await;
    the_stored_result_of_a_request_can_be_read(carts).await;
    lower_needs_no_quote_and_never_raises_units(carts).await;
    a_checkout_moves_every_line_once(carts).await;
    an_empty_cart_cannot_be_checked_out(carts).await;
    a_cancelled_checkout_adds_its_lines_to_the_cart(carts).await;
    a_cancel_takes_precedence_over_a_late_checkout(carts).await;
    a_completed_checkout_cannot_be_cancelled(carts).await;
    a_newer_copy_replaces_an_older_one(carts).await;
    a_deleted_product_is_removed_from_every_cart_and_does_not_return(carts).await;
}

async fn equal_lines_are_merged_and_variants_are_separate(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    add(carts, me, chair, 2).await;
    let view = add(carts, me, chair, 3).await;
    assert_eq!((view.items.len(), view.items[0].line.quantity, view.total), (1, units(5), eur(500)));
    let red = NewLine { variant: Variant::parse("red").unwrap(), ..line(chair, 1) };
    let view = put(carts, me, &red, &quote(&[chair], 99), &DedupKey::None).await.unwrap().into_inner();
    assert_eq!(view.items.iter().map(|item| item.line.quantity.get()).collect::<Vec<_>>(), [5, 1]);
    assert_eq!(view.id, carts.find(me).await.unwrap().cart.id);
}

async fn every_change_raises_the_version_by_one(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    assert_eq!(held(carts, me).await, (0, vec![]));
    assert_eq!(add(carts, me, chair, 2).await.version, 1);
    let id = add(carts, me, product(), 1).await.items[0].line.id;
    let changed = carts.change(me, id, units(7), &quote(&[chair], 7), &DedupKey::None).await.unwrap().into_inner();
    assert_eq!((changed.version, changed.items[0].line.quantity), (3, units(7)));
    carts.remove(me, id, &DedupKey::None).await.unwrap();
    assert_eq!(held(carts, me).await, (4, vec![1]));
    begin_checkout(carts, order(), me).await.unwrap();
    assert_eq!(held(carts, me).await, (5, vec![]));
}

async fn an_add_applies_to_the_current_cart_even_if_the_read_is_stale(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    let (before, offered) = (carts.find(me).await.unwrap(), quote(&[chair], 5));
    add(carts, me, chair, 4).await;
    let one = line(chair, 1);
    let added = carts.add(before.clone(), &one, &offered, &DedupKey::None).await.unwrap().into_inner();
    assert_eq!((added.version, added.items[0].line.quantity), (2, units(5)));
    let more = carts.add(before, &one, &offered, &DedupKey::None).await;
    let short = Refused::Insufficient { product: chair, requested: 6, available: 5 };
    assert!(matches!(&more, Err(CartError::Refused(why)) if *why == short), "{more:?}");
}

async fn a_rejected_change_does_not_change_the_cart(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    let id = add(carts, me, chair, 4).await.items[0].line.id;
    let offered = quote(&[chair], 5);
    let more = put(carts, me, &line(chair, 2), &offered, &DedupKey::None).await;
    let short = Refused::Insufficient { product: chair, requested: 6, available: 5 };
    assert!(matches!(&more, Err(CartError::Refused(why)) if *why == short), "{more:?}");
    let more = carts.change(me, id, units(6), &offered, &DedupKey::None).await;
    assert!(matches!(&more, Err(CartError::Refused(why)) if *why == short), "{more:?}");
    let huge = put(carts, me, &line(chair, 9_996), &quote(&[chair], 99_999), &DedupKey::None).await;
    assert!(matches!(huge, Err(CartError::Refused(Refused::QuantityTooLarge))), "{huge:?}");
    let unknown = put(carts, me, &line(product(), 1), &offered, &DedupKey::None).await;
    assert!(matches!(unknown, Err(CartError::Refused(Refused::UnknownProduct))), "{unknown:?}");
    let mut yen = quote(&[product()], 5);
    for quoted in yen.0.values_mut().flatten() {
        quoted.price.currency = "JPY".parse().unwrap();
    }
    let other = *yen.0.keys().next().unwrap();
    let mixed = put(carts, me, &line(other, 1), &yen, &DedupKey::None).await;
    assert!(matches!(mixed, Err(CartError::Refused(Refused::OtherCurrency))), "{mixed:?}");
    assert_eq!(held(carts, me).await, (1, vec![4]));
}

async fn a_line_is_accessible_to_its_user_only(carts: &dyn Carts) {
    let (me, thief, chair) = (user(), user(), product());
    let id = add(carts, me, chair, 4).await.items[0].line.id;
    add(carts, thief, chair, 1).await;
    for stranger in [thief, user()] {
        let change = carts.change(stranger, id, units(1), &quote(&[chair], 9), &DedupKey::None).await;
        assert!(matches!(change, Err(CartError::NotFound)), "{change:?}");
        let remove = carts.remove(stranger, id, &DedupKey::None).await;
        assert!(matches!(remove, Err(CartError::NotFound)), "{remove:?}");
    }
    assert_eq!((held(carts, me).await, held(carts, thief).await), ((1, vec![4]), (1, vec![1])));
}

async fn a_duplicate_request_returns_the_first_result(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    let (line, offered, dedup_key) = (line(chair, 2), quote(&[chair], 9), request(me, "k", 1));
    let first = put(carts, me, &line, &offered, &dedup_key).await.unwrap();
    add(carts, me, chair, 1).await;
    let again = put(carts, me, &line, &offered, &dedup_key).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(first.into_inner()));
    let other = put(carts, me, &line, &offered, &request(me, "k", 2)).await;
    assert!(matches!(other, Err(CartError::Store(StoreError::KeyReused))), "{other:?}");
    let id = carts.find(me).await.unwrap().cart.lines[0].id;
    assert_eq!(carts.remove(me, id, &request(me, "r", 1)).await.unwrap(), Outcome::Applied(()));
    assert_eq!(carts.remove(me, id, &request(me, "r", 1)).await.unwrap(), Outcome::Duplicate(()));
    assert_eq!(held(carts, me).await, (3, vec![]));
}

async fn the_stored_result_of_a_request_can_be_read(carts: &dyn Carts) {
    let (me, chair, dedup_key) = (user(), product(), request(user(), "k", 1));
    assert_eq!(carts.stored_view(&dedup_key).await.unwrap(), None);
    let first = put(carts, me, &line(chair, 2), &quote(&[chair], 9), &dedup_key).await.unwrap().into_inner();
    assert_eq!(carts.stored_view(&dedup_key).await.unwrap(), Some(first));
    let DedupKey::Request { scope, key, route, .. } = dedup_key else { unreachable!("a request") };
    let other = carts.stored_view(&DedupKey::Request { scope, key, route, hash: [2; 32] }).await;
    assert!(matches!(other, Err(StoreError::KeyReused)), "{other:?}");
    assert_eq!(carts.stored_view(&DedupKey::None).await.unwrap(), None);
}

async fn lower_needs_no_quote_and_never_raises_units(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    let id = add(carts, me, chair, 5).await.items[0].line.id;
    let dedup_key = request(me, "l", 1);
    let lowered = carts.lower(me, id, units(3), &dedup_key).await.unwrap().into_inner();
    assert_eq!((lowered.items[0].line.quantity, lowered.items[0].available), (units(3), false));
    assert_eq!(carts.lower(me, id, units(3), &dedup_key).await.unwrap(), Outcome::Duplicate(lowered));
    carts.lower(me, id, units(4), &DedupKey::None).await.unwrap();
    assert_eq!(held(carts, me).await, (3, vec![3]));
    let strange = carts.lower(user(), id, units(1), &DedupKey::None).await;
    assert!(matches!(strange, Err(CartError::NotFound)), "{strange:?}");
}

async fn a_checkout_moves_every_line_once(carts: &dyn Carts) {
    let (me, first, dedup_key) = (user(), order(), command());
    add(carts, me, product(), 2).await;
    add(carts, me, product(), 3).await;
    let taken = carts.begin_checkout(first, me, &dedup_key).await.unwrap();
    let lines: Vec<_> = taken.as_ref().into_inner().lines.iter().map(|line| line.quantity.get()).collect();
    assert_eq!((taken.as_ref().into_inner().version, lines), (2, vec![2, 3]));
    add(carts, me, product(), 9).await;
    assert_eq!(
        carts.begin_checkout(first, me, &dedup_key).await.unwrap(),
        Outcome::Duplicate(taken.as_ref().into_inner().clone())
    );
    assert_eq!(begin_checkout(carts, first, me).await.unwrap(), taken.into_inner());
    assert_eq!(held(carts, me).await, (4, vec![9]));
    assert_eq!(begin_checkout(carts, order(), me).await.unwrap().version, 4);
}

async fn an_empty_cart_cannot_be_checked_out(carts: &dyn Carts) {
    let (me, late) = (user(), order());
    assert!(matches!(begin_checkout(carts, late, me).await, Err(CheckoutError::Empty)));
    add(carts, me, product(), 1).await;
    assert_eq!(begin_checkout(carts, late, me).await.unwrap().lines.len(), 1, "the rejected call wrote nothing");
    assert!(matches!(begin_checkout(carts, order(), me).await, Err(CheckoutError::Empty)));
}

async fn a_cancelled_checkout_adds_its_lines_to_the_cart(carts: &dyn Carts) {
    let (me, mine, chair, table, lamp) = (user(), order(), product(), product(), product());
    add(carts, me, chair, 9_000).await;
    add(carts, me, table, 2).await;
    begin_checkout(carts, mine, me).await.unwrap();
    add(carts, me, lamp, 1).await;
    add(carts, me, chair, 1_500).await;
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Returned);
    let lines = carts.find(me).await.unwrap().cart.lines;
    let of = |id| lines.iter().find(|line| line.product == id).map(|line| line.quantity.get());
    assert_eq!((lines.len(), of(chair), of(table), of(lamp)), (3, Some(9_999), Some(2), Some(1)));
    assert_eq!(lines.iter().find(|line| line.product == table).unwrap().seen, eur(100));

    let (version, _) = held(carts, me).await;
    assert_eq!(version, 6);
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Returned);
    assert_eq!(held(carts, me).await.0, version);
    assert!(matches!(begin_checkout(carts, mine, me).await, Err(CheckoutError::Cancelled)));
}

async fn a_cancel_takes_precedence_over_a_late_checkout(carts: &dyn Carts) {
    let (me, never) = (user(), order());
    add(carts, me, product(), 1).await;
    assert_eq!(cancel_checkout(carts, never).await, CheckoutState::Returned);
    assert!(matches!(begin_checkout(carts, never, me).await, Err(CheckoutError::Cancelled)));
    assert_eq!(held(carts, me).await, (1, vec![1]));
}

async fn a_completed_checkout_cannot_be_cancelled(carts: &dyn Carts) {
    let (me, mine) = (user(), order());
    add(carts, me, product(), 1).await;
    let taken = begin_checkout(carts, mine, me).await.unwrap();
    carts.complete_checkouts(&[mine]).await.unwrap();
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Done);
    assert_eq!(begin_checkout(carts, mine, me).await.unwrap(), taken);
    assert_eq!(held(carts, me).await, (2, vec![]));

    let (unknown, next) = (order(), order());
    add(carts, me, product(), 1).await;
    begin_checkout(carts, next, me).await.unwrap();
    carts.complete_checkouts(&[next, unknown, mine, next]).await.unwrap();
    assert_eq!(cancel_checkout(carts, next).await, CheckoutState::Done);
    assert!(matches!(begin_checkout(carts, unknown, me).await, Err(CheckoutError::Empty)), "no checkout was stored");
}

async fn a_newer_copy_replaces_an_older_one(carts: &dyn Carts) {
    let (me, chair) = (user(), product());
    add(carts, me, chair, 1).await;
    let name = async || carts.find(me).await.unwrap().copies[&chair].name.clone();
    assert_eq!(name().await, "Chair 1");
    carts.store_copies(&[copy(chair, 3)]).await.unwrap();
    carts.store_copies(&[copy(chair, 2)]).await.unwrap();
    assert_eq!(name().await, "Chair 3");
    add(carts, me, chair, 1).await;
    assert_eq!(name().await, "Chair 3", "an older copy does not replace a newer one");
    let batch = [copy(chair, 4), copy(product(), 1), copy(chair, 6), copy(chair, 5)];
    carts.store_copies(&batch).await.unwrap();
    assert_eq!(name().await, "Chair 6", "the newest of a batch is stored");
}

async fn a_deleted_product_is_removed_from_every_cart_and_does_not_return(carts: &dyn Carts) {
    let (me, you, chair, table) = (user(), user(), product(), product());
    add(carts, me, chair, 1).await;
    add(carts, me, table, 2).await;
    add(carts, you, chair, 5).await;
    let mine = order();
    begin_checkout(carts, mine, me).await.unwrap();
    add(carts, me, chair, 3).await;

    carts.store_copies(&[deleted(chair, 2)]).await.unwrap();
    assert_eq!((held(carts, me).await, held(carts, you).await), ((4, vec![]), (1, vec![])));
    let late = put(carts, me, &line(chair, 1), &quote(&[chair], 9), &DedupKey::None).await;
    assert!(matches!(late, Err(CartError::Refused(Refused::UnknownProduct))), "{late:?}");
    assert_eq!(cancel_checkout(carts, mine).await, CheckoutState::Returned);
    assert_eq!(held(carts, me).await, (5, vec![2]), "the table alone");
    assert_eq!(add(carts, you, table, 1).await.items.len(), 1, "a change writes the cart without the deleted product");
}
