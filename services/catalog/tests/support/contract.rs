//! Contract tests of the `Products` and `Stock` ports: run on the fake and on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use agora_catalog::{
    domain::{
        AdjustRefused, Adjustment, Change, Description, Details, Expected, Filter, Hold, HoldState, Label, Lines,
        Listed, Listing, Name, Patch, Price, PriceChange, Product, Reservation, Search, Seconds, Sku, Sort, Stale,
        Start, StockLocation, Variant,
    },
    ports::{AdjustError, ProductError, Products, Stock, StoreError},
};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Currency, Ids as _, Money, OrderId, PageSize, ProductId, Quantity, SellerId, WarehouseId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

/// The stores under test and their clock.
#[async_trait]
pub trait World: Sync {
    fn products(&self) -> &dyn Products;
    fn stock(&self) -> &dyn Stock;
    /// Advances the clock of every existing hold.
    async fn pass(&self, seconds: u32);
}

pub fn fresh() -> Uuid {
    agora_chassis::SystemIds.next()
}

/// The id of a new command.
pub fn command() -> Uuid {
    fresh()
}

pub fn request(key: &str, body: u8) -> DedupKey {
    DedupKey::Request { scope: "u".into(), key: key.into(), route: "POST /api/v1/products".into(), hash: [body; 32] }
}

