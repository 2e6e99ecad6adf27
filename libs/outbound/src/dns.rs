//! Addresses of host names, looked up by the system and kept for a short time. Holds one answer per name; names come
//! from settings only.

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
pub(crate) struct DnsCache(Arc<Mutex<HashMap<String, Answer>>>);

#[derive(Debug)]
struct Answer {
    addresses: Vec<std::net::SocketAddr>,
    at: Instant,
}

type Addresses = vec::IntoIter<std::net::SocketAddr>;

impl DnsCache {
    /// Removes the answer for a name, so that the next connection looks it up again.
    pub(crate) fn remove(&self, host: &str) {
        self.answers().remove(host);
    }

    /// The kept addresses, each time beginning with the next one: connections spread over replicas as they do when the
    /// name server rotates its answers.
    fn find(&self, host: &str, now: Instant) -> Option<Addresses> {
        let mut answers = self.answers();
        let answer = answers.get_mut(host)?;
        if now.saturating_duration_since(answer.at) >= ANSWER_MAX {
            return None;
        }
        let first = usize::from(answer.addresses.len() > 1);
        answer.addresses.rotate_left(first);
        Some(answer.addresses.clone().into_iter())
    }

    fn store(&self, host: String, addresses: Vec<std::net::SocketAddr>, at: Instant) {
        self.answers().insert(host, Answer { addresses, at });
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            let addresses: Vec<_> = GaiResolver::new().call(name).await?.collect();
            if !addresses.is_empty() {
                cache.store(host, addresses.clone(), Instant::now());
            }
            Ok(addresses.into_iter())
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
    fn an_answer_is_used_until_its_time_ends_or_it_is_removed() {
        let (cache, now) = (DnsCache::default(), Instant::now());
        cache.store("cart".to_owned(), vec![address(1)], now);
        let found = |after: Duration| cache.find("cart", now + after).map(Iterator::collect::<Vec<_>>);
        assert_eq!(found(Duration::ZERO), Some(vec![address(1)]));
        assert_eq!(found(ANSWER_MAX.saturating_sub(Duration::from_millis(1))), Some(vec![address(1)]));
        assert_eq!(found(ANSWER_MAX), None);
        cache.remove("cart");
        assert_eq!(found(Duration::ZERO), None);
    }

    #[test]
    fn connections_begin_with_each_address_in_turn() {
        let (cache, now) = (DnsCache::default(), Instant::now());
        cache.store("cart".to_owned(), [1, 2, 3].map(address).to_vec(), now);
        let firsts: Vec<_> = (0..4).map(|_| cache.find("cart", now).unwrap().next().unwrap().port()).collect();
        assert_eq!(firsts, [2, 3, 1, 2]);
    }

    #[tokio::test]
    async fn the_system_is_asked_for_an_unknown_name_and_its_answer_is_stored() {
        let mut cache = DnsCache::default();
        let addresses: Vec<_> = cache.call("localhost".parse().unwrap()).await.unwrap().collect();
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()));
        let mut kept: Vec<_> = cache.find("localhost", Instant::now()).unwrap().collect();
        kept.sort();
        assert!(addresses.iter().all(|address| kept.contains(address)));
    }
}
