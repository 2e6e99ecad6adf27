//! What every store of orders promises: asked of the one in memory, and with feature `db-tests` of PostgreSQL.

use crate::world::{self, InMemory, World};
use agora_order::{
    domain::{CartVersion, Command, Draft, Line, PaymentOutcome, PaymentStatus, Refused, Shortage, Status, rebuild},
    ports::{ApplyError, CreateError, Driver, Listing, Progress, StoreError},
    saga::{Step, next},
};
use agora_outbox::{Acquisition, DedupKey, Outcome};
use agora_testkit::SequentialIds;
use agora_vocab::{
    CartId, Currency, Ids as _, Money, OrderId, PageSize, PaymentId, ProductId, Quantity, SellerId, UserId,
};
use time::Duration;
use uuid::Uuid;

const ADA: UserId = UserId::new(Uuid::from_u128(1));
const ME: Driver = Driver(Uuid::from_u128(2));
const OTHER: Driver = Driver(Uuid::from_u128(3));
const HELD: Command = Command::Held { hold: 1 };

/// Runs a law on each store.
macro_rules! laws {
    ($($law:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $law() {
                super::$law(&super::InMemory::new()).await;
            })*
        }

        #[cfg(feature = "db-tests")]
        mod in_postgres {
            $(#[tokio::test]
            async fn $law() {
                super::$law(&crate::world::InDatabase::new().await).await;
            })*
        }
    };
}

laws! {
    a_claim_belongs_to_one_until_its_lease_ends
    the_change_that_lets_a_request_be_answered_stores_the_answer
    a_claim_with_an_order_cannot_be_given_up
    an_old_claim_is_given_to_one_worker_at_a_time
    an_order_is_made_once_and_only_for_its_claim
    one_version_of_a_cart_has_at_most_one_live_order
    numbers_rise_and_every_order_starts_as_created
    versions_history_and_facts_have_no_gap_and_the_history_rebuilds_the_order
    a_refused_command_changes_nothing_and_is_remembered_for_its_key
    the_same_cause_takes_effect_once
    a_saga_is_driven_by_one_and_free_when_it_rests
    a_saga_whose_driver_is_gone_is_due_again
    a_driver_who_knows_old_news_undoes_none_of_the_new
    a_failed_step_waits_longer_each_time_and_is_called_stuck_at_last
    pages_go_from_new_to_old
    an_order_that_does_not_exist_is_not_found
}

fn key(key: &str, hash: u8) -> DedupKey {
    DedupKey::Request { scope: ADA.to_string(), key: key.into(), route: "POST /api/v1/orders".into(), hash: [hash; 32] }
}

fn fresh() -> OrderId {
    static IDS: std::sync::LazyLock<SequentialIds> = std::sync::LazyLock::new(SequentialIds::new);
    OrderId::new(IDS.next())
}

fn draft(id: OrderId, cart: Option<CartVersion>) -> Draft {
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
    Draft { id, user: ADA, cart, lines, total: price.checked_mul(3).unwrap(), address: None, pay: None }
}

/// A new order, leased by nobody any more.
async fn made(world: &dyn World, cart: Option<CartVersion>) -> Progress {
    let id = fresh();
    world.orders().claim(&key(&id.to_string(), 0), id).await.unwrap();
    world.orders().create(draft(id, cart), ME).await.unwrap()
}

async fn apply(world: &dyn World, order: OrderId, command: Command) -> Progress {
    world.orders().apply(order, &command, &DedupKey::None, Some(ME)).await.unwrap().into_inner()
}

async fn paid(world: &dyn World) -> OrderId {
    let order = made(world, None).await.state.order.id;
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(world, order, HELD).await;
    apply(world, order, Command::BeginPayment { payment, user: ADA, amount: None }).await;
    apply(world, order, Command::PaymentResult { payment, outcome: PaymentOutcome::Captured }).await;
    apply(world, order, Command::Committed { hold: 1 }).await;
    order
}

async fn a_claim_belongs_to_one_until_its_lease_ends(world: &dyn World) {
    let (orders, first, second) = (world.orders(), fresh(), fresh());
    assert_eq!(orders.claim(&key("k", 1), first).await.unwrap(), Acquisition::Started { recovery_id: first.uuid() });
    assert!(matches!(orders.claim(&key("k", 1), second).await.unwrap(), Acquisition::InProgress { retry_after_s: 1 }));
    assert!(matches!(orders.claim(&key("k", 2), second).await, Err(StoreError::KeyReused)));
    world.pass(Duration::seconds(11)).await;
    assert_eq!(orders.claim(&key("k", 1), second).await.unwrap(), Acquisition::Resumed { recovery_id: first.uuid() });
    assert!(matches!(orders.claim(&key("k", 1), second).await.unwrap(), Acquisition::InProgress { .. }));
    assert!(orders.abandon(first).await.unwrap());
    assert_eq!(orders.claim(&key("k", 2), second).await.unwrap(), Acquisition::Started { recovery_id: second.uuid() });
}

