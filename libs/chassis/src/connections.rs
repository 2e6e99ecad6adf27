//! The connections of one port: how many there are, whose they are, which of them is idle. Decides who may connect and which
//! connection gives way; knows nothing of HTTP.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{net::TcpStream, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a connection must be idle before it gives way to another address. The request of a client that has just
/// connected, or that has just read a response, may be on its way.
const IDLE_MIN: Duration = Duration::from_millis(100);

/// Requests of a connection whose client may go before the response begins. Each costs its work, and none of the streams that
/// an HTTP/2 client may have at a time: by resetting each at once it could have any number of them done.
pub(crate) const ABANDONED_MAX: u32 = 256;

/// How many connections a port has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// At a time.
    pub total: usize,
    /// At a time from one address: less than `total`, so that one address cannot take all of them. Not much less, because
    /// all clients of a proxy have its address.
    pub per_address: usize,
}

/// The connections of a port. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: ConnectionLimits,
    started: Instant,
    state: Mutex<State>,
    /// Notified when a connection ends.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    accepted: u64,
    open: usize,
    by_address: HashMap<IpAddr, HashMap<u64, Arc<Connection>>>,
    /// None of the connections has been idle for long enough before this time.
    none_idle_before: Instant,
}

/// One connection: whether it is serving a request, and since when it is not.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: AtomicU32,
    abandoned: AtomicU32,
    begun: AtomicBool,
    http2: AtomicBool,
    aged: AtomicBool,
    long_lived: AtomicBool,
    idle_since_ms: AtomicU64,
    shed: CancellationToken,
    cut: CancellationToken,
    started: Instant,
    /// The socket until its first bytes are read.
    unread: Mutex<Option<Arc<TcpStream>>>,
}

/// A place among the connections, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    place: Place,
    pub connection: Arc<Connection>,
}

/// Which place among the connections a connection has.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    connections: Connections,
    address: IpAddr,
    number: u64,
}

/// A request under way; its connection is not idle until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

/// A request without a response; it counts as abandoned if this is dropped before [`Unanswered::answered`].
#[derive(Debug)]
pub(crate) struct Unanswered(Option<Arc<Connection>>);

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The address has as many as it may, none of them idle.
    Address,
    /// The port has as many as it may, none of them idle for long enough.
    Port,
}

impl Connections {
    pub fn new(limits: ConnectionLimits) -> Self {
        let started = Instant::now();
        let state = State { accepted: 0, open: 0, by_address: HashMap::new(), none_idle_before: started };
        Self(Arc::new(Shared { limits, started, state: Mutex::new(state), ended: Notify::new() }))
    }

    /// A place for a connection of this address. Where there is none, an idle connection gives way: the longest idle one of
    /// the address if that has as many as it may, else one of the address that has most.
    pub fn try_admit(&self, address: IpAddr) -> Result<Slot, Refusal> {
        let mut state = self.state();
        let limits = self.0.limits;
        if state.of(address) >= limits.per_address && !state.shed_of(address, Duration::ZERO) {
            return Err(Refusal::Address);
        }
        if state.open >= limits.total && !state.shed_when_one_is_idle(self.0.started) {
            return Err(Refusal::Port);
        }
        let connection = Arc::new(Connection::new(self.0.started));
        state.accepted += 1;
        state.open += 1;
        let number = state.accepted;
        state.by_address.entry(address).or_default().insert(number, connection.clone());
        Ok(Slot { place: Place { connections: self.clone(), address, number }, connection })
    }

    /// How many more connections an address may have, whatever the port has.
    pub fn left_to(&self, address: IpAddr) -> usize {
        self.0.limits.per_address.saturating_sub(self.state().of(address))
    }

    /// Waits until [`Connections::try_admit`] may succeed on a port that was full: a connection has ended, or has been idle
    /// for long enough. For one caller at a time.
    pub async fn changed(&self) {
        let idle = self.state().none_idle_before;
        // Either of the two is a reason to look.
        drop(tokio::time::timeout_at(idle, self.0.ended.notified()).await);
    }

