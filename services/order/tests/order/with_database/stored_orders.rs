//! Tests of the store's ports.

use agora_order::{
    domain::{
        CartVersion, Charges, Line, OrderDraft, PaymentOutcome, PaymentStatus, Refused, RunnerId, SagaEvent, Shortage,
        Status, Step, next, rebuild,
    },
    ports::{
        ApplyError, CreateError, IdempotencyLeases as _, Issued, Listing, OrderReads as _, Orders as _, RequestLease,
        SagaSnapshot, Sagas as _, StoreError,
    },
};
use agora_outbox::{DedupKey, Outcome};
use agora_testkit::{SequentialIds, message_id};
use agora_vocab::{
    CartId, Currency, Ids as _, Money, OrderId, PageSize, PaymentId, ProductId, Quantity, SellerId, UserId, Variant,
};
use time::Duration;
use uuid::Uuid;

use super::store::{TestStore, WINDOW};

const ADA: UserId = UserId::new(Uuid::from_u128(1));
const ME: RunnerId = RunnerId(Uuid::from_u128(2));
const OTHER: RunnerId = RunnerId(Uuid::from_u128(3));
const HELD: SagaEvent = SagaEvent::StockReserved { hold: 1 };

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
        variant: Variant::default(),
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
    let (total, charges) = (price.checked_mul(3).unwrap(), Charges::default());
    OrderDraft { id, user: ADA, cart, lines, total, charges, address: None, pay: None }
}

/// A new order.
async fn made(store: &TestStore, cart: Option<CartVersion>) -> SagaSnapshot {
    let id = fresh();
    let issued = acquired(store, &key(&id.to_string(), 0), id).await;
    store.orders.create(draft(id, cart), issued, ME).await.unwrap()
}

/// Acquires a new key's lease.
async fn acquired(store: &TestStore, dedup_key: &DedupKey, id: OrderId) -> Issued {
    match store.orders.acquire_idempotency_lease(dedup_key, id, ADA).await.unwrap() {
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

async fn apply(store: &TestStore, order: OrderId, event: SagaEvent) -> SagaSnapshot {
    store.orders.apply(order, &[event], &DedupKey::None, Some(ME)).await.unwrap().into_inner()
}

async fn paid(store: &TestStore) -> OrderId {
    let order = made(store, None).await.state.order.id;
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(store, order, HELD).await;
    apply(store, order, SagaEvent::PaymentRequested { payment, user: ADA, amount: None }).await;
    apply(store, order, SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Captured }).await;
    apply(store, order, SagaEvent::StockCommitted { hold: 1 }).await;
    order
}

#[tokio::test]
async fn an_idempotency_lease_is_exclusive_until_it_expires() {
    let store = TestStore::new().await;
    let (orders, first, second) = (&store.orders, fresh(), fresh());
    acquired(&store, &key("k", 1), first).await;
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), second, ADA).await.unwrap(), RequestLease::InProgress);
    assert!(matches!(orders.acquire_idempotency_lease(&key("k", 2), second, ADA).await, Err(StoreError::KeyReused)));
    store.pass(Duration::seconds(11)).await;
    assert_eq!(resumed(&orders.acquire_idempotency_lease(&key("k", 1), second, ADA).await.unwrap()), Some(first));
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), second, ADA).await.unwrap(), RequestLease::InProgress);
    assert!(orders.cancel_idempotency_lease(first).await.unwrap());
    acquired(&store, &key("k", 2), second).await;
}

#[tokio::test]
async fn the_completing_change_stores_the_response() {
    let store = TestStore::new().await;
    let (orders, id) = (&store.orders, fresh());
    let issued = acquired(&store, &key("k", 1), id).await;
    orders.create(draft(id, None), issued, ME).await.unwrap();
    store.pass(Duration::seconds(11)).await;
    assert_eq!(resumed(&orders.acquire_idempotency_lease(&key("k", 1), fresh(), ADA).await.unwrap()), Some(id));
    apply(&store, id, SagaEvent::StepFailed).await;
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), fresh(), ADA).await.unwrap(), RequestLease::InProgress);
    let placed = apply(&store, id, HELD).await.state;
    let answer = agora_order::http::answer(&placed).unwrap();
    assert_eq!(answer.status, 201);
    apply(&store, id, SagaEvent::CancelRequested).await;
    store.pass(Duration::hours(1)).await;
    assert_eq!(
        orders.acquire_idempotency_lease(&key("k", 1), fresh(), ADA).await.unwrap(),
        RequestLease::Completed(answer)
    );
}

