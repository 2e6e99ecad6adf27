//! Contract of the port `Products`.

use std::collections::BTreeSet;

use agora_catalog::{
    domain::{
        Change, Description, Expected, Filter, Label, Listing, Name, Price, PriceChange, Search, Sort, Stale, Start,
    },
    ports::{Holds as _, ProductError, Products as _, StoreError},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Currency, Money, PageSize, Patch, ProductId};
use uuid::Uuid;

use crate::fixture::{Database, add, command, fresh, hold, lines, named, request, seconds, stocked, with_sku};

#[tokio::test]
async fn ca6_a_product_is_as_it_was_written_until_it_is_removed() {
    let database = &Database::create().await;
    let product = with_sku("Desk", "D-1");
    let added = add(database, &product, 3).await;
    assert_eq!((added.product.version, added.stock), (1, 3));
    assert_eq!(added.product.details, product.details);
    assert_eq!(database.store.find(product.id).await.unwrap(), Some(added.clone()));
    assert_eq!(database.store.many(&[product.id, ProductId::new(fresh())]).await.unwrap(), [added]);

    database.store.remove(product.id, &Expected::ANY, &DedupKey::None).await.unwrap();
    assert_eq!(database.store.find(product.id).await.unwrap(), None);
    assert_eq!(database.store.many(&[product.id]).await.unwrap(), []);
    let again = database.store.remove(product.id, &Expected::ANY, &DedupKey::None).await;
    assert!(matches!(again, Err(ProductError::NotFound)), "{again:?}");
    database.check_invariants().await;
}

#[tokio::test]
async fn ca15_a_sku_is_unique_among_products_that_are_not_deleted() {
    let database = &Database::create().await;
    let first = with_sku("Lamp", "L-1");
    add(database, &first, 0).await;
    let taken = database.store.add(&with_sku("Other lamp", "L-1"), 0, &DedupKey::None).await;
    assert!(matches!(taken, Err(ProductError::SkuTaken)), "{taken:?}");

    let other = add(database, &named("Third lamp"), 0).await.product;
    let change = Change { sku: Patch::Set(first.details.sku.clone().unwrap()), ..Change::default() };
    let taken = database.store.change(other.id, &Expected::ANY, &change, &DedupKey::None).await;
    assert!(matches!(taken, Err(ProductError::SkuTaken)), "{taken:?}");

    database.store.remove(first.id, &Expected::ANY, &DedupKey::None).await.unwrap();
    add(database, &with_sku("New lamp", "L-1"), 0).await;
    database.check_invariants().await;
}

#[tokio::test]
async fn a_change_requires_the_current_version() {
    let database = &Database::create().await;
    let product = add(database, &named("Shelf"), 0).await.product;
    let expected = Expected { if_match: None, version: Some(1) };
    let rename = |name: &str| Change { name: Some(Name::parse(name).unwrap()), ..Change::default() };
    let changed = database.store.change(product.id, &expected, &rename("Rack"), &DedupKey::None).await.unwrap();
    assert_eq!(changed.as_ref().into_inner().product.version, 2);
    assert_eq!(changed.into_inner().product.created_at, product.created_at);

    let stale = database.store.change(product.id, &expected, &rename("Board"), &DedupKey::None).await;
    assert!(matches!(stale, Err(ProductError::Stale(Stale::Version { current: 2 }))), "{stale:?}");
    let stale = database.store.remove(product.id, &expected, &DedupKey::None).await;
    assert!(matches!(stale, Err(ProductError::Stale(_))), "{stale:?}");
    assert_eq!(database.store.find(product.id).await.unwrap().unwrap().product.details.name.as_str(), "Rack");

    let unknown = database.store.change(ProductId::new(fresh()), &expected, &rename("X"), &DedupKey::None).await;
    assert!(matches!(unknown, Err(ProductError::NotFound)), "{unknown:?}");
    database.check_invariants().await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_keeps_the_version() {
    let database = &Database::create().await;
    let before = add(database, &named("Stool"), 2).await;
    let same = PriceChange { amount: Some(1999), currency: Some(Currency::EUR) };
    let change = Change { price: Some(same), ..Change::default() };
    let after = database.store.change(before.product.id, &Expected::ANY, &change, &DedupKey::None).await.unwrap();
    assert_eq!(after, Outcome::Applied(before));
    database.check_invariants().await;
}

#[tokio::test]
async fn a_duplicate_request_returns_the_first_result_and_another_body_is_rejected() {
    let database = &Database::create().await;
    let (products, product) = (&database.store, with_sku("Bed", "B-1"));
    let first = products.add(&product, 1, &request("bed", 1)).await.unwrap();
    let again = products.add(&with_sku("Bed", "B-1"), 1, &request("bed", 1)).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(first.into_inner()));
    let other = products.add(&named("Sofa"), 1, &request("bed", 2)).await;
    assert!(matches!(other, Err(ProductError::Store(StoreError::KeyReused))), "{other:?}");
    database.check_invariants().await;
}

