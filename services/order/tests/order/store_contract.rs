//! Contract tests of the store: run on the in-memory store and, with feature `db-tests`, on PostgreSQL.

use crate::fixture::{self, Fixture, InMemory};
use agora_order::{
    domain::{
        CartVersion, Line, OrderDraft, PaymentOutcome, PaymentStatus, Refused, RunnerId, SagaEvent, Shortage, Status,
        Step, next, rebuild,
    },
    ports::{ApplyError, CreateError, Issued, Listing, OrderStore, RequestLease, SagaSnapshot, StoreError},
};
use agora_outbox::{DedupKey, Outcome};
use agora_testkit::SequentialIds;
use agora_vocab::{
    CartId, Currency, Ids as _, Money, OrderId, PageSize, PaymentId, ProductId, Quantity, SellerId, UserId,
};
use time::Duration;
use uuid::Uuid;

const ADA: UserId = UserId::new(Uuid::from_u128(1));
const ME: RunnerId = RunnerId(Uuid::from_u128(2));
const OTHER: RunnerId = RunnerId(Uuid::from_u128(3));
const HELD: SagaEvent = SagaEvent::StockReserved { hold: 1 };

/// Defines a contract test for each store.
macro_rules! store_contract {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::InMemory::new()).await;
            })*
        }

        #[cfg(feature = "db-tests")]
        mod in_postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&crate::fixture::InDatabase::new().await).await;
            })*
        }
    };
}

store_contract! {
    an_idempotency_lease_is_exclusive_until_it_expires
    the_completing_change_stores_the_response
    an_idempotency_lease_with_an_order_cannot_be_cancelled
    an_expired_idempotency_lease_goes_to_one_worker_at_a_time
    an_order_is_created_once_and_only_with_its_idempotency_lease
    one_version_of_a_cart_has_at_most_one_live_order
    numbers_rise_and_every_order_starts_as_created
    versions_history_and_events_have_no_gap_and_the_history_rebuilds_the_order
    a_rejection_changes_nothing_and_is_stored_with_its_key
    the_same_deduplication_key_applies_once
    a_saga_has_one_runner_and_is_released_when_it_waits
    a_saga_is_due_again_when_its_lease_expires
    an_outdated_runner_overwrites_no_newer_change
    a_failing_step_backs_off_and_is_reported_stuck
    pages_are_sorted_newest_first
    an_order_that_does_not_exist_is_not_found
}

fn key(key: &str, hash: u8) -> DedupKey {
    DedupKey::Request { scope: ADA.to_string(), key: key.into(), route: "POST /api/v1/orders".into(), hash: [hash; 32] }
}

fn fresh() -> OrderId {
    static IDS: std::sync::LazyLock<SequentialIds> = std::sync::LazyLock::new(SequentialIds::new);
    OrderId::new(IDS.next())
}

fn draft(id: OrderId, cart: Option<CartVersion>) -> OrderDraft {
    let price = Money { amount: 1999, currency: Currency::EUR };
    let line = |n: u128, units| Line {
        product: ProductId::new(Uuid::from_u128(n)),
        variant: String::new(),
        name: format!("Lamp {n}"),
        quantity: Quantity::parse(units).unwrap(),
        price,
        total: price.checked_mul(units).unwrap(),
        brand: None,
        category: Some("Lighting".into()),
        supplier: None,
        seller: SellerId::HOUSE,
    };
    let lines = vec![line(9, 2), line(8, 1)];
    OrderDraft { id, user: ADA, cart, lines, total: price.checked_mul(3).unwrap(), address: None, pay: None }
}

/// A new order.
async fn made(fixture: &dyn Fixture, cart: Option<CartVersion>) -> SagaSnapshot {
    let id = fresh();
    let issued = acquired(&*fixture.orders(), &key(&id.to_string(), 0), id).await;
    fixture.orders().create(draft(id, cart), issued, ME).await.unwrap()
}

