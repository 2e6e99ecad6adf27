//! The clients that have connected to a port and wait for a place: bounded in number and time. Knows nothing of HTTP.
//!
//! The last one to come gets the next place. In the order of their arrival, all clients of a burst that takes longer than
//! the wait would be served when most of their time is over, and a client that comes after them would wait for all. This way
//! a newcomer waits for the next place, and the first of the burst, which would wait for longest, are refused: none waits
//! for longer than the limit, and one that tries again is a newcomer.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpStream, time::Instant};

use crate::connections::{Connections, Refusal, Slot};

/// Bounds of the clients that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitLimits {
    /// Clients at a time. One costs a socket and no buffer.
    pub waiting: usize,
    /// How long one waits for a place.
    pub wait: Duration,
}

/// A client that has connected.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub tcp: TcpStream,
    pub peer: SocketAddr,
}

/// A client and its place; `None`: it is refused.
pub(crate) type Decided = (Newcomer, Option<Slot>);

/// The queue of a port.
#[derive(Debug)]
pub(crate) struct Newcomers {
    connections: Connections,
    limits: WaitLimits,
    /// With the ends of their waits, which are in order of arrival.
    waiting: VecDeque<(Newcomer, Instant)>,
}

impl Newcomers {
    pub fn new(connections: Connections, limits: WaitLimits) -> Self {
        Self { connections, limits, waiting: VecDeque::new() }
    }

    /// Gives a newcomer its place or refuses it; `None`: it waits for [`Newcomers::decided`].
    pub fn arrive(&mut self, newcomer: Newcomer) -> Option<Decided> {
        let address = newcomer.peer.ip();
        match self.connections.try_admit(address) {
            Ok(slot) => return Some((newcomer, Some(slot))),
            Err(Refusal::Address) => return Some((newcomer, None)),
            Err(Refusal::Port) => {}
        }
        let left = self.connections.left_to(address);
        if self.waiting.len() >= self.limits.waiting || self.waiting_of(address) >= left {
            return Some((newcomer, None));
        }
        self.waiting.push_back((newcomer, Instant::now() + self.limits.wait));
        None
    }

    /// Waits until the last of those that wait gets a place or the first has waited for too long; without end while none
    /// waits. Dropping the future loses no client.
    pub async fn decided(&mut self) -> Decided {
        loop {
            if let Some(decided) = self.decide() {
                return decided;
            }
            match self.waiting.front() {
                // Either of the two is a reason to look again.
                Some((_, end)) => drop(tokio::time::timeout_at(*end, self.connections.changed()).await),
                None => std::future::pending().await,
            }
        }
    }

    /// Those that wait, when there will be no place.
    pub fn into_waiting(self) -> impl Iterator<Item = Newcomer> {
        self.waiting.into_iter().map(|(newcomer, _)| newcomer)
    }

    fn decide(&mut self) -> Option<Decided> {
        if self.waiting.front().is_some_and(|(_, end)| *end <= Instant::now()) {
            let (newcomer, _) = self.waiting.pop_front()?;
            return Some((newcomer, None));
        }
        let (newcomer, _) = self.waiting.back()?;
        let slot = match self.connections.try_admit(newcomer.peer.ip()) {
            Ok(slot) => Some(slot),
            Err(Refusal::Port) => return None,
            Err(Refusal::Address) => None,
        };
        let (newcomer, _) = self.waiting.pop_back()?;
        Some((newcomer, slot))
    }

    fn waiting_of(&self, address: IpAddr) -> usize {
        self.waiting.iter().filter(|(newcomer, _)| newcomer.peer.ip() == address).count()
    }
}