pub fn named(name: &str) -> Product {
    Product {
        id: ProductId::new(fresh()),
        seller: SellerId::HOUSE,
        version: 1,
        details: Details {
            name: Name::parse(name).unwrap(),
            description: Description::parse("").unwrap(),
            sku: None,
            price: Price::parse(Money { amount: 1999, currency: Currency::EUR }).unwrap(),
            category: None,
            brand: None,
            supplier: None,
            image_url: None,
        },
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub fn with_sku(name: &str, sku: &str) -> Product {
    let mut product = named(name);
    product.details.sku = Some(Sku::parse(sku).unwrap());
    product
}

pub async fn add(world: &dyn World, product: &Product, units: i64) -> Listed {
    world.products().add(product, units, &DedupKey::None).await.unwrap().into_inner()
}

/// Creates a product with this many units.
pub async fn stocked(world: &dyn World, units: i64) -> ProductId {
    add(world, &named("Chair"), units).await.product.id
}

pub async fn stock_of(world: &dyn World, id: ProductId) -> i64 {
    world.products().find(id).await.unwrap().unwrap().stock
}

pub fn lines(wanted: &[(ProductId, i64)]) -> Lines {
    Lines::new(wanted.iter().map(|&(id, n)| (id, Variant::default(), Quantity::parse(n).unwrap()))).unwrap()
}

pub fn hold(number: i32) -> Hold {
    Hold { order: OrderId::new(fresh()), number }
}

pub fn main_location(product: ProductId) -> StockLocation {
    StockLocation { product, variant: Variant::default(), warehouse: WarehouseId::MAIN }
}

pub fn seconds(n: u32) -> Seconds {
    Seconds::parse(n).unwrap()
}

async fn reserve(world: &dyn World, hold: Hold, wanted: &[(ProductId, i64)]) -> Reservation {
    world.stock().reserve(hold, &lines(wanted), seconds(900), command()).await.unwrap().into_inner()
}

fn held(reservation: &Reservation) -> bool {
    matches!(reservation, Reservation::Held(_))
}

/// Runs every contract test in sequence.
pub async fn all_hold(world: &dyn World) {
    a_product_is_as_it_was_written_until_it_is_removed(world).await;
    a_sku_is_unique_among_products_that_are_not_deleted(world).await;
    a_change_requires_the_current_version(world).await;
    a_change_that_changes_nothing_keeps_the_version(world).await;
    a_duplicate_request_returns_the_first_result_and_another_body_is_rejected(world).await;
    a_rejected_request_does_not_use_its_key(world).await;
    pages_of_every_order_hold_every_product_once(world).await;
    a_search_escapes_wildcards(world).await;
    stock_is_set_or_adjusted_but_not_below_the_reserved_units(world).await;
    a_hold_is_all_or_nothing_and_reports_every_shortage(world).await;
    a_duplicate_command_returns_the_first_result(world).await;
    commit_changes_only_a_held_hold(world).await;
    a_duplicate_after_the_end_of_a_hold_returns_the_first_result(world).await;
    a_rejected_hold_that_is_released_cannot_be_reserved(world).await;
    the_states_of_existing_holds_are_returned(world).await;
    a_release_frees_or_returns_units_or_writes_a_tombstone(world).await;
    an_expired_hold_frees_its_units_and_stays_expired(world).await;
    a_deleted_product_cannot_be_reserved_and_keeps_its_holds(world).await;
}

async fn a_product_is_as_it_was_written_until_it_is_removed(world: &dyn World) {
    let product = with_sku("Desk", "D-1");
    let added = add(world, &product, 3).await;
    assert_eq!((added.product.version, added.stock), (1, 3));
    assert_eq!(added.product.details, product.details);
    assert_eq!(world.products().find(product.id).await.unwrap(), Some(added.clone()));
    assert_eq!(world.products().many(&[product.id, ProductId::new(fresh())]).await.unwrap(), [added]);

    world.products().remove(product.id, &Expected::ANY, &DedupKey::None).await.unwrap();
    assert_eq!(world.products().find(product.id).await.unwrap(), None);
    assert_eq!(world.products().many(&[product.id]).await.unwrap(), []);
    let again = world.products().remove(product.id, &Expected::ANY, &DedupKey::None).await;
    assert!(matches!(again, Err(ProductError::NotFound)), "{again:?}");
}

async fn a_sku_is_unique_among_products_that_are_not_deleted(world: &dyn World) {
    let first = with_sku("Lamp", "L-1");
    add(world, &first, 0).await;
    let taken = world.products().add(&with_sku("Other lamp", "L-1"), 0, &DedupKey::None).await;
    assert!(matches!(taken, Err(ProductError::SkuTaken)), "{taken:?}");

    let other = add(world, &named("Third lamp"), 0).await.product;
    let change = Change { sku: Patch::Set(first.details.sku.clone().unwrap()), ..Change::default() };
    let taken = world.products().change(other.id, &Expected::ANY, &change, &DedupKey::None).await;
    assert!(matches!(taken, Err(ProductError::SkuTaken)), "{taken:?}");

    world.products().remove(first.id, &Expected::ANY, &DedupKey::None).await.unwrap();
    add(world, &with_sku("New lamp", "L-1"), 0).await;
}

async fn a_change_requires_the_current_version(world: &dyn World) {
    let product = add(world, &named("Shelf"), 0).await.product;
    let expected = Expected { if_match: None, version: Some(1) };
    let rename = |name: &str| Change { name: Some(Name::parse(name).unwrap()), ..Change::default() };
    let changed = world.products().change(product.id, &expected, &rename("Rack"), &DedupKey::None).await.unwrap();
    assert_eq!(changed.as_ref().into_inner().product.version, 2);
    assert_eq!(changed.into_inner().product.created_at, product.created_at);

    let stale = world.products().change(product.id, &expected, &rename("Board"), &DedupKey::None).await;
    assert!(matches!(stale, Err(ProductError::Stale(Stale::Version { current: 2 }))), "{stale:?}");
    let stale = world.products().remove(product.id, &expected, &DedupKey::None).await;
    assert!(matches!(stale, Err(ProductError::Stale(_))), "{stale:?}");
    assert_eq!(world.products().find(product.id).await.unwrap().unwrap().product.details.name.as_str(), "Rack");

    let unknown = world.products().change(ProductId::new(fresh()), &expected, &rename("X"), &DedupKey::None).await;
    assert!(matches!(unknown, Err(ProductError::NotFound)), "{unknown:?}");
}

async fn a_change_that_changes_nothing_keeps_the_version(world: &dyn World) {
    let before = add(world, &named("Stool"), 2).await;
    let same = PriceChange { amount: Some(1999), currency: Some(Currency::EUR) };
    let change = Change { price: Some(same), ..Change::default() };
    let after = world.products().change(before.product.id, &Expected::ANY, &change, &DedupKey::None).await.unwrap();
    assert_eq!(after, Outcome::Applied(before));
}

async fn a_duplicate_request_returns_the_first_result_and_another_body_is_rejected(world: &dyn World) {
    let (products, product) = (world.products(), with_sku("Bed", "B-1"));
    let first = products.add(&product, 1, &request("bed", 1)).await.unwrap();
    let again = products.add(&with_sku("Bed", "B-1"), 1, &request("bed", 1)).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(first.into_inner()));
    let other = products.add(&named("Sofa"), 1, &request("bed", 2)).await;
    assert!(matches!(other, Err(ProductError::Store(StoreError::KeyReused))), "{other:?}");
}

async fn a_rejected_request_does_not_use_its_key(world: &dyn World) {
    add(world, &with_sku("Vase", "V-1"), 0).await;
    let refused = world.products().add(&with_sku("Vase", "V-1"), 0, &request("vase", 1)).await;
    assert!(matches!(refused, Err(ProductError::SkuTaken)), "{refused:?}");
    let taken = world.products().add(&with_sku("Vase", "V-2"), 0, &request("vase", 2)).await.unwrap();
    assert!(!taken.is_duplicate());
}

async fn pages_of_every_order_hold_every_product_once(world: &dyn World) {
    let category = Label::parse("category", &format!("Pages {}", fresh())).unwrap();
    for (name, amount) in [("b", 300), ("A", 100), ("a", 100), ("c", 200), ("B", 300)] {
        let mut product = named(name);
        product.details.category = Some(category.clone());
        product.details.price = Price::parse(Money { amount, currency: Currency::EUR }).unwrap();
        add(world, &product, 0).await;
    }
    let filter = Filter { category: Some(category), search: None };
    for sort in [Sort::Name, Sort::Price, Sort::PriceDown, Sort::Created, Sort::CreatedDown] {
        let limit = |n| PageSize::parse(n).unwrap();
        let listing = |start, size| Listing { filter: filter.clone(), sort, start, limit: limit(size) };
        let all = world.products().page(&listing(Start::Offset(0), 100)).await.unwrap();
        assert_eq!((all.items.len(), all.total, &all.next), (5, Some(5), &None), "{sort:?}");
        assert_eq!(world.products().page(&listing(Start::Offset(5), 2)).await.unwrap().items, []);
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
            let page = world.products().page(&listing(start, 2)).await.unwrap();
            assert!(page.total.is_none() && page.items.len() <= 2);
            walked.extend(page.items);
            let Some(next) = page.next else { break };
            start = Start::After(next);
        }
        assert_eq!(walked, all.items, "{sort:?}");
    }
}