/// Acquires a new key's lease.
async fn acquired(orders: &dyn OrderStore, dedup_key: &DedupKey, id: OrderId) -> Issued {
    match orders.acquire_idempotency_lease(dedup_key, id).await.unwrap() {
        RequestLease::Held { order, resumed: false, issued } if order == id => issued,
        other => panic!("{other:?}"),
    }
}

/// The order of a lease that was acquired again after it expired.
fn resumed(lease: &RequestLease) -> Option<OrderId> {
    match lease {
        RequestLease::Held { order, resumed: true, .. } => Some(*order),
        _ => None,
    }
}

async fn apply(fixture: &dyn Fixture, order: OrderId, event: SagaEvent) -> SagaSnapshot {
    fixture.orders().apply(order, &[event], &DedupKey::None, Some(ME)).await.unwrap().into_inner()
}

async fn paid(fixture: &dyn Fixture) -> OrderId {
    let order = made(fixture, None).await.state.order.id;
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(fixture, order, HELD).await;
    apply(fixture, order, SagaEvent::PaymentRequested { payment, user: ADA, amount: None }).await;
    apply(fixture, order, SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Captured }).await;
    apply(fixture, order, SagaEvent::StockCommitted { hold: 1 }).await;
    order
}

async fn an_idempotency_lease_is_exclusive_until_it_expires(fixture: &dyn Fixture) {
    let (orders, first, second) = (fixture.orders(), fresh(), fresh());
    acquired(&*orders, &key("k", 1), first).await;
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), second).await.unwrap(), RequestLease::InProgress);
    assert!(matches!(orders.acquire_idempotency_lease(&key("k", 2), second).await, Err(StoreError::KeyReused)));
    fixture.pass(Duration::seconds(11)).await;
    assert_eq!(resumed(&orders.acquire_idempotency_lease(&key("k", 1), second).await.unwrap()), Some(first));
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), second).await.unwrap(), RequestLease::InProgress);
    assert!(orders.cancel_idempotency_lease(first).await.unwrap());
    acquired(&*orders, &key("k", 2), second).await;
}

async fn the_completing_change_stores_the_response(fixture: &dyn Fixture) {
    let (orders, id) = (fixture.orders(), fresh());
    let issued = acquired(&*orders, &key("k", 1), id).await;
    orders.create(draft(id, None), issued, ME).await.unwrap();
    fixture.pass(Duration::seconds(11)).await;
    assert_eq!(resumed(&orders.acquire_idempotency_lease(&key("k", 1), fresh()).await.unwrap()), Some(id));
    apply(fixture, id, SagaEvent::StepFailed).await;
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), fresh()).await.unwrap(), RequestLease::InProgress);
    let placed = apply(fixture, id, HELD).await.state;
    let answer = agora_order::http::answer(&placed).unwrap();
    assert_eq!(answer.status, 201);
    apply(fixture, id, SagaEvent::CancelRequested).await;
    fixture.pass(Duration::hours(1)).await;
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), fresh()).await.unwrap(), RequestLease::Completed(answer));
}

async fn an_idempotency_lease_with_an_order_cannot_be_cancelled(fixture: &dyn Fixture) {
    let order = made(fixture, None).await.state.order.id;
    assert!(!fixture.orders().cancel_idempotency_lease(order).await.unwrap());
}

async fn an_expired_idempotency_lease_goes_to_one_worker_at_a_time(fixture: &dyn Fixture) {
    let (orders, id) = (fixture.orders(), fresh());
    orders.acquire_idempotency_lease(&key("k", 1), id).await.unwrap();
    fixture.pass(Duration::seconds(59)).await;
    assert_eq!(orders.expired_idempotency_leases(10).await.unwrap(), []);
    fixture.pass(Duration::seconds(2)).await;
    assert_eq!(orders.expired_idempotency_leases(10).await.unwrap(), [id]);
    assert_eq!(orders.expired_idempotency_leases(10).await.unwrap(), []);
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), fresh()).await.unwrap(), RequestLease::InProgress);
}

