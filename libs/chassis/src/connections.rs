//! The connections of one port: how many there are, whose they are, which of them is idle. Decides who may connect and which
//! connection gives way; knows nothing of HTTP.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a connection must be idle before it gives way to another address: the request of a client that has just connected is on its way.
const IDLE_MIN: Duration = Duration::from_millis(100);

/// How often a newcomer looks for a connection that has been idle for long enough.
const RECHECK: Duration = Duration::from_millis(20);

/// How many connections a port has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// At a time.
    pub total: usize,
    /// At a time from one address: less than `total`, so that one address cannot take all of them. Not much less, because
    /// all clients of a proxy have its address.
    pub per_address: usize,
    /// How long a newcomer waits for a place when none of the others is idle.
    pub wait: Duration,
}

/// The connections of a port. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: ConnectionLimits,
    started: Instant,
    state: Mutex<State>,
    /// Notified when a connection ends or becomes idle.
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    accepted: u64,
    open: usize,
    by_address: HashMap<IpAddr, HashMap<u64, Arc<Connection>>>,
}

/// One connection: whether it is serving a request, and since when it is not.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: AtomicU32,
    begun: AtomicBool,
    http2: AtomicBool,
    aged: AtomicBool,
    idle_since_ms: AtomicU64,
    shed: CancellationToken,
    started: Instant,
    freed: Arc<Notify>,
}

/// A place among the connections, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    connections: Connections,
    address: IpAddr,
    /// Counts the connections of the port.
    pub number: u64,
    pub connection: Arc<Connection>,
}

/// A request under way; its connection is not idle until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

enum Refusal {
    /// The address has as many as it may, none of them idle.
    Address,
    /// The port has as many as it may, none of them idle.
    Port,
}

impl Connections {
    pub fn new(limits: ConnectionLimits) -> Self {
        let shared = Shared { limits, started: Instant::now(), state: Mutex::default(), freed: Arc::default() };
        Self(Arc::new(shared))
    }

    /// A place for a newcomer. Where there is none, the longest idle connection gives way; where none is idle, the newcomer
    /// waits a moment. `None`: it must be closed.
    pub async fn admit(&self, address: IpAddr) -> Option<Slot> {
        let deadline = Instant::now() + self.0.limits.wait;
        loop {
            match self.try_admit(address) {
                Ok(slot) => return Some(slot),
                Err(Refusal::Port) if Instant::now() < deadline => {
                    // Whether notified or not: a connection may have become idle for long enough.
                    drop(tokio::time::timeout(RECHECK, self.0.freed.notified()).await);
                }
                Err(Refusal::Port | Refusal::Address) => {
                    metrics::counter!("http_connection_refused_total").increment(1);
                    return None;
                }
            }
        }
    }

    /// Closes the longest idle connection of the address that has most.
    pub fn shed_one(&self) {
        self.state().shed_of_busiest_address();
    }

    fn try_admit(&self, address: IpAddr) -> Result<Slot, Refusal> {
        let mut state = self.state();
        let limits = self.0.limits;
        if state.of(address) >= limits.per_address && !state.shed_of(address, Duration::ZERO) {
            return Err(Refusal::Address);
        }
        if state.open >= limits.total && !state.shed_of_busiest_address() {
            return Err(Refusal::Port);
        }
        let connection = Arc::new(Connection::new(self.0.started, self.0.freed.clone()));
        state.accepted += 1;
        state.open += 1;
        let number = state.accepted;
        state.by_address.entry(address).or_default().insert(number, connection.clone());
        Ok(Slot { connections: self.clone(), address, number, connection })
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

impl Drop for Slot {
    fn drop(&mut self) {
        // A connection that was shed has been removed before.
        self.connections.state().remove(self.address, self.number);
        self.connections.0.freed.notify_one();
    }
}

impl Connection {
    fn new(started: Instant, freed: Arc<Notify>) -> Self {
        let connection = Self {
            requests: AtomicU32::new(0),
            begun: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            aged: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
            shed: CancellationToken::new(),
            started,
            freed,
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

    /// Waits until the connection has to give way.
    pub async fn shed(&self) {
        self.shed.cancelled().await;
    }

    /// Since when no request is under way, in milliseconds since the port was opened; `None` while one is, or where it is
    /// less than `idle_min` ago.
    fn idle_since(&self, idle_min: Duration) -> Option<u64> {
        let since_ms = self.idle_since_ms.load(Ordering::Relaxed);
        let idle = self.requests.load(Ordering::SeqCst) == 0;
        (idle && u128::from(self.now_ms().saturating_sub(since_ms)) >= idle_min.as_millis()).then_some(since_ms)
    }

    fn mark_idle(&self) {
        self.idle_since_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.mark_idle();
        self.0.requests.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::{ConnectionLimits, Connections};

    const LIMITS: ConnectionLimits = ConnectionLimits { total: 4, per_address: 3, wait: Duration::from_millis(500) };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn the_longest_idle_connection_of_the_address_with_most_gives_way() {
        let connections = Connections::new(LIMITS);
        let mut crowd = Vec::new();
        for _ in 0..3 {
            crowd.push(connections.admit(address(1)).await.unwrap());
        }
        let busy = crowd[0].connection.begin(false);
        let first = connections.admit(address(2)).await.unwrap();
        let newcomer = connections.admit(address(3)).await.unwrap();
        let shed: Vec<_> = crowd.iter().map(|slot| slot.connection.shed.is_cancelled()).collect();
        assert_eq!(shed, [false, true, false], "the first is busy, the third was idle for less time");
        assert!(!first.connection.shed.is_cancelled() && !newcomer.connection.shed.is_cancelled());
        drop(busy);
    }

    #[tokio::test]
    async fn an_address_with_all_its_connections_busy_is_refused_and_others_are_not() {
        let connections = Connections::new(LIMITS);
        let mut crowd = Vec::new();
        for _ in 0..3 {
            let slot = connections.admit(address(1)).await.unwrap();
            crowd.push((slot.connection.begin(false), slot));
        }
        assert!(connections.admit(address(1)).await.is_none());
        let other = connections.admit(address(2)).await.unwrap();
        let busy = other.connection.begin(false);
        assert!(connections.admit(address(3)).await.is_none(), "no place, and nobody idle");
        crowd.pop();
        assert!(connections.admit(address(3)).await.is_some());
        drop((busy, other));
    }

    #[tokio::test]
    async fn a_newcomer_waits_for_the_place_of_a_connection_that_ends_or_becomes_idle() {
        let connections = Connections::new(ConnectionLimits { total: 1, per_address: 1, ..LIMITS });
        let slot = connections.admit(address(1)).await.unwrap();
        let busy = slot.connection.begin(false);
        let (admitted, ()) = tokio::join!(connections.admit(address(2)), async {
            tokio::task::yield_now().await;
            drop((busy, slot));
        });
        let admitted = admitted.unwrap();
        let busy = admitted.connection.begin(false);
        let (next, ()) = tokio::join!(connections.admit(address(3)), async {
            tokio::task::yield_now().await;
            drop(busy);
        });
        assert!(next.is_some() && admitted.connection.shed.is_cancelled(), "the place of one that became idle");
    }
}