async fn a_search_escapes_wildcards(world: &dyn World) {
    let mark = fresh().to_string();
    let mut described = named("Plain");
    described.details.description = Description::parse(&format!("about {mark} 100%_\\ wool")).unwrap();
    add(world, &described, 0).await;
    add(world, &named(&format!("{} 100 wool", mark.to_uppercase())), 0).await;
    for (words, expected) in
        [(mark.clone(), 2), (format!("{mark} 100%"), 1), ("%_\\ WOOL".into(), 1), (format!("{mark}%x"), 0)]
    {
        let filter = Filter { category: None, search: Some(Search::parse(&words).unwrap()) };
        let listing = Listing { filter, sort: Sort::Name, start: Start::First, limit: PageSize::MAX };
        assert_eq!(world.products().page(&listing).await.unwrap().items.len(), expected, "{words}");
    }
}

async fn stock_is_set_or_adjusted_but_not_below_the_reserved_units(world: &dyn World) {
    let id = stocked(world, 5).await;
    let adjust = |by| async move { world.stock().adjust(&main_location(id), by, "admin", &DedupKey::None).await };
    assert!(held(&reserve(world, hold(1), &[(id, 4)]).await));
    assert_eq!(adjust(Adjustment::Set(6)).await.unwrap().into_inner().stock, 2);
    assert_eq!(adjust(Adjustment::Add(-2)).await.unwrap().into_inner().stock, 0);
    for by in [Adjustment::Set(3), Adjustment::Add(-1)] {
        let refused = adjust(by).await;
        let below = AdjustRefused::BelowReserved { requested: 3, reserved: 4 };
        assert!(matches!(&refused, Err(AdjustError::Refused(why)) if *why == below), "{refused:?}");
    }
    assert_eq!(stock_of(world, id).await, 0);

    let nowhere = StockLocation { warehouse: WarehouseId::new(fresh()), ..main_location(id) };
    let unknown = world.stock().adjust(&nowhere, Adjustment::Set(1), "admin", &DedupKey::None).await;
    assert!(matches!(unknown, Err(AdjustError::UnknownWarehouse)), "{unknown:?}");
    let nothing = main_location(ProductId::new(fresh()));
    let unknown = world.stock().adjust(&nothing, Adjustment::Set(1), "admin", &DedupKey::None).await;
    assert!(matches!(unknown, Err(AdjustError::NotFound)), "{unknown:?}");
}

