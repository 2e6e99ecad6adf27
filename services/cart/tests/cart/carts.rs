//! Contract of the port `Carts`.

use agora_cart::{
    domain::Refused,
    ports::{CartError, Carts as _, Checkouts as _, NewLine, StoreError},
};
use agora_outbox::{DedupKey, Outcome};

use crate::fixture::{Database, add, command, eur, held, line, order, product, put, quote, red, request, units, user};

#[tokio::test]
async fn ct5_equal_lines_are_merged_and_variants_are_separate() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    add(carts, me, chair, 2).await;
    let view = add(carts, me, chair, 3).await;
    assert_eq!((view.items.len(), view.items[0].line.quantity, view.total), (1, units(5), eur(500)));
    let red = NewLine { variant: red(), ..line(chair, 1) };
    let view = put(carts, me, &red, &quote(&[chair], 99), &DedupKey::None).await.unwrap().into_inner();
    assert_eq!(view.items.iter().map(|item| item.line.quantity.get()).collect::<Vec<_>>(), [5, 1]);
    assert_eq!(view.id, carts.find(me.into()).await.unwrap().cart.id);
    database.check_event_numbers().await;
}

#[tokio::test]
async fn every_change_raises_the_version_by_one() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    assert_eq!(held(carts, me).await, (0, vec![]));
    assert_eq!(add(carts, me, chair, 2).await.version, 1);
    let id = add(carts, me, product(), 1).await.items[0].line.id;
    let changed =
        carts.change(me.into(), id, units(7), &quote(&[chair], 7), &DedupKey::None).await.unwrap().into_inner();
    assert_eq!((changed.version, changed.items[0].line.quantity), (3, units(7)));
    carts.remove(me.into(), id, &DedupKey::None).await.unwrap();
    assert_eq!(held(carts, me).await, (4, vec![1]));
    carts.begin_checkout(order(), me, &command()).await.unwrap();
    assert_eq!(held(carts, me).await, (5, vec![]));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn an_add_applies_to_the_current_cart_even_if_the_read_is_stale() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let (before, offered) = (carts.find(me.into()).await.unwrap(), quote(&[chair], 5));
    add(carts, me, chair, 4).await;
    let one = line(chair, 1);
    let added = carts.add(before.clone(), &one, &offered, &DedupKey::None).await.unwrap().into_inner();
    assert_eq!((added.version, added.items[0].line.quantity), (2, units(5)));
    let more = carts.add(before, &one, &offered, &DedupKey::None).await;
    let short = Refused::Insufficient { product: chair, requested: 6, available: 5 };
    assert!(matches!(&more, Err(CartError::Refused(why)) if *why == short), "{more:?}");
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_rejected_change_does_not_change_the_cart() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let id = add(carts, me, chair, 4).await.items[0].line.id;
    let offered = quote(&[chair], 5);
    let more = put(carts, me, &line(chair, 2), &offered, &DedupKey::None).await;
    let short = Refused::Insufficient { product: chair, requested: 6, available: 5 };
    assert!(matches!(&more, Err(CartError::Refused(why)) if *why == short), "{more:?}");
    let more = carts.change(me.into(), id, units(6), &offered, &DedupKey::None).await;
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
    database.check_event_numbers().await;
}

#[tokio::test]
async fn ct6_a_line_is_accessible_to_its_user_only() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, thief, chair) = (user(), user(), product());
    let id = add(carts, me, chair, 4).await.items[0].line.id;
    add(carts, thief, chair, 1).await;
    for stranger in [thief, user()] {
        let change = carts.change(stranger.into(), id, units(1), &quote(&[chair], 9), &DedupKey::None).await;
        assert!(matches!(change, Err(CartError::NotFound)), "{change:?}");
        let remove = carts.remove(stranger.into(), id, &DedupKey::None).await;
        assert!(matches!(remove, Err(CartError::NotFound)), "{remove:?}");
    }
    assert_eq!((held(carts, me).await, held(carts, thief).await), ((1, vec![4]), (1, vec![1])));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_duplicate_request_returns_the_first_result() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let (line, offered, dedup_key) = (line(chair, 2), quote(&[chair], 9), request(me, "k", 1));
    let first = put(carts, me, &line, &offered, &dedup_key).await.unwrap();
    add(carts, me, chair, 1).await;
    let again = put(carts, me, &line, &offered, &dedup_key).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(first.into_inner()));
    let other = put(carts, me, &line, &offered, &request(me, "k", 2)).await;
    assert!(matches!(other, Err(CartError::Store(StoreError::KeyReused))), "{other:?}");
    let id = carts.find(me.into()).await.unwrap().cart.lines[0].id;
    assert_eq!(carts.remove(me.into(), id, &request(me, "r", 1)).await.unwrap(), Outcome::Applied(()));
    assert_eq!(carts.remove(me.into(), id, &request(me, "r", 1)).await.unwrap(), Outcome::Duplicate(()));
    assert_eq!(held(carts, me).await, (3, vec![]));
    database.check_event_numbers().await;
}

#[tokio::test]
async fn the_stored_result_of_a_request_can_be_read() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair, dedup_key) = (user(), product(), request(user(), "k", 1));
    assert_eq!(carts.stored_view(&dedup_key).await.unwrap(), None);
    let first = put(carts, me, &line(chair, 2), &quote(&[chair], 9), &dedup_key).await.unwrap().into_inner();
    assert_eq!(carts.stored_view(&dedup_key).await.unwrap(), Some(first));
    let DedupKey::Request { scope, key, route, .. } = dedup_key else { unreachable!("a request") };
    let other = carts.stored_view(&DedupKey::Request { scope, key, route, hash: [2; 32] }).await;
    assert!(matches!(other, Err(StoreError::KeyReused)), "{other:?}");
    assert_eq!(carts.stored_view(&DedupKey::None).await.unwrap(), None);
    database.check_event_numbers().await;
}

#[tokio::test]
async fn lower_needs_no_quote_and_never_raises_units() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let id = add(carts, me, chair, 5).await.items[0].line.id;
    let dedup_key = request(me, "l", 1);
    let lowered = carts.lower(me.into(), id, units(3), &dedup_key).await.unwrap().into_inner();
    assert_eq!((lowered.items[0].line.quantity, lowered.items[0].available), (units(3), false));
    assert_eq!(carts.lower(me.into(), id, units(3), &dedup_key).await.unwrap(), Outcome::Duplicate(lowered));
    carts.lower(me.into(), id, units(4), &DedupKey::None).await.unwrap();
    assert_eq!(held(carts, me).await, (3, vec![3]));
    let strange = carts.lower(user().into(), id, units(1), &DedupKey::None).await;
    assert!(matches!(strange, Err(CartError::NotFound)), "{strange:?}");
    database.check_event_numbers().await;
}