    /// Closes the longest idle connection of the address that has most.
    pub fn shed_one(&self) {
        self.state().shed_of_busiest_address();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, HashMap::len)
    }

    /// Closes the longest idle connection of an address, if there is one.
    fn shed_of(&mut self, address: IpAddr, idle_min: Duration) -> bool {
        let idle = self.by_address.get(&address).and_then(|connections| {
            let idle =
                connections.iter().filter_map(|(number, connection)| Some((connection.idle_since(idle_min)?, *number)));
            idle.min()
        });
        let Some((_, number)) = idle else { return false };
        if let Some(connection) = self.remove(address, number) {
            connection.shed.cancel();
            metrics::counter!("http_connection_shed_total").increment(1);
        }
        true
    }

    /// Looks for an idle connection at most as often as one may have been idle for long enough: the search costs time in
    /// proportion to the connections.
    fn shed_when_one_is_idle(&mut self, started: Instant) -> bool {
        let now = Instant::now();
        if now < self.none_idle_before {
            return false;
        }
        let shed = self.shed_of_busiest_address();
        if !shed {
            let connections = self.by_address.values().flat_map(HashMap::values);
            let idle_since_ms = connections.filter_map(|connection| connection.idle_since(Duration::ZERO)).min();
            let idle_since = idle_since_ms.map_or(now, |since_ms| started + Duration::from_millis(since_ms));
            // One that is busy now will not have been idle for long enough before then.
            self.none_idle_before = idle_since.min(now) + IDLE_MIN;
        }
        shed
    }

    /// Closes an idle connection of the address that has most connections and one that is idle.
    fn shed_of_busiest_address(&mut self) -> bool {
        let mut addresses: Vec<_> = self.by_address.iter().map(|(address, of)| (of.len(), *address)).collect();
        addresses.sort_unstable_by(|a, b| b.cmp(a));
        addresses.into_iter().any(|(_, address)| self.shed_of(address, IDLE_MIN))
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Arc<Connection>> {
        let of_address = self.by_address.get_mut(&address)?;
        let connection = of_address.remove(&number)?;
        if of_address.is_empty() {
            self.by_address.remove(&address);
        }
        self.open -= 1;
        Some(connection)
    }
}

impl Place {
    /// Gives the place back, of which the connection has no need any more. It may have been given back before.
    pub fn give_back(&self) {
        self.connections.state().remove(self.address, self.number);
        self.connections.0.ended.notify_one();
    }
}

impl Slot {
    /// Counts the connections of the port.
    pub fn number(&self) -> u64 {
        self.place.number
    }

    pub fn place(&self) -> Place {
        self.place.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.place.give_back();
    }
}

impl Connection {
    fn new(started: Instant) -> Self {
        let connection = Self {
            requests: AtomicU32::new(0),
            abandoned: AtomicU32::new(0),
            begun: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            aged: AtomicBool::new(false),
            long_lived: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
            shed: CancellationToken::new(),
            cut: CancellationToken::new(),
            started,
            unread: Mutex::default(),
        };
        connection.mark_idle();
        connection
    }

    /// Marks a request as under way.
    pub fn begin(self: &Arc<Self>, http2: bool) -> Busy {
        self.begun.store(true, Ordering::Relaxed);
        self.http2.store(http2, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::SeqCst);
        Busy(self.clone())
    }

    /// Notes that a request waits for its response.
    pub fn unanswered(self: &Arc<Self>) -> Unanswered {
        Unanswered(Some(self.clone()))
    }

    /// Closes the connection when its client has abandoned too many requests.
    fn abandon(&self) {
        if self.abandoned.fetch_add(1, Ordering::Relaxed) == ABANDONED_MAX {
            metrics::counter!("http_connection_cut_total", "reason" => "abandoned").increment(1);
            self.cut();
        }
    }

    /// Whether a request has come.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    pub fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Marks the connection as old enough to be replaced by another.
    pub fn age(&self) {
        self.aged.store(true, Ordering::Relaxed);
    }

    pub fn is_aged(&self) -> bool {
        self.aged.load(Ordering::Relaxed)
    }

    /// Marks the connection as one whose response has no end.
    pub fn mark_long_lived(&self) {
        self.long_lived.store(true, Ordering::Relaxed);
    }

    /// Whether a response without an end is under way.
    pub fn is_long_lived(&self) -> bool {
        self.long_lived.load(Ordering::Relaxed) && self.is_busy()
    }

    /// Closes the connection, whatever is under way.
    pub fn cut(&self) {
        self.cut.cancel();
    }

    /// Waits until the connection is to be closed, whatever is under way.
    pub async fn until_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Waits until the connection has to give way.
    pub async fn shed(&self) {
        self.shed.cancelled().await;
    }

    pub fn is_shed(&self) -> bool {
        self.shed.is_cancelled()
    }

    /// Whether a request is under way that has been read.
    pub fn is_busy(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }

    /// Keeps the socket of a new connection in view. Until [`Connection::read`], bytes in it are a request under way: the
    /// task of the connection may not have run since they came.
    pub fn watch(&self, tcp: TcpStream) -> Arc<TcpStream> {
        let tcp = Arc::new(tcp);
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(tcp.clone());
        tcp
    }

    /// Gives the socket back to the one that reads from it; `None` if `tcp` has another owner.
    pub fn read(&self, tcp: Arc<TcpStream>) -> Option<TcpStream> {
        drop(self.unread.lock().unwrap_or_else(PoisonError::into_inner).take());
        Arc::into_inner(tcp)
    }