async fn an_order_is_created_once_and_only_with_its_idempotency_lease(fixture: &dyn Fixture) {
    let (orders, id) = (fixture.orders(), fresh());
    let issued = acquired(&*orders, &key("k", 1), id).await;
    let other = orders.create(draft(fresh(), None), issued.clone(), ME).await;
    assert!(matches!(other, Err(CreateError::LeaseLost)));
    let snapshot = orders.create(draft(id, None), issued.clone(), ME).await.unwrap();
    assert!(snapshot.leased);
    let again = Issued { number: "A-1".into(), ..issued };
    assert!(matches!(orders.create(draft(id, None), again, OTHER).await, Err(CreateError::Exists)));
    let loaded = orders.load(id).await.unwrap().unwrap();
    assert_eq!(loaded.state, snapshot.state);
}

async fn one_version_of_a_cart_has_at_most_one_live_order(fixture: &dyn Fixture) {
    let cart = |version| Some(CartVersion { id: CartId::new(Uuid::from_u128(4)), version });
    let first = made(fixture, cart(7)).await.state.order.id;
    let id = fresh();
    let issued = acquired(&*fixture.orders(), &key("second", 0), id).await;
    let refused = fixture.orders().create(draft(id, cart(7)), issued.clone(), ME).await;
    assert!(matches!(refused, Err(CreateError::CartAlreadyOrdered)));
    assert!(fixture.orders().load(id).await.unwrap().is_none());
    made(fixture, cart(8)).await;
    let shortage = Shortage { product: None, requested: 2, available: 1 };
    apply(fixture, first, SagaEvent::StockUnavailable { hold: 1, shortage }).await;
    fixture.orders().create(draft(id, cart(7)), issued, ME).await.unwrap();
}

async fn numbers_rise_and_every_order_starts_as_created(fixture: &dyn Fixture) {
    let (first, second) = (made(fixture, None).await.state.order, made(fixture, None).await.state.order);
    assert_eq!((first.number.as_str(), second.number.as_str()), ("A-1000001", "A-1000002"));
    assert_eq!((first.progress.status, first.progress.payment_status), (Status::Created, PaymentStatus::Unpaid));
    assert_eq!(first.expires_at - first.created_at, fixture::WINDOW);
    assert_eq!((first.version, first.event_seq, first.lines.len()), (1, 1, 2));
}

async fn versions_history_and_events_have_no_gap_and_the_history_rebuilds_the_order(fixture: &dyn Fixture) {
    let order = paid(fixture).await;
    apply(fixture, order, SagaEvent::StatusRequested(Status::Processing)).await;
    apply(fixture, order, SagaEvent::CancelRequested).await;
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(fixture, order, SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Refunded }).await;

    let stored = fixture.orders().load(order).await.unwrap().unwrap().state.order;
    let history = fixture.history(order).await;
    let seqs: Vec<i64> = history.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=stored.version).collect::<Vec<_>>());
    assert_eq!(rebuild(history).unwrap(), stored);
    let events = fixture.events(order).await;
    let kinds: Vec<&str> = events.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["order.created", "order.placed", "order.paid", "order.processing", "order.cancelled"]);
    let places: Vec<i64> = events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(places, [1, 2, 3, 4, 5]);
    assert_eq!((stored.version, stored.event_seq), (7, 5));
}

async fn a_rejection_changes_nothing_and_is_stored_with_its_key(fixture: &dyn Fixture) {
    let order = made(fixture, None).await.state.order.id;
    let advance = |dedup_key: DedupKey| {
        let orders = fixture.orders();
        async move { orders.apply(order, &[SagaEvent::StatusRequested(Status::Processing)], &dedup_key, None).await }
    };
    let before = fixture.orders().load(order).await.unwrap().unwrap().state;
    let refused = |result: Result<Outcome<SagaSnapshot>, ApplyError>| match result {
        Err(ApplyError::Refused(Refused::InvalidTransition { from, .. })) => from,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(advance(key("a", 1)).await), Status::Created);
    assert_eq!(fixture.orders().load(order).await.unwrap().unwrap().state, before);
    apply(fixture, order, HELD).await;
    assert_eq!(refused(advance(key("a", 1)).await), Status::Created, "the first refusal is repeated");
    assert_eq!(refused(advance(key("b", 1)).await), Status::Pending);
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(fixture, order, SagaEvent::PaymentRequested { payment, user: ADA, amount: None }).await;
    let cancel = fixture.orders().apply(order, &[SagaEvent::CancelRequested], &key("c", 1), None).await;
    assert!(matches!(cancel, Err(ApplyError::Refused(Refused::PaymentInProgress))));
    apply(fixture, order, SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Failed }).await;
    fixture.orders().apply(order, &[SagaEvent::CancelRequested], &key("c", 1), None).await.unwrap();
}