async fn the_change_that_lets_a_request_be_answered_stores_the_answer(world: &dyn World) {
    let (orders, id) = (world.orders(), fresh());
    orders.claim(&key("k", 1), id).await.unwrap();
    orders.create(draft(id, None), ME).await.unwrap();
    world.pass(Duration::seconds(11)).await;
    assert_eq!(orders.claim(&key("k", 1), fresh()).await.unwrap(), Acquisition::Resumed { recovery_id: id.uuid() });
    apply(world, id, Command::StepFailed).await;
    assert!(matches!(orders.claim(&key("k", 1), fresh()).await.unwrap(), Acquisition::InProgress { .. }));
    let placed = apply(world, id, HELD).await.state;
    let answer = agora_order::http::answer(&placed).unwrap();
    assert_eq!(answer.status, 201);
    apply(world, id, Command::Cancel).await;
    world.pass(Duration::hours(1)).await;
    assert_eq!(orders.claim(&key("k", 1), fresh()).await.unwrap(), Acquisition::Completed(answer));
}

async fn a_claim_with_an_order_cannot_be_given_up(world: &dyn World) {
    let order = made(world, None).await.state.order.id;
    assert!(!world.orders().abandon(order).await.unwrap());
}

async fn an_old_claim_is_given_to_one_worker_at_a_time(world: &dyn World) {
    let (orders, id) = (world.orders(), fresh());
    orders.claim(&key("k", 1), id).await.unwrap();
    world.pass(Duration::seconds(59)).await;
    assert_eq!(orders.stale_claims(10).await.unwrap(), []);
    world.pass(Duration::seconds(2)).await;
    assert_eq!(orders.stale_claims(10).await.unwrap(), [id]);
    assert_eq!(orders.stale_claims(10).await.unwrap(), []);
    assert!(matches!(orders.claim(&key("k", 1), fresh()).await.unwrap(), Acquisition::InProgress { .. }));
}

async fn an_order_is_made_once_and_only_for_its_claim(world: &dyn World) {
    let (orders, id) = (world.orders(), fresh());
    assert!(matches!(orders.create(draft(id, None), ME).await, Err(CreateError::ClaimGone)));
    orders.claim(&key("k", 1), id).await.unwrap();
    let progress = orders.create(draft(id, None), ME).await.unwrap();
    assert!(progress.leased);
    assert!(matches!(orders.create(draft(id, None), OTHER).await, Err(CreateError::Exists)));
    let loaded = orders.load(id, None).await.unwrap().unwrap();
    assert_eq!(loaded.state, progress.state);
}

async fn one_version_of_a_cart_has_at_most_one_live_order(world: &dyn World) {
    let cart = |version| Some(CartVersion { id: CartId::new(Uuid::from_u128(4)), version });
    let first = made(world, cart(7)).await.state.order.id;
    let id = fresh();
    world.orders().claim(&key("second", 0), id).await.unwrap();
    let refused = world.orders().create(draft(id, cart(7)), ME).await;
    assert!(matches!(refused, Err(CreateError::CartTaken)));
    assert!(world.orders().load(id, None).await.unwrap().is_none());
    made(world, cart(8)).await;
    let shortage = Shortage { product: None, requested: 2, available: 1 };
    apply(world, first, Command::Short { hold: 1, shortage }).await;
    world.orders().create(draft(id, cart(7)), ME).await.unwrap();
}

async fn numbers_rise_and_every_order_starts_as_created(world: &dyn World) {
    let (first, second) = (made(world, None).await.state.order, made(world, None).await.state.order);
    assert_eq!((first.number.as_str(), second.number.as_str()), ("A-1000001", "A-1000002"));
    assert_eq!((first.standing.status, first.standing.payment_status), (Status::Created, PaymentStatus::Unpaid));
    assert_eq!(first.expires_at - first.created_at, world::WINDOW);
    assert_eq!((first.version, first.facts, first.lines.len()), (1, 1, 2));
}