    /// Since when no request is under way, in milliseconds since the port was opened; `None` while one is, or where it is
    /// less than `idle_min` ago.
    fn idle_since(&self, idle_min: Duration) -> Option<u64> {
        let since_ms = self.idle_since_ms.load(Ordering::Relaxed);
        let idle = !self.is_busy() && u128::from(self.now_ms().saturating_sub(since_ms)) >= idle_min.as_millis();
        (idle && !self.has_unread_bytes()).then_some(since_ms)
    }

    /// Asks the system: the runtime learns of bytes only when it looks for events, which a busy one does late.
    fn has_unread_bytes(&self) -> bool {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = [MaybeUninit::uninit()];
        unread.as_ref().is_some_and(|tcp| matches!(SockRef::from(tcp.as_ref()).peek(&mut first), Ok(1..)))
    }

    fn mark_idle(&self) {
        self.idle_since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Unanswered {
    pub fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.abandon();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.mark_idle();
        self.0.requests.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::IpAddr, time::Duration};

    use tokio::time::Instant;

    use super::{ConnectionLimits, Connections, IDLE_MIN, Refusal, Slot};

    const LIMITS: ConnectionLimits = ConnectionLimits { total: 4, per_address: 3 };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Waits for a place.
    async fn admitted(connections: &Connections, address: IpAddr) -> Slot {
        let waiting = async {
            loop {
                match connections.try_admit(address) {
                    Ok(slot) => return slot,
                    Err(Refusal::Port) => connections.changed().await,
                    Err(Refusal::Address) => panic!("the address has too many"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("a place")
    }

    #[tokio::test]
    async fn the_longest_idle_connection_of_the_address_with_most_gives_way() {
        let connections = Connections::new(LIMITS);
        let crowd: Vec<_> = (0..3).map(|_| connections.try_admit(address(1)).unwrap()).collect();
        let busy = crowd[0].connection.begin(false);
        let first = connections.try_admit(address(2)).unwrap();
        let newcomer = admitted(&connections, address(3)).await;
        let shed: Vec<_> = crowd.iter().map(|slot| slot.connection.shed.is_cancelled()).collect();
        assert_eq!(shed, [false, true, false], "the first is busy, the third was idle for less time");
        assert!(!first.connection.shed.is_cancelled() && !newcomer.connection.shed.is_cancelled());
        drop(busy);
    }

    #[tokio::test]
    async fn a_new_connection_whose_request_was_not_read_yet_does_not_give_way_and_a_silent_one_does() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connections = Connections::new(ConnectionLimits { total: 1, per_address: 1 });
        let slot = connections.try_admit(address(1)).unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let tcp = slot.connection.watch(listener.accept().await.unwrap().0);
        client.write_all(b"GET /").unwrap();
        // Nothing of the runtime runs, as in a process that is busy with other requests.
        std::thread::sleep(IDLE_MIN * 2);
        assert_eq!(connections.try_admit(address(2)).unwrap_err(), Refusal::Port);
        let tcp = slot.connection.read(tcp).unwrap();
        let busy = slot.connection.begin(false);
        drop((busy, tcp));
        drop(admitted(&connections, address(2)).await);
        assert!(slot.connection.is_shed(), "it has been idle since its request");
    }

    #[tokio::test]
    async fn an_address_with_all_its_connections_busy_is_refused_and_others_are_not() {
        let connections = Connections::new(LIMITS);
        let mut crowd = Vec::new();
        for _ in 0..3 {
            let slot = connections.try_admit(address(1)).unwrap();
            crowd.push((slot.connection.begin(false), slot));
        }
        assert_eq!(connections.try_admit(address(1)).unwrap_err(), Refusal::Address);
        let other = connections.try_admit(address(2)).unwrap();
        let busy = other.connection.begin(false);
        assert_eq!(connections.try_admit(address(3)).unwrap_err(), Refusal::Port, "no place, and nobody idle");
        crowd.pop();
        assert!(connections.try_admit(address(3)).is_ok());
        drop((busy, other));
    }

    #[tokio::test]
    async fn a_full_port_has_a_place_when_a_connection_ends_or_has_been_idle_for_long_enough() {
        let connections = Connections::new(ConnectionLimits { total: 1, per_address: 1 });
        let slot = connections.try_admit(address(1)).unwrap();
        let busy = slot.connection.begin(false);
        let (admitted_second, ()) = tokio::join!(admitted(&connections, address(2)), async {
            tokio::task::yield_now().await;
            drop((busy, slot));
        });
        let busy = admitted_second.connection.begin(false);
        let (admitted_third, idle_since) = tokio::join!(admitted(&connections, address(3)), async {
            tokio::task::yield_now().await;
            let now = Instant::now();
            drop(busy);
            now
        });
        assert!(admitted_second.connection.shed.is_cancelled() && !admitted_third.connection.shed.is_cancelled());
        // The connection counts whole milliseconds.
        assert!(idle_since.elapsed() + Duration::from_millis(1) >= IDLE_MIN, "{:?}", idle_since.elapsed());
    }
}
