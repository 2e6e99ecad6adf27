//! Contract of the port `ProductCopies`, and products deleted during other changes.

use agora_cart::{
    domain::{CheckoutState, ProductCopy, Refused},
    ports::{CartError, Carts as _, Checkouts as _, ProductCopies as _},
};
use agora_outbox::DedupKey;
use agora_vocab::Epoch;
use futures::future::join_all;

use crate::fixture::{Database, add, command, copy, deleted, held, line, order, product, put, quote, request, user};

#[tokio::test]
async fn ct8_a_newer_copy_of_a_product_replaces_an_older_one_and_never_the_other_way_round() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    add(carts, me, chair, 1).await;
    let name = async || carts.find(me.into()).await.unwrap().copies[&chair].name.clone();
    assert_eq!(name().await, "Chair 1");
    carts.store_copies(&[copy(chair, 3)]).await.unwrap();
    carts.store_copies(&[copy(chair, 2)]).await.unwrap();
    assert_eq!(name().await, "Chair 3");
    add(carts, me, chair, 1).await;
    assert_eq!(name().await, "Chair 3", "an older copy does not replace a newer one");
    let batch = [copy(chair, 4), copy(product(), 1), copy(chair, 6), copy(chair, 5)];
    carts.store_copies(&batch).await.unwrap();
    assert_eq!(name().await, "Chair 6", "the newest of a batch is stored");
    database.check_event_numbers().await;
}

#[tokio::test]
async fn a_copy_of_a_restored_catalog_replaces_one_of_the_lost_timeline_and_never_the_other_way_round() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, chair) = (user(), product());
    let restored = |version| ProductCopy { epoch: Epoch(1), ..copy(chair, version) };
    add(carts, me, chair, 1).await;
    let name = async || carts.find(me.into()).await.unwrap().copies[&chair].name.clone();
    carts.store_copies(&[copy(chair, 9)]).await.unwrap();
    carts.store_copies(&[restored(4), copy(chair, 10)]).await.unwrap();
    assert_eq!(name().await, "Chair 4");
    carts.store_copies(&[copy(chair, 11)]).await.unwrap();
    assert_eq!(name().await, "Chair 4", "an event of the lost timeline that arrives late");
    carts.store_copies(&[restored(5)]).await.unwrap();
    assert_eq!(name().await, "Chair 5");

    let table = product();
    carts.store_copies(&[deleted(table, 7)]).await.unwrap();
    let refused = put(carts, me, &line(table, 1), &quote(&[table], 9), &DedupKey::None).await;
    assert!(matches!(refused, Err(CartError::Refused(Refused::UnknownProduct))), "{refused:?}");
    let mut quote = quote(&[table], 9);
    for quoted in quote.0.values_mut().flatten() {
        quoted.copy.epoch = Epoch(1);
    }
    put(carts, me, &line(table, 1), &quote, &DedupKey::None).await.unwrap();
    assert_eq!(held(carts, me).await, (2, vec![1, 1]), "a product whose deletion was lost can be bought again");
}

#[tokio::test]
async fn a_deleted_product_is_removed_from_every_cart_and_does_not_return() {
    let database = Database::create().await;
    let carts = &database.carts;
    let (me, you, chair, table) = (user(), user(), product(), product());
    add(carts, me, chair, 1).await;
    add(carts, me, table, 2).await;
    add(carts, you, chair, 5).await;
    let mine = order();
    carts.begin_checkout(mine, me, &command()).await.unwrap();
    add(carts, me, chair, 3).await;

    carts.store_copies(&[deleted(chair, 2)]).await.unwrap();
    assert_eq!((held(carts, me).await, held(carts, you).await), ((4, vec![]), (1, vec![])));
    let late = put(carts, me, &line(chair, 1), &quote(&[chair], 9), &DedupKey::None).await;
    assert!(matches!(late, Err(CartError::Refused(Refused::UnknownProduct))), "{late:?}");
    let cancelled = carts.cancel_checkout(mine, &command()).await.unwrap();
    assert_eq!(cancelled.into_inner(), CheckoutState::Returned);
    assert_eq!(held(carts, me).await, (5, vec![2]), "the table alone");
    assert_eq!(add(carts, you, table, 1).await.items.len(), 1, "a change writes the cart without the deleted product");
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_deleted_during_a_cancel_is_in_no_cart() {
    let database = Database::create().await;
    let carts = &database.carts;
    let chair = product();
    let shoppers: Vec<_> = (0..60).map(|_| (user(), order())).collect();
    for (me, mine) in &shoppers {
        add(carts, *me, chair, 1).await;
        carts.begin_checkout(*mine, *me, &command()).await.unwrap();
    }
    let keys: Vec<_> = shoppers.iter().map(|_| command()).collect();
    let returning =
        join_all(shoppers.iter().zip(&keys).map(|((_, mine), dedup_key)| carts.cancel_checkout(*mine, dedup_key)));
    let gone = deleted(chair, 2);
    let (returned, stored) = futures::join!(returning, carts.store_copies(std::slice::from_ref(&gone)));
    stored.unwrap();
    for result in returned {
        assert_eq!(result.unwrap().into_inner(), CheckoutState::Returned);
    }
    for (me, _) in shoppers {
        assert_eq!(held(carts, me).await.1, [0_u32; 0]);
    }
    database.check_event_numbers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_deleted_during_an_add_is_in_no_cart() {
    let database = Database::create().await;
    let carts = &database.carts;
    let chair = product();
    let shoppers: Vec<_> = (0..150).map(|_| user()).collect();
    let keys: Vec<_> = shoppers.iter().map(|me| request(*me, "k", 1)).collect();
    let offered = quote(&[chair], 99);
    let lines: Vec<_> = shoppers.iter().map(|_| line(chair, 1)).collect();
    let adding = join_all(
        shoppers
            .iter()
            .zip(&lines)
            .zip(&keys)
            .map(|((me, line), dedup_key)| put(carts, *me, line, &offered, dedup_key)),
    );
    let gone = deleted(chair, 2);
    let (added, stored) = futures::join!(adding, carts.store_copies(std::slice::from_ref(&gone)));
    stored.unwrap();
    for result in added {
        assert!(matches!(&result, Ok(_) | Err(CartError::Refused(Refused::UnknownProduct))), "{result:?}");
    }
    for me in shoppers {
        assert_eq!(held(carts, me).await.1, [0_u32; 0]);
    }
    database.check_event_numbers().await;
}
