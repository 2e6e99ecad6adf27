//! Addresses of host names, looked up by the system and kept for a short time. Holds one answer per name; names come
//! from settings only. A look-up takes a thread, so that there is one at a time for each name, however many wait for it.

use std::{
    collections::HashMap,
    future::ready,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
    vec,
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

/// How long an answer is used. A failed connection removes it at once, so this bounds only how long connections go to
/// an address that works but is no longer listed.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Resolves names; clones share the answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct DnsCache(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    answer: Option<Answer>,
    /// When the last look-up failed.
    failed_at: Option<Instant>,
    /// Locked by the one that looks the name up.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Answer {
    addresses: Vec<std::net::SocketAddr>,
    at: Instant,
}

type Addresses = vec::IntoIter<std::net::SocketAddr>;

impl DnsCache {
    /// Removes the answer for a name, so that the next connection looks it up again.
    pub(crate) fn remove(&self, host: &str) {
        if let Some(entry) = self.entries().get_mut(host) {
            entry.answer = None;
        }
    }

    /// The kept addresses, each time beginning with the next one: connections spread over replicas as they do when the
    /// name server rotates its answers.
    fn find(&self, host: &str, now: Instant) -> Option<Addresses> {
        let mut entries = self.entries();
        let answer = entries.get_mut(host)?.answer.as_mut()?;
        if now.saturating_duration_since(answer.at) >= ANSWER_MAX {
            return None;
        }
        let first = usize::from(answer.addresses.len() > 1);
        answer.addresses.rotate_left(first);
        Some(answer.addresses.clone().into_iter())
    }

    fn store(&self, host: &str, addresses: Vec<std::net::SocketAddr>, at: Instant) {
        let mut entries = self.entries();
        let entry = entries.entry(host.to_owned()).or_default();
        entry.answer = Some(Answer { addresses, at });
        entry.failed_at = None;
    }

    fn store_failure(&self, host: &str, at: Instant) {
        self.entries().entry(host.to_owned()).or_default().failed_at = Some(at);
    }

    fn failed_since(&self, host: &str, since: Instant) -> bool {
        self.entries().get(host).and_then(|entry| entry.failed_at).is_some_and(|at| at >= since)
    }

    fn turn(&self, host: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.entries().entry(host.to_owned()).or_default().turn.clone()
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a name up with `resolve`, or takes the result of the look-up that is under way.
    async fn look_up<A>(&self, host: &str, resolve: impl Future<Output = io::Result<A>>) -> io::Result<Addresses>
    where
        A: Iterator<Item = std::net::SocketAddr>,
    {
        let asked = Instant::now();
        let turn = self.turn(host);
        let _turn = turn.lock().await;
        if let Some(addresses) = self.find(host, Instant::now()) {
            return Ok(addresses);
        }
        if self.failed_since(host, asked) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name could not be looked up"));
        }
        match resolve.await.map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) => {
                if !addresses.is_empty() {
                    self.store(host, addresses.clone(), Instant::now());
                }
                Ok(addresses.into_iter())
            }
            Err(error) => {
                self.store_failure(host, Instant::now());
                Err(error)
            }
        }
    }
}

impl Service<Name> for DnsCache {
    type Response = Addresses;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Addresses>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if let Some(addresses) = self.find(name.as_str(), Instant::now()) {
            return Box::pin(ready(Ok(addresses)));
        }
        let cache = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            cache.look_up(&host, async { GaiResolver::new().call(name).await }).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        time::{Duration, Instant},
    };

    use tower::Service as _;

    use super::{ANSWER_MAX, DnsCache};

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn rs10_an_answer_is_used_until_its_time_ends_or_it_is_removed() {
        let (cache, now) = (DnsCache::default(), Instant::now());
        cache.store("cart", vec![address(1)], now);
        let found = |after: Duration| cache.find("cart", now + after).map(Iterator::collect::<Vec<_>>);
        assert_eq!(found(Duration::ZERO), Some(vec![address(1)]));
        assert_eq!(found(ANSWER_MAX.saturating_sub(Duration::from_millis(1))), Some(vec![address(1)]));
        assert_eq!(found(ANSWER_MAX), None);
        cache.remove("cart");
        assert_eq!(found(Duration::ZERO), None);
    }

    #[test]
    fn rs11_connections_begin_with_each_address_in_turn() {
        let (cache, now) = (DnsCache::default(), Instant::now());
        cache.store("cart", [1, 2, 3].map(address).to_vec(), now);
        let firsts: Vec<_> = (0..4).map(|_| cache.find("cart", now).unwrap().next().unwrap().port()).collect();
        assert_eq!(firsts, [2, 3, 1, 2]);
    }

    #[tokio::test]
    async fn rs10_the_system_is_asked_for_an_unknown_name_and_its_answer_is_stored() {
        let mut cache = DnsCache::default();
        let addresses: Vec<_> = cache.call("localhost".parse().unwrap()).await.unwrap().collect();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()));
        let mut kept: Vec<_> = cache.find("localhost", Instant::now()).unwrap().collect();
        kept.sort();
        assert!(addresses.iter().all(|address| kept.contains(address)));
    }

    #[tokio::test]
    async fn those_that_wait_for_a_name_share_one_look_up() {
        use std::{
            io,
            sync::atomic::{AtomicU32, Ordering},
        };
        let (cache, lookups) = (DnsCache::default(), AtomicU32::new(0));
        let waiting = (0..100).map(|_| {
            cache.look_up("cart", async {
                lookups.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok(std::iter::once(address(1)))
            })
        });
        let found = futures::future::join_all(waiting).await;
        assert!(found.into_iter().all(|found| found.unwrap().eq([address(1)])));
        assert_eq!(lookups.load(Ordering::SeqCst), 1);

        let waiting = (0..100).map(|_| {
            cache.look_up("gone", async {
                lookups.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("no such name"))
            })
        });
        assert!(futures::future::join_all(waiting).await.iter().all(Result::is_err));
        assert_eq!(lookups.load(Ordering::SeqCst), 2, "a failure is shared too");
    }
}