#[tokio::test]
async fn an_idempotency_lease_with_an_order_cannot_be_cancelled() {
    let store = TestStore::new().await;
    let order = made(&store, None).await.state.order.id;
    assert!(!store.orders.cancel_idempotency_lease(order).await.unwrap());
}

#[tokio::test]
async fn an_expired_idempotency_lease_goes_to_one_worker_at_a_time() {
    let store = TestStore::new().await;
    let (orders, id) = (&store.orders, fresh());
    orders.acquire_idempotency_lease(&key("k", 1), id, ADA).await.unwrap();
    store.pass(Duration::seconds(45)).await;
    assert_eq!(orders.expired_idempotency_leases(10).await.unwrap(), []);
    store.pass(Duration::seconds(16)).await;
    assert_eq!(orders.expired_idempotency_leases(10).await.unwrap(), [id]);
    assert_eq!(orders.expired_idempotency_leases(10).await.unwrap(), []);
    assert_eq!(orders.acquire_idempotency_lease(&key("k", 1), fresh(), ADA).await.unwrap(), RequestLease::InProgress);
}

#[tokio::test]
async fn an_order_is_created_once_and_only_with_its_idempotency_lease() {
    let store = TestStore::new().await;
    let (orders, id) = (&store.orders, fresh());
    let issued = acquired(&store, &key("k", 1), id).await;
    let other = orders.create(draft(fresh(), None), issued.clone(), ME).await;
    assert!(matches!(other, Err(CreateError::LeaseLost)));
    let snapshot = orders.create(draft(id, None), issued.clone(), ME).await.unwrap();
    assert!(snapshot.leased);
    let again = Issued { number: "A-1".into(), ..issued };
    assert!(matches!(orders.create(draft(id, None), again, OTHER).await, Err(CreateError::Exists)));
    let loaded = orders.load(id).await.unwrap().unwrap();
    assert_eq!(loaded.state, snapshot.state);
}

#[tokio::test]
async fn one_version_of_a_cart_has_at_most_one_live_order() {
    let store = TestStore::new().await;
    let cart = |version| Some(CartVersion { id: CartId::new(Uuid::from_u128(4)), version });
    let first = made(&store, cart(7)).await.state.order.id;
    let id = fresh();
    let issued = acquired(&store, &key("second", 0), id).await;
    let refused = store.orders.create(draft(id, cart(7)), issued.clone(), ME).await;
    assert!(matches!(refused, Err(CreateError::CartAlreadyOrdered)));
    assert!(store.orders.load(id).await.unwrap().is_none());
    made(&store, cart(8)).await;
    let shortage = Shortage { product: None, requested: 2, available: 1 };
    apply(&store, first, SagaEvent::StockUnavailable { hold: 1, shortage }).await;
    store.orders.create(draft(id, cart(7)), issued, ME).await.unwrap();
}

#[tokio::test]
async fn or10_numbers_rise_and_every_order_starts_as_created() {
    let store = TestStore::new().await;
    let (first, second) = (made(&store, None).await.state.order, made(&store, None).await.state.order);
    assert_eq!((first.number.as_str(), second.number.as_str()), ("A-1000001", "A-1000002"));
    assert_eq!((first.progress.status, first.progress.payment_status), (Status::Created, PaymentStatus::Unpaid));
    assert_eq!(first.expires_at - first.created_at, WINDOW);
    assert_eq!((first.version, first.event_seq, first.lines.len()), (1, 1, 2));
}

#[tokio::test]
async fn or17_versions_history_and_events_have_no_gap_and_the_history_rebuilds_the_order() {
    let store = TestStore::new().await;
    let order = paid(&store).await;
    apply(&store, order, SagaEvent::StatusRequested(Status::Processing)).await;
    apply(&store, order, SagaEvent::CancelRequested).await;
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(&store, order, SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Refunded }).await;

    let stored = store.orders.load(order).await.unwrap().unwrap().state.order;
    let history = store.history(order).await;
    let seqs: Vec<i64> = history.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=stored.version).collect::<Vec<_>>());
    assert_eq!(rebuild(history).unwrap(), stored);
    let events = store.events(order).await;
    let kinds: Vec<&str> = events.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["order.created", "order.placed", "order.paid", "order.processing", "order.cancelled"]);
    let places: Vec<i64> = events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(places, [1, 2, 3, 4, 5]);
    assert_eq!((stored.version, stored.event_seq), (7, 5));
}