async fn the_same_deduplication_key_applies_once(fixture: &dyn Fixture) {
    let order = made(fixture, None).await.state.order.id;
    apply(fixture, order, HELD).await;
    let orders = fixture.orders();
    let dedup_key = DedupKey::Command { id: Uuid::from_u128(77) };
    let [first, second] = [5, 6].map(|n| PaymentId::new(Uuid::from_u128(n)));
    let begin = |payment| SagaEvent::PaymentRequested { payment, user: ADA, amount: None };
    let failed = |payment| SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Failed };
    apply(fixture, order, begin(first)).await;
    assert!(!orders.apply(order, &[failed(first)], &dedup_key, None).await.unwrap().is_duplicate());
    apply(fixture, order, begin(first)).await;
    let again = orders.apply(order, &[failed(first)], &dedup_key, None).await.unwrap();
    assert!(again.is_duplicate());
    let progress = again.into_inner().state.order.progress;
    assert_eq!(progress.payment_status, PaymentStatus::Processing, "as it is now");
    apply(fixture, order, failed(first)).await;
    apply(fixture, order, begin(second)).await;
    apply(fixture, order, failed(second)).await;
    let cancel = key("cancel", 1);
    let first =
        orders.apply(order, &[SagaEvent::CancelRequested], &cancel, None).await.unwrap().into_inner().state.order;
    apply(fixture, order, SagaEvent::StockReleased { hold: 1 }).await;
    let second = orders.apply(order, &[SagaEvent::CancelRequested], &cancel, None).await.unwrap();
    assert!(second.is_duplicate());
    assert_eq!(second.into_inner().state.order, first);
    let other = orders.apply(order, &[SagaEvent::CancelRequested], &key("cancel", 2), None).await;
    assert!(matches!(other, Err(ApplyError::Store(StoreError::KeyReused))));
}

async fn a_saga_has_one_runner_and_is_released_when_it_waits(fixture: &dyn Fixture) {
    let (orders, order) = (fixture.orders(), made(fixture, None).await.state.order.id);
    assert!(!orders.acquire_lease(order, OTHER).await.unwrap().unwrap().leased, "the maker has it");
    assert!(orders.acquire_lease(order, ME).await.unwrap().unwrap().leased);
    assert!(orders.lease_due(OTHER, 10).await.unwrap().is_empty());
    orders.release_lease(order, OTHER).await.unwrap();
    assert!(
        !orders.acquire_lease(order, OTHER).await.unwrap().unwrap().leased,
        "only the holder can release the lease"
    );
    orders.release_lease(order, ME).await.unwrap();
    assert_eq!(orders.lease_due(OTHER, 10).await.unwrap().len(), 1);
    let rests = orders.apply(order, &[HELD], &DedupKey::None, Some(OTHER)).await.unwrap().into_inner();
    assert!(!rests.leased);
    fixture.pass(Duration::seconds(20)).await;
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty(), "it waits to be paid");
    fixture.pass(Duration::seconds(900)).await;
    assert_eq!(orders.lease_due(ME, 10).await.unwrap().len(), 1, "the window is over");
}

async fn a_saga_is_due_again_when_its_lease_expires(fixture: &dyn Fixture) {
    let (orders, order) = (fixture.orders(), made(fixture, None).await.state.order.id);
    fixture.pass(Duration::seconds(16)).await;
    let due = orders.lease_due(OTHER, 10).await.unwrap();
    assert_eq!(due.iter().map(|snapshot| snapshot.state.order.id).collect::<Vec<_>>(), [order]);
    assert!(due[0].leased);
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty());
    let late = orders.apply(order, &[SagaEvent::StepFailed], &DedupKey::None, Some(ME)).await.unwrap().into_inner();
    assert!(!late.leased, "who lost the lease takes no further step");
}