async fn versions_history_and_facts_have_no_gap_and_the_history_rebuilds_the_order(world: &dyn World) {
    let order = paid(world).await;
    apply(world, order, Command::Advance(Status::Processing)).await;
    apply(world, order, Command::Cancel).await;
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(world, order, Command::PaymentResult { payment, outcome: PaymentOutcome::Refunded }).await;

    let stored = world.orders().load(order, None).await.unwrap().unwrap().state.order;
    let history = world.history(order).await;
    let seqs: Vec<i64> = history.iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=stored.version).collect::<Vec<_>>());
    assert_eq!(rebuild(history).unwrap(), stored);
    let facts = world.facts(order).await;
    let kinds: Vec<&str> = facts.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["order.created", "order.placed", "order.paid", "order.processing", "order.cancelled"]);
    let places: Vec<i64> = facts.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(places, [1, 2, 3, 4, 5]);
    assert_eq!((stored.version, stored.facts), (7, 5));
}

async fn a_refused_command_changes_nothing_and_is_remembered_for_its_key(world: &dyn World) {
    let order = made(world, None).await.state.order.id;
    let advance = |dedup_key: DedupKey| {
        let orders = world.orders();
        async move { orders.apply(order, &Command::Advance(Status::Processing), &dedup_key, None).await }
    };
    let before = world.orders().load(order, None).await.unwrap().unwrap().state;
    let refused = |result: Result<Outcome<Progress>, ApplyError>| match result {
        Err(ApplyError::Refused(Refused::InvalidTransition { from, .. })) => from,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(advance(key("a", 1)).await), Status::Created);
    assert_eq!(world.orders().load(order, None).await.unwrap().unwrap().state, before);
    apply(world, order, HELD).await;
    assert_eq!(refused(advance(key("a", 1)).await), Status::Created, "the first refusal is repeated");
    assert_eq!(refused(advance(key("b", 1)).await), Status::Pending);
    let payment = PaymentId::new(Uuid::from_u128(5));
    apply(world, order, Command::BeginPayment { payment, user: ADA, amount: None }).await;
    let cancel = world.orders().apply(order, &Command::Cancel, &key("c", 1), None).await;
    assert!(matches!(cancel, Err(ApplyError::Refused(Refused::PaymentInProgress))));
    apply(world, order, Command::PaymentResult { payment, outcome: PaymentOutcome::Failed }).await;
    world.orders().apply(order, &Command::Cancel, &key("c", 1), None).await.unwrap();
}

async fn the_same_cause_takes_effect_once(world: &dyn World) {
    let order = made(world, None).await.state.order.id;
    apply(world, order, HELD).await;
    let orders = world.orders();
    let dedup_key = DedupKey::Command { id: Uuid::from_u128(77) };
    let [first, second] = [5, 6].map(|n| PaymentId::new(Uuid::from_u128(n)));
    let begin = |payment| Command::BeginPayment { payment, user: ADA, amount: None };
    let failed = |payment| Command::PaymentResult { payment, outcome: PaymentOutcome::Failed };
    apply(world, order, begin(first)).await;
    assert!(!orders.apply(order, &failed(first), &dedup_key, None).await.unwrap().is_duplicate());
    apply(world, order, begin(first)).await;
    let again = orders.apply(order, &failed(first), &dedup_key, None).await.unwrap();
    assert!(again.is_duplicate());
    let standing = again.into_inner().state.order.standing;
    assert_eq!(standing.payment_status, PaymentStatus::Processing, "as it is now");
    apply(world, order, failed(first)).await;
    apply(world, order, begin(second)).await;
    apply(world, order, failed(second)).await;
    let cancel = key("cancel", 1);
    let first = orders.apply(order, &Command::Cancel, &cancel, None).await.unwrap().into_inner().state.order;
    apply(world, order, Command::Released { hold: 1 }).await;
    let second = orders.apply(order, &Command::Cancel, &cancel, None).await.unwrap();
    assert!(second.is_duplicate());
    assert_eq!(second.into_inner().state.order, first);
    let other = orders.apply(order, &Command::Cancel, &key("cancel", 2), None).await;
    assert!(matches!(other, Err(ApplyError::Store(StoreError::KeyReused))));
}

async fn a_saga_is_driven_by_one_and_free_when_it_rests(world: &dyn World) {
    let (orders, order) = (world.orders(), made(world, None).await.state.order.id);
    assert!(!orders.load(order, Some(OTHER)).await.unwrap().unwrap().leased, "the maker has it");
    assert!(orders.load(order, Some(ME)).await.unwrap().unwrap().leased);
    assert!(orders.lease_due(OTHER, 10).await.unwrap().is_empty());
    orders.yield_lease(order, OTHER).await.unwrap();
    assert!(!orders.load(order, Some(OTHER)).await.unwrap().unwrap().leased, "nobody yields what is another's");
    orders.yield_lease(order, ME).await.unwrap();
    assert_eq!(orders.lease_due(OTHER, 10).await.unwrap().len(), 1);
    let rests = orders.apply(order, &HELD, &DedupKey::None, Some(OTHER)).await.unwrap().into_inner();
    assert!(!rests.leased);
    world.pass(Duration::seconds(20)).await;
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty(), "it waits to be paid");
    world.pass(Duration::seconds(900)).await;
    assert_eq!(orders.lease_due(ME, 10).await.unwrap().len(), 1, "the window is over");
}