#[tokio::test]
async fn a_rejected_request_does_not_use_its_key() {
    let database = &Database::create().await;
    add(database, &with_sku("Vase", "V-1"), 0).await;
    let refused = database.store.add(&with_sku("Vase", "V-1"), 0, &request("vase", 1)).await;
    assert!(matches!(refused, Err(ProductError::SkuTaken)), "{refused:?}");
    let taken = database.store.add(&with_sku("Vase", "V-2"), 0, &request("vase", 2)).await.unwrap();
    assert!(!taken.is_duplicate());
    database.check_invariants().await;
}

#[tokio::test]
async fn pages_of_every_order_hold_every_product_once() {
    let database = &Database::create().await;
    let mark = format!("Pages {}", fresh());
    let category = Label::parse("category", &mark).unwrap();
    for (name, amount) in [("b", 300), ("A", 100), ("a", 100), ("c", 200), ("B", 300)] {
        let mut product = named(name);
        product.details.category = Some(category.clone());
        product.details.description = Description::parse(&mark).unwrap();
        product.details.price = Price::parse(Money { amount, currency: Currency::EUR }).unwrap();
        add(database, &product, 0).await;
    }
    let (category, search) = (Some(category), Some(Search::parse(&mark).unwrap()));
    let filters = [
        Filter { category: category.clone(), search: None },
        Filter { category: None, search: search.clone() },
        Filter { category, search },
    ];
    let orders = [Sort::Name, Sort::Price, Sort::PriceDown, Sort::Created, Sort::CreatedDown];
    for (filter, sort) in filters.iter().flat_map(|filter| orders.map(|sort| (filter, sort))) {
        let limit = |n| PageSize::parse(n).unwrap();
        let listing =
            |start, size| Listing { filter: filter.clone(), sort, start, limit: limit(size), expand: BTreeSet::new() };
        let all = database.store.page(&listing(Start::Offset(0), 100)).await.unwrap();
        assert_eq!((all.items.len(), all.total, &all.next), (5, Some(5), &None), "{sort:?}");
        assert_eq!(database.store.page(&listing(Start::Offset(5), 2)).await.unwrap().items, []);
        let keys: Vec<_> = all
            .items
            .iter()
            .map(|l| (l.product.details.name.sort_key(), l.product.details.price.money().amount))
            .collect();
        let sorted = match sort {
            Sort::Name => keys.is_sorted_by_key(|(name, _)| name.clone()),
            Sort::Price => keys.is_sorted_by_key(|(_, amount)| *amount),
            Sort::PriceDown => keys.is_sorted_by_key(|(_, amount)| -amount),
            Sort::Created => all.items.is_sorted_by_key(|l| l.product.created_at),
            Sort::CreatedDown => all.items.iter().rev().is_sorted_by_key(|l| l.product.created_at),
        };
        assert!(sorted, "{sort:?}: {keys:?}");

        let (mut walked, mut start) = (Vec::new(), Start::First);
        loop {
            let page = database.store.page(&listing(start, 2)).await.unwrap();
            assert!(page.total.is_none() && page.items.len() <= 2);
            walked.extend(page.items);
            let Some(next) = page.next else { break };
            start = Start::After(next);
        }
        assert_eq!(walked, all.items, "{sort:?}");
    }
    database.check_invariants().await;
}

#[tokio::test]
async fn a_search_escapes_wildcards() {
    let database = &Database::create().await;
    let mark = fresh().to_string();
    let mut described = named("Plain");
    described.details.description = Description::parse(&format!("about {mark} 100%_\\ wool")).unwrap();
    add(database, &described, 0).await;
    add(database, &named(&format!("{} 100 wool", mark.to_uppercase())), 0).await;
    for (words, expected) in
        [(mark.clone(), 2), (format!("{mark} 100%"), 1), ("%_\\ WOOL".into(), 1), (format!("{mark}%x"), 0)]
    {
        let filter = Filter { category: None, search: Some(Search::parse(&words).unwrap()) };
        let listing =
            Listing { filter, sort: Sort::Name, start: Start::First, limit: PageSize::MAX, expand: BTreeSet::new() };
        assert_eq!(database.store.page(&listing).await.unwrap().items.len(), expected, "{words}");
    }
    database.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ca21_every_change_appends_its_event_in_the_same_transaction() {
    let database = &Database::create().await;
    let id = stocked(database, 5).await;
    let mine = hold(1);
    database.store.reserve(mine, &lines(&[(id, 2)]), seconds(900), command()).await.unwrap();
    database.store.commit(mine, command()).await.unwrap();
    database.store.remove(id, &Expected::ANY, &DedupKey::None).await.unwrap();

    let mut connection = database.db.acquire().await.unwrap();
    let events: Vec<(String, i64, Option<Uuid>)> = sqlx::query_as(
        "select kind, seq, correlation_id from outbox \
                where aggregate = $1 or aggregate in (select id from stock where product_id = $1) order by id",
    )
    .bind(id.uuid())
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let order = Some(mine.order.uuid());
    let expected = [
        ("product.created", 1, None),
        ("stock.changed", 1, None),
        ("stock.changed", 2, order),
        ("stock.changed", 3, order),
        ("product.deleted", 2, None),
    ];
    assert_eq!(events, expected.map(|(kind, seq, order)| (kind.to_owned(), seq, order)));
}