async fn a_hold_is_all_or_nothing_and_reports_every_shortage(world: &dyn World) {
    let (plenty, few, none) = (stocked(world, 10).await, stocked(world, 1).await, stocked(world, 0).await);
    let refused = reserve(world, hold(1), &[(plenty, 1), (few, 1), (few, 1), (none, 7)]).await;
    let Reservation::Short(mut short) = refused else { panic!("{refused:?}") };
    short.sort_by_key(|shortage| shortage.requested);
    let seen: Vec<_> = short.iter().map(|s| (s.product, s.requested, s.available)).collect();
    assert_eq!(seen, [(few, 2, 1), (none, 7, 0)]);
    assert_eq!((stock_of(world, plenty).await, stock_of(world, few).await), (10, 1));

    assert!(held(&reserve(world, hold(1), &[(plenty, 10), (few, 1)]).await));
    assert_eq!((stock_of(world, plenty).await, stock_of(world, few).await), (0, 0));
}

async fn a_duplicate_command_returns_the_first_result(world: &dyn World) {
    let id = stocked(world, 2).await;
    let (mine, message, wanted) = (hold(1), command(), lines(&[(id, 2)]));
    let first = world.stock().reserve(mine, &wanted, seconds(900), message).await.unwrap();
    let again = world.stock().reserve(mine, &wanted, seconds(900), message).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(first.as_ref().into_inner().clone()));
    let under_another_id = world.stock().reserve(mine, &wanted, seconds(1), command()).await.unwrap();
    assert_eq!(under_another_id.into_inner(), first.into_inner());
    assert_eq!(stock_of(world, id).await, 0);

    let (late, message) = (hold(1), command());
    let refused = world.stock().reserve(late, &wanted, seconds(900), message).await.unwrap().into_inner();
    assert!(matches!(refused, Reservation::Short(_)));
    world.stock().release(mine, command()).await.unwrap();
    let again = world.stock().reserve(late, &wanted, seconds(900), message).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(refused.clone()));

    assert_eq!(world.stock().commit(late, command()).await.unwrap().into_inner(), HoldState::Unknown);
    assert!(held(&reserve(world, late, &[(id, 2)]).await), "another command can reserve the hold");
    assert_eq!(stock_of(world, id).await, 0);
}

async fn a_duplicate_after_the_end_of_a_hold_returns_the_first_result(world: &dyn World) {
    let id = stocked(world, 2).await;
    let (mine, [first, sold, ended]) = (hold(1), [command(), command(), command()]);
    let stock = world.stock();
    let held = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap().into_inner();
    stock.commit(mine, sold).await.unwrap();
    stock.release(mine, ended).await.unwrap();
    let again = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(held));
    assert_eq!(stock.commit(mine, sold).await.unwrap(), Outcome::Duplicate(HoldState::Committed));
    assert_eq!(stock.release(mine, ended).await.unwrap(), Outcome::Duplicate(HoldState::Released));
    assert_eq!(stock_of(world, id).await, 2);
}

async fn a_rejected_hold_that_is_released_cannot_be_reserved(world: &dyn World) {
    let id = stocked(world, 1).await;
    let (mine, [first, ended]) = (hold(1), [command(), command()]);
    let stock = world.stock();
    let short = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap().into_inner();
    assert!(matches!(short, Reservation::Short(_)), "{short:?}");
    assert_eq!(stock.release(mine, ended).await.unwrap(), Outcome::Applied(HoldState::Tombstone));
    assert_eq!(stock.release(mine, ended).await.unwrap(), Outcome::Duplicate(HoldState::Tombstone));
    let again = stock.reserve(mine, &lines(&[(id, 2)]), seconds(900), first).await.unwrap();
    assert_eq!(again, Outcome::Duplicate(short));
    assert_eq!(reserve(world, mine, &[(id, 1)]).await, Reservation::Cancelled);
    assert_eq!(stock_of(world, id).await, 1);
}

async fn the_states_of_existing_holds_are_returned(world: &dyn World) {
    let id = stocked(world, 9).await;
    let (live, sold, freed, unknown) = (hold(1), hold(1), hold(1), hold(1));
    for hold in [live, sold, freed] {
        assert!(held(&reserve(world, hold, &[(id, 1)]).await));
    }
    world.stock().commit(sold, command()).await.unwrap();
    world.stock().release(freed, command()).await.unwrap();
    let states = world.stock().hold_states(&[live, sold, freed, unknown]).await.unwrap();
    let expected = [(live, HoldState::Held), (sold, HoldState::Committed), (freed, HoldState::Released)];
    assert_eq!(states, expected.into_iter().collect());
}