async fn a_saga_whose_driver_is_gone_is_due_again(world: &dyn World) {
    let (orders, order) = (world.orders(), made(world, None).await.state.order.id);
    world.pass(Duration::seconds(16)).await;
    let due = orders.lease_due(OTHER, 10).await.unwrap();
    assert_eq!(due.iter().map(|progress| progress.state.order.id).collect::<Vec<_>>(), [order]);
    assert!(due[0].leased);
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty());
    let late = orders.apply(order, &Command::StepFailed, &DedupKey::None, Some(ME)).await.unwrap().into_inner();
    assert!(!late.leased, "who lost the lease takes no further step");
}

async fn a_driver_who_knows_old_news_undoes_none_of_the_new(world: &dyn World) {
    let (orders, known) = (world.orders(), made(world, None).await);
    let order = known.state.order.id;
    orders.apply(order, &Command::Cancel, &DedupKey::None, None).await.unwrap();
    let told = orders.advance(known.clone(), &HELD, &DedupKey::None, ME).await.unwrap().into_inner();
    assert_eq!(told.state.order.standing.status, Status::Cancelled);
    assert_eq!(next(&told.state, told.now), Step::Release { hold: 1 }, "what came too late goes back");
    assert!(told.leased);

    world.pass(Duration::seconds(16)).await;
    assert_eq!(orders.lease_due(OTHER, 10).await.unwrap().len(), 1);
    let released = Command::Released { hold: 1 };
    let late = orders.advance(told, &released, &DedupKey::None, ME).await.unwrap().into_inner();
    assert!(!late.leased, "who lost the lease takes no further step");
    assert_eq!(next(&late.state, late.now), Step::Rest { until: None });
    let now = orders.load(order, None).await.unwrap().unwrap();
    assert_eq!(next(&now.state, now.now), Step::Rest { until: None });
}

async fn a_failed_step_waits_longer_each_time_and_is_called_stuck_at_last(world: &dyn World) {
    let (orders, order) = (world.orders(), made(world, None).await.state.order.id);
    apply(world, order, Command::StepFailed).await;
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty());
    world.pass(Duration::milliseconds(250)).await;
    assert_eq!(orders.lease_due(ME, 10).await.unwrap().len(), 1);
    apply(world, order, Command::StepFailed).await;
    world.pass(Duration::milliseconds(250)).await;
    assert!(orders.lease_due(ME, 10).await.unwrap().is_empty());
    assert_eq!(orders.stuck().await.unwrap(), 0);
    world.pass(Duration::minutes(11)).await;
    apply(world, order, Command::StepFailed).await;
    assert_eq!(orders.stuck().await.unwrap(), 1);
    apply(world, order, HELD).await;
    assert_eq!(orders.stuck().await.unwrap(), 0);
}

async fn pages_go_from_new_to_old(world: &dyn World) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, made(world, None).await.state.order.id);
    }
    let listing =
        |size, before, offset| Listing { user: Some(ADA), size: PageSize::parse(size).unwrap(), before, offset };
    let read = async |listing: Listing| {
        let page = world.orders().page(&listing).await.unwrap();
        (page.items.iter().map(|order| order.id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(read(listing(2, None, 0)).await, (ids[..2].to_vec(), Some(ids[1].to_string())));
    assert_eq!(read(listing(3, Some(ids[1]), 0)).await, (ids[2..].to_vec(), None));
    assert_eq!(read(listing(2, None, 4)).await, (ids[4..].to_vec(), None));
    assert_eq!(read(Listing { user: None, ..listing(5, None, 0) }).await, (ids.clone(), None));
    let nobody = UserId::new(Uuid::from_u128(99));
    assert_eq!(read(Listing { user: Some(nobody), ..listing(5, None, 0) }).await, (vec![], None));
}

async fn an_order_that_does_not_exist_is_not_found(world: &dyn World) {
    let (orders, id) = (world.orders(), fresh());
    assert!(orders.load(id, Some(ME)).await.unwrap().is_none());
    assert!(matches!(orders.apply(id, &HELD, &DedupKey::None, None).await, Err(ApplyError::NotFound)));
    orders.yield_lease(id, ME).await.unwrap();
}