#[tokio::test]
async fn a_rejection_changes_nothing_and_is_stored_with_its_key() {
    let store = TestStore::new().await;
    let order = made(&store, None).await.state.order.id;
    let advance = |dedup_key: DedupKey| {
        let orders = store.orders.clone();
        async move { orders.apply(order, &[SagaEvent::StatusRequested(Status::Processing)], &dedup_key, None).await }
    };
    let before = store.orders.load(order).await.unwrap().unwrap().state;
    let refused = |result: Result<Outcome<SagaSnapshot>, ApplyError>| match result {
        Err(ApplyError::Refused(Refused::InvalidTransition { from, .. })) => from,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(advance(key("a", 1)).await), Status::Created);
    assert_eq!(store.orders.load(order).await.unwrap().unwrap().state, before);
    apply(&store, order, HELD).await;
    assert_eq!(refused(advance(key("a", 1)).await), Status::Created, "the first refusal is repeated");
    assert_eq!(refused(advance(key("b", 1)).await), Status::Pending);
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(&store, order, SagaEvent::PaymentRequested { payment, user: ADA, amount: None }).await;
    let cancel = store.orders.apply(order, &[SagaEvent::CancelRequested], &key("c", 1), None).await;
    assert!(matches!(cancel, Err(ApplyError::Refused(Refused::PaymentInProgress))));
    apply(&store, order, SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Failed }).await;
    store.orders.apply(order, &[SagaEvent::CancelRequested], &key("c", 1), None).await.unwrap();
}

#[tokio::test]
async fn the_same_deduplication_key_applies_once() {
    let store = TestStore::new().await;
    let order = made(&store, None).await.state.order.id;
    apply(&store, order, HELD).await;
    let orders = &store.orders;
    let dedup_key = DedupKey::Command { id: message_id(77) };
    let [first, second] = [5, 6].map(|n| PaymentId::new(Uuid::from_u128(n)));
    let begin = |payment| SagaEvent::PaymentRequested { payment, user: ADA, amount: None };
    let failed = |payment| SagaEvent::PaymentResult { payment, outcome: PaymentOutcome::Failed };
    apply(&store, order, begin(first)).await;
    assert!(!orders.apply(order, &[failed(first)], &dedup_key, None).await.unwrap().is_duplicate());
    apply(&store, order, begin(first)).await;
    let again = orders.apply(order, &[failed(first)], &dedup_key, None).await.unwrap();
    assert!(again.is_duplicate());
    let progress = again.into_inner().state.order.progress;
    assert_eq!(progress.payment_status, PaymentStatus::Processing, "as it is now");
    apply(&store, order, failed(first)).await;
    apply(&store, order, begin(second)).await;
    apply(&store, order, failed(second)).await;
    let cancel = key("cancel", 1);
    let first =
        orders.apply(order, &[SagaEvent::CancelRequested], &cancel, None).await.unwrap().into_inner().state.order;
    apply(&store, order, SagaEvent::StockReleased { hold: 1 }).await;
    let second = orders.apply(order, &[SagaEvent::CancelRequested], &cancel, None).await.unwrap();
    assert!(second.is_duplicate());
    assert_eq!(second.into_inner().state.order, first);
    let other = orders.apply(order, &[SagaEvent::CancelRequested], &key("cancel", 2), None).await;
    assert!(matches!(other, Err(ApplyError::Store(StoreError::KeyReused))));
}

#[tokio::test]
async fn a_saga_has_one_runner_and_is_released_when_it_waits() {
    let store = TestStore::new().await;
    let (orders, order) = (&store.orders, made(&store, None).await.state.order.id);
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
    store.pass(Duration::seconds(20)).await;
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty(), "it waits to be paid");
    store.pass(Duration::seconds(900)).await;
    assert_eq!(orders.lease_due(ME, 10).await.unwrap().len(), 1, "the window is over");
}

