//! The open streams of this process: who has them, how many there may be, and what each is sent.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use agora_vocab::{Clock, Ids, SessionId, UserId};
use agora_web::Identity;
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    cursor::{Cursor, Place},
    history::History,
    public_event::{Message, PublicEvent},
    stream::{End, EndReason, Item},
};

/// Streams of one process: their own budget, beside that of requests. An idle one costs about 20 kB.
const STREAMS_MAX: usize = 4096;
/// Streams of one user at one process: the tabs and devices of a person.
const STREAMS_OF_USER_MAX: usize = 10;
/// Items that wait for a client before it counts as too slow.
const WAITING_MAX: usize = 64;

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The user has as many as a user may have.
    User,
    /// The process has as many as it may have.
    Process,
    /// The process ends.
    Draining,
}

/// The hub of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Names this process in cursors.
    process: Uuid,
    next_event: AtomicU64,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Notified when the first stream is opened.
    opened: Notify,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    streams: HashMap<UserId, Vec<Stream>>,
    open: usize,
    next_stream: u64,
    draining: bool,
}

/// The sending side of a stream.
#[derive(Debug)]
struct Stream {
    number: u64,
    session: SessionId,
    expires_at: OffsetDateTime,
    items: mpsc::Sender<Item>,
    end: Arc<End>,
}

/// The receiving side of a stream, which is closed when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    user: UserId,
    number: u64,
    /// What was missed before; sent first.
    missed: VecDeque<Item>,
    items: mpsc::Receiver<Item>,
    end: Arc<End>,
}