async fn an_outdated_runner_overwrites_no_newer_change(fixture: &dyn Fixture) {
    let (orders, known) = (fixture.orders(), made(fixture, None).await);
    let order = known.state.order.id;
    orders.apply(order, &[SagaEvent::CancelRequested], &DedupKey::None, None).await.unwrap();
    let late_result = orders.advance(known.clone(), &[HELD], &DedupKey::None, ME).await.unwrap().into_inner();
    assert_eq!(late_result.state.order.progress.status, Status::Cancelled);
    assert_eq!(next(&late_result.state, late_result.now), Step::Release { hold: 1 }, "a late reservation is released");
    assert!(late_result.leased);

    fixture.pass(Duration::seconds(16)).await;
    assert_eq!(orders.lease_due(OTHER, 10).await.unwrap().len(), 1);
    let released = SagaEvent::StockReleased { hold: 1 };
    let late = orders.advance(late_result, &[released], &DedupKey::None, ME).await.unwrap().into_inner();
    assert!(!late.leased, "who lost the lease takes no further step");
    assert_eq!(next(&late.state, late.now), Step::Wait { until: None });
    let now = orders.load(order).await.unwrap().unwrap();
    assert_eq!(next(&now.state, now.now), Step::Wait { until: None });
}

async fn a_failing_step_backs_off_and_is_reported_stuck(fixture: &dyn Fixture) {
    let (orders, order) = (fixture.orders(), made(fixture, None).await.state.order.id);
    let pause = |failed: SagaSnapshot| match next(&failed.state, failed.now) {
        Step::Wait { until: Some(until) } => until - failed.now,
        step => panic!("{step:?}"),
    };
    let first = pause(apply(fixture, order, SagaEvent::StepFailed).await);
    assert!(first > Duration::ZERO);
    fixture.pass(first).await;
    assert_eq!(orders.lease_due(ME, 10).await.unwrap().len(), 1);
    let second = pause(apply(fixture, order, SagaEvent::StepFailed).await);
    assert!(second > first, "{second} after {first}");
    assert_eq!(orders.stuck().await.unwrap(), 0);
    fixture.pass(Duration::minutes(11)).await;
    apply(fixture, order, SagaEvent::StepFailed).await;
    assert_eq!(orders.stuck().await.unwrap(), 1);
    apply(fixture, order, HELD).await;
    assert_eq!(orders.stuck().await.unwrap(), 0);
}

async fn pages_are_sorted_newest_first(fixture: &dyn Fixture) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, made(fixture, None).await.state.order.id);
    }
    let listing =
        |size, before, offset| Listing { user: Some(ADA), size: PageSize::parse(size).unwrap(), before, offset };
    let read = async |listing: Listing| {
        let page = fixture.orders().page(&listing).await.unwrap();
        (page.items.iter().map(|order| order.id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(read(listing(2, None, 0)).await, (ids[..2].to_vec(), Some(ids[1].to_string())));
    assert_eq!(read(listing(3, Some(ids[1]), 0)).await, (ids[2..].to_vec(), None));
    assert_eq!(read(listing(2, None, 4)).await, (ids[4..].to_vec(), None));
    assert_eq!(read(Listing { user: None, ..listing(5, None, 0) }).await, (ids.clone(), None));
    let stranger = UserId::new(Uuid::from_u128(99));
    assert_eq!(read(Listing { user: Some(stranger), ..listing(5, None, 0) }).await, (vec![], None));
}

async fn an_order_that_does_not_exist_is_not_found(fixture: &dyn Fixture) {
    let (orders, id) = (fixture.orders(), fresh());
    assert!(orders.acquire_lease(id, ME).await.unwrap().is_none());
    assert!(matches!(orders.apply(id, &[HELD], &DedupKey::None, None).await, Err(ApplyError::NotFound)));
    orders.release_lease(id, ME).await.unwrap();
}