async fn commit_changes_only_a_held_hold(world: &dyn World) {
    let id = stocked(world, 3).await;
    let (mine, message) = (hold(1), command());
    let commit = |hold, message| async move { world.stock().commit(hold, message).await.unwrap() };
    assert_eq!(commit(mine, command()).await, Outcome::Applied(HoldState::Unknown));
    assert!(held(&reserve(world, mine, &[(id, 2)]).await));
    assert_eq!(commit(mine, message).await, Outcome::Applied(HoldState::Committed));
    assert_eq!(commit(mine, message).await, Outcome::Duplicate(HoldState::Committed));
    assert_eq!(commit(mine, command()).await, Outcome::Applied(HoldState::Committed));
    assert_eq!(stock_of(world, id).await, 1);
    assert!(held(&reserve(world, mine, &[(id, 2)]).await), "the hold does not change");
    assert_eq!(stock_of(world, id).await, 1);

    let other = hold(1);
    assert!(held(&reserve(world, other, &[(id, 1)]).await));
    world.stock().release(other, command()).await.unwrap();
    assert_eq!(commit(other, command()).await, Outcome::Applied(HoldState::Released));
    assert_eq!(stock_of(world, id).await, 1);
}

async fn a_release_frees_or_returns_units_or_writes_a_tombstone(world: &dyn World) {
    let id = stocked(world, 3).await;
    let release = |hold| async move { world.stock().release(hold, command()).await.unwrap().into_inner() };
    let mine = hold(1);
    assert!(held(&reserve(world, mine, &[(id, 2)]).await));
    assert_eq!(release(mine).await, HoldState::Released);
    assert_eq!(release(mine).await, HoldState::Released);
    assert_eq!(reserve(world, mine, &[(id, 2)]).await, Reservation::Cancelled);
    assert_eq!(stock_of(world, id).await, 3);

    let sold = Hold { number: 2, ..mine };
    assert!(held(&reserve(world, sold, &[(id, 3)]).await), "each hold of an order has a life of its own");
    world.stock().commit(sold, command()).await.unwrap();
    assert_eq!(stock_of(world, id).await, 0);
    assert_eq!(release(sold).await, HoldState::Released);
    assert_eq!(stock_of(world, id).await, 3);

    let never = hold(1);
    assert_eq!(release(never).await, HoldState::Tombstone);
    assert_eq!(release(never).await, HoldState::Tombstone);
    assert_eq!(reserve(world, never, &[(id, 1)]).await, Reservation::Cancelled);
    assert_eq!(world.stock().commit(never, command()).await.unwrap().into_inner(), HoldState::Tombstone);
    assert_eq!(stock_of(world, id).await, 3);
}

async fn an_expired_hold_frees_its_units_and_stays_expired(world: &dyn World) {
    let id = stocked(world, 2).await;
    let (short, long) = (hold(1), hold(1));
    for (hold, lasts) in [(short, 60), (long, 600)] {
        let one = world.stock().reserve(hold, &lines(&[(id, 1)]), seconds(lasts), command()).await.unwrap();
        assert!(held(one.as_ref().into_inner()));
    }
    world.pass(61).await;
    let mut ended = Vec::new();
    while let Some(hold) = world.stock().expire_one().await.unwrap() {
        ended.push(hold);
    }
    assert!(ended.contains(&short) && !ended.contains(&long), "{ended:?}");
    assert_eq!(stock_of(world, id).await, 1);

    assert_eq!(world.stock().commit(short, command()).await.unwrap().into_inner(), HoldState::Expired);
    assert_eq!(world.stock().release(short, command()).await.unwrap().into_inner(), HoldState::Expired);
    assert_eq!(reserve(world, short, &[(id, 1)]).await, Reservation::Cancelled);
    assert!(held(&reserve(world, Hold { number: 2, ..short }, &[(id, 1)]).await));
    assert_eq!(stock_of(world, id).await, 0);
}

async fn a_deleted_product_cannot_be_reserved_and_keeps_its_holds(world: &dyn World) {
    let id = stocked(world, 3).await;
    let mine = hold(1);
    assert!(held(&reserve(world, mine, &[(id, 1)]).await));
    world.products().remove(id, &Expected::ANY, &DedupKey::None).await.unwrap();
    let refused = reserve(world, hold(1), &[(id, 1)]).await;
    assert!(matches!(&refused, Reservation::Short(short) if short[0].available == 0), "{refused:?}");
    assert_eq!(world.stock().commit(mine, command()).await.unwrap().into_inner(), HoldState::Committed);
}