#[tokio::test]
async fn a_saga_is_due_again_when_its_lease_expires() {
    let store = TestStore::new().await;
    let (orders, order) = (&store.orders, made(&store, None).await.state.order.id);
    store.pass(Duration::seconds(16)).await;
    let due = orders.lease_due(OTHER, 10).await.unwrap();
    assert_eq!(due.iter().map(|snapshot| snapshot.state.order.id).collect::<Vec<_>>(), [order]);
    assert!(due[0].leased);
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty());
    let late = orders.apply(order, &[SagaEvent::StepFailed], &DedupKey::None, Some(ME)).await.unwrap().into_inner();
    assert!(!late.leased, "a runner without the lease takes no further step");
}

#[tokio::test]
async fn an_outdated_runner_overwrites_no_newer_change() {
    let store = TestStore::new().await;
    let (orders, known) = (&store.orders, made(&store, None).await);
    let order = known.state.order.id;
    orders.apply(order, &[SagaEvent::CancelRequested], &DedupKey::None, None).await.unwrap();
    let late_result = orders.advance(known.clone(), &[HELD], &DedupKey::None, ME).await.unwrap().into_inner();
    assert_eq!(late_result.state.order.progress.status, Status::Cancelled);
    assert_eq!(next(&late_result.state, late_result.now), Step::Release { hold: 1 }, "a late reservation is released");
    assert!(late_result.leased);

    store.pass(Duration::seconds(16)).await;
    assert_eq!(orders.lease_due(OTHER, 10).await.unwrap().len(), 1);
    let released = SagaEvent::StockReleased { hold: 1 };
    let late = orders.advance(late_result, &[released], &DedupKey::None, ME).await.unwrap().into_inner();
    assert!(!late.leased, "a runner without the lease takes no further step");
    assert_eq!(next(&late.state, late.now), Step::Wait { until: None });
    let now = orders.load(order).await.unwrap().unwrap();
    assert_eq!(next(&now.state, now.now), Step::Wait { until: None });
}

#[tokio::test]
async fn a_failing_step_backs_off_and_is_reported_stuck() {
    let store = TestStore::new().await;
    let (orders, order) = (&store.orders, made(&store, None).await.state.order.id);
    let pause = |failed: SagaSnapshot| match next(&failed.state, failed.now) {
        Step::Wait { until: Some(until) } => until - failed.now,
        step => panic!("{step:?}"),
    };
    let first = pause(apply(&store, order, SagaEvent::StepFailed).await);
    assert!(first > Duration::ZERO);
    store.pass(first).await;
    assert_eq!(orders.lease_due(ME, 10).await.unwrap().len(), 1);
    let second = pause(apply(&store, order, SagaEvent::StepFailed).await);
    assert!(second > first, "{second} after {first}");
    assert_eq!(orders.stuck().await.unwrap(), 0);
    store.pass(Duration::minutes(11)).await;
    apply(&store, order, SagaEvent::StepFailed).await;
    assert_eq!(orders.stuck().await.unwrap(), 1);
    apply(&store, order, HELD).await;
    assert_eq!(orders.stuck().await.unwrap(), 0);
}

#[tokio::test]
async fn pages_are_sorted_newest_first() {
    let store = TestStore::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, made(&store, None).await.state.order.id);
    }
    let listing =
        |size, before, offset| Listing { user: Some(ADA), size: PageSize::parse(size).unwrap(), before, offset };
    let read = async |listing: Listing| {
        let page = store.orders.page(&listing).await.unwrap();
        (page.items.iter().map(|order| order.id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(read(listing(2, None, 0)).await, (ids[..2].to_vec(), Some(ids[1].to_string())));
    assert_eq!(read(listing(3, Some(ids[1]), 0)).await, (ids[2..].to_vec(), None));
    assert_eq!(read(listing(2, None, 4)).await, (ids[4..].to_vec(), None));
    assert_eq!(read(Listing { user: None, ..listing(5, None, 0) }).await, (ids.clone(), None));
    let stranger = UserId::new(Uuid::from_u128(99));
    assert_eq!(read(Listing { user: Some(stranger), ..listing(5, None, 0) }).await, (vec![], None));
}

#[tokio::test]
async fn an_order_that_does_not_exist_is_not_found() {
    let store = TestStore::new().await;
    let (orders, id) = (&store.orders, fresh());
    assert!(orders.acquire_lease(id, ME).await.unwrap().is_none());
    assert!(matches!(orders.apply(id, &[HELD], &DedupKey::None, None).await, Err(ApplyError::NotFound)));
    orders.release_lease(id, ME).await.unwrap();
}