impl Hub {
    pub fn new(ids: &dyn Ids, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            process: ids.next(),
            next_event: AtomicU64::new(1),
            clock,
            state: Mutex::default(),
            opened: Notify::new(),
        }))
    }

    /// Opens a stream of the user of a token. With the last event that the client has received, it begins with those that
    /// came since, or with [`Item::Reset`] if they are not known any more.
    pub fn subscribe(&self, identity: &Identity, last: Option<&Cursor>) -> Result<Subscription, Refused> {
        let user = identity.user;
        let mut state = self.state();
        if state.draining {
            return Err(Refused::Draining);
        }
        if state.open >= STREAMS_MAX {
            return Err(Refused::Process);
        }
        if state.streams.get(&user).is_some_and(|streams| streams.len() >= STREAMS_OF_USER_MAX) {
            return Err(Refused::User);
        }
        let missed = match last.map(|last| state.history.after(last, user, self.0.process)) {
            None => VecDeque::new(),
            Some(Some(events)) => events.into_iter().map(Item::Event).collect(),
            Some(None) => VecDeque::from([Item::Reset]),
        };
        state.next_stream += 1;
        state.open += 1;
        let (number, end, (sender, items)) = (state.next_stream, Arc::<End>::default(), mpsc::channel(WAITING_MAX));
        state.streams.entry(user).or_default().push(Stream {
            number,
            session: identity.session,
            expires_at: identity.expires_at,
            items: sender,
            end: end.clone(),
        });
        show(state.open);
        self.0.opened.notify_one();
        Ok(Subscription { hub: self.clone(), user, number, missed, items, end })
    }

    /// Sends an event to the streams of its user, and keeps it. `live`: whether it happened while streams may have
    /// been open; an earlier one is only kept.
    pub fn publish(&self, event: PublicEvent, sent_at_ms: i64, live: bool) -> Result<(), serde_json::Error> {
        let number = self.0.next_event.fetch_add(1, Ordering::Relaxed);
        let place = Some(Place { process: self.0.process, number });
        let cursor = Cursor { event: event.id, place }.to_string();
        let message = Arc::new(event.numbered(number, cursor, sent_at_ms)?);
        let mut state = self.state();
        state.history.push(message.clone());
        if live {
            state.send(message.user, &Item::Event(message));
        }
        Ok(())
    }

    /// Ends the streams whose token has expired or whose session has ended.
    pub(super) fn end_invalid(&self, has_ended: impl Fn(SessionId) -> bool) {
        let now = self.0.clock.now();
        self.state().end_if(|stream| {
            if stream.expires_at <= now {
                return Some(EndReason::Expired);
            }
            has_ended(stream.session).then_some(EndReason::Revoked)
        });
    }

    /// Shows every client that its stream is alive, and finds those that do not read.
    pub(super) fn beat(&self) {
        self.state().end_if(|stream| stream.send(Item::Heartbeat));
    }

    /// Ends all streams, and opens no more.
    pub(super) fn drain(&self) {
        let mut state = self.state();
        state.draining = true;
        state.end_if(|_| Some(EndReason::Shutdown));
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.state().open
    }

    /// Waits until a stream is open.
    pub(super) async fn until_open(&self) {
        while self.open() == 0 {
            self.0.opened.notified().await;
        }
    }

    fn remove(&self, user: UserId, number: u64) {
        let mut state = self.state();
        if let Some(streams) = state.streams.get_mut(&user) {
            let before = streams.len();
            streams.retain(|stream| stream.number != number);
            let removed = before - streams.len();
            if streams.is_empty() {
                state.streams.remove(&user);
            }
            state.open -= removed;
            show(state.open);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// What to send next, or why the stream ends. Cancel-safe. After an end no further item is returned, also none that was
    /// waiting: its client comes again and goes on after the last one that it received.
    pub async fn next(&mut self) -> Result<Item, EndReason> {
        let Self { missed, items, end, .. } = self;
        let item = async {
            match missed.pop_front() {
                Some(item) => Some(item),
                None => items.recv().await,
            }
        };
        tokio::select! {
            biased;
            () = end.token().cancelled() => Err(end.reason()),
            item = item => item.ok_or_else(|| end.reason()),
        }
    }

    /// Counts the streams of the process.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Cancelled when the stream ends.
    pub fn end_token(&self) -> CancellationToken {
        self.end.token().clone()
    }

    /// Why the stream has ended.
    pub fn end_reason(&self) -> EndReason {
        self.end.reason()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.remove(self.user, self.number);
    }
}

impl Stream {
    /// Why the stream ends, if it cannot take the item.
    fn send(&self, item: Item) -> Option<EndReason> {
        self.items.try_send(item).err().map(|_| EndReason::Slow)
    }
}

impl State {
    fn send(&mut self, user: UserId, item: &Item) {
        let Some(streams) = self.streams.get(&user) else { return };
        // A stream that ends is removed by its receiving side.
        for stream in streams {
            if let Some(reason) = stream.send(item.clone()) {
                stream.end.end(reason);
            }
        }
    }

    fn end_if(&self, reason: impl Fn(&Stream) -> Option<EndReason>) {
        for stream in self.streams.values().flatten() {
            if let Some(reason) = reason(stream) {
                stream.end.end(reason);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of streams is far below 2^52")]
fn show(open: usize) {
    metrics::gauge!("gateway_stream_open").set(open as f64);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agora_events::{Envelope, topics};
    use agora_testkit::{FixedClock, SequentialIds};
    use agora_vocab::{Clock as _, SessionId, UserId};
    use agora_web::Identity;
    use futures::FutureExt as _;
    use serde_json::json;
    use time::{Duration, macros::datetime};
    use uuid::Uuid;

    use super::{EndReason, Hub, Item, Refused, STREAMS_MAX, STREAMS_OF_USER_MAX, Subscription, WAITING_MAX};
    use crate::push::public_event::{PublicEvent, public};

    fn hub() -> (Hub, FixedClock) {
        let clock = FixedClock::at(datetime!(2026-01-01 00:00 UTC));
        (Hub::new(&SequentialIds::new(), Arc::new(clock.clone())), clock)
    }

    fn identity(user: u128, clock: &FixedClock) -> Identity {
        Identity {
            user: UserId::new(Uuid::from_u128(user)),
            roles: Vec::new(),
            session: SessionId::new(Uuid::from_u128(user + 1_000_000)),
            token: String::new(),
            expires_at: clock.now() + Duration::seconds(900),
        }
    }

    fn event(number: u128, user: u128) -> PublicEvent {
        let text = json!({
            "id": Uuid::from_u128(number), "type": "recommendation.changed", "version": 1, "time": "2026-01-01T00:00:00Z",
            "key": "k", "seq": 1, "epoch": 0,
            "data": { "userId": Uuid::from_u128(user), "version": 1, "recommendations": [] },
        });
        let envelope: Envelope = serde_json::from_str(&text.to_string()).unwrap();
        public(topics::RECOMMENDATION, &envelope).unwrap().unwrap()
    }

    fn next(stream: &mut Subscription) -> Option<Result<Item, EndReason>> {
        stream.next().now_or_never()
    }

    fn numbers(stream: &mut Subscription) -> Vec<u128> {
        let events = std::iter::from_fn(|| match next(stream) {
            Some(Ok(Item::Event(message))) => Some(message.event.as_u128()),
            _ => None,
        });
        events.collect()
    }

    #[tokio::test]
    async fn gw18_an_event_reaches_the_streams_of_its_user_and_no_other() {
        let (hub, clock) = hub();
        let [mut first, mut second, mut other] =
            [1, 1, 2].map(|user| hub.subscribe(&identity(user, &clock), None).unwrap());
        hub.publish(event(1, 1), 0, true).unwrap();
        hub.publish(event(2, 3), 0, true).unwrap();
        hub.publish(event(3, 1), 0, false).unwrap();
        assert_eq!([numbers(&mut first), numbers(&mut second), numbers(&mut other)], [vec![1], vec![1], vec![]]);
        drop((first, second));
        assert_eq!(hub.open(), 1);
    }

    #[tokio::test]
    async fn gw18_a_client_that_comes_again_gets_what_it_missed_or_a_reset() {
        let (hub, clock) = hub();
        for number in 1..=5 {
            hub.publish(event(number, 1), 0, true).unwrap();
        }
        let mut stream = hub.subscribe(&identity(1, &clock), None).unwrap();
        hub.publish(event(6, 1), 0, true).unwrap();
        let Some(Ok(Item::Event(last))) = next(&mut stream) else { panic!("no event") };
        drop(stream);
        hub.publish(event(7, 1), 0, true).unwrap();
        let last = last.cursor.parse().unwrap();
        let mut again = hub.subscribe(&identity(1, &clock), Some(&last)).unwrap();
        hub.publish(event(8, 1), 0, true).unwrap();
        assert_eq!(numbers(&mut again), [7, 8]);
        let mut stranger = hub.subscribe(&identity(2, &clock), Some(&last)).unwrap();
        assert!(matches!(next(&mut stranger), Some(Ok(Item::Reset))));
    }

    #[tokio::test]
    async fn gw18_a_stream_ends_at_the_end_of_its_token_and_with_its_session() {
        let (hub, clock) = hub();
        let [mut first, mut second] = [1, 2].map(|user| hub.subscribe(&identity(user, &clock), None).unwrap());
        hub.end_invalid(|session| session == identity(2, &clock).session);
        assert!(next(&mut first).is_none());
        assert!(matches!(next(&mut second), Some(Err(EndReason::Revoked))));
        clock.advance(Duration::seconds(900));
        hub.end_invalid(|_| false);
        assert!(matches!(next(&mut first), Some(Err(EndReason::Expired))));
    }

    #[tokio::test]
    async fn gw18_a_client_that_does_not_read_holds_bounded_memory_and_ends() {
        let (hub, clock) = hub();
        let mut stream = hub.subscribe(&identity(1, &clock), None).unwrap();
        let count = u128::try_from(WAITING_MAX).unwrap();
        for number in 1..=count {
            hub.publish(event(number, 1), 0, true).unwrap();
        }
        assert!(!stream.end_token().is_cancelled());
        hub.beat();
        assert!(matches!(next(&mut stream), Some(Err(EndReason::Slow))), "also by a heartbeat that it does not read");
    }

    #[tokio::test]
    async fn gw18_streams_are_bounded_by_user_and_by_process_and_none_is_opened_while_the_process_ends() {
        let (hub, clock) = hub();
        let open = |user| hub.subscribe(&identity(user, &clock), None);
        let mut streams: Vec<_> = (0..STREAMS_OF_USER_MAX).map(|_| open(1).unwrap()).collect();
        assert_eq!(open(1).unwrap_err(), Refused::User);
        streams.extend((streams.len()..STREAMS_MAX).zip(10..).map(|(_, user)| open(user).unwrap()));
        assert_eq!(open(2).unwrap_err(), Refused::Process);
        streams.pop();
        let mut last = open(2).unwrap();
        hub.drain();
        assert!(matches!(next(&mut last), Some(Err(EndReason::Shutdown))));
        assert_eq!(open(3).unwrap_err(), Refused::Draining);
        drop((streams, last));
        assert_eq!(hub.open(), 0);
    }
}
