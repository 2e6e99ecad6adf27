//! Counts requests: in Redis, so that all replicas share the counts, and in this process while Redis is away.

use std::{
    net::IpAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use agora_api::RouteClass;
use agora_chassis::{Process, WatchedFile};
use agora_redis::{Bucket, BucketLevel, Redis};
use agora_vocab::UserId;
use tokio::time::{Instant, timeout};

use super::{
    local::LocalLimit,
    settings::{Limit, LimitKey, parse},
};

/// Time for Redis to count a request.
const COUNT_MAX: Duration = Duration::from_millis(100);
/// How long requests are counted in this process after Redis did not answer: each that asked it would wait.
const LOCAL_FOR: Duration = Duration::from_secs(1);

/// The limits, which follow their file. Clones share them.
#[derive(Clone, Debug)]
pub struct RateLimits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: RwLock<Arc<Vec<Rule>>>,
    redis: Option<Redis>,
    started: Instant,
    /// Until when requests are counted in this process, in milliseconds after the start.
    local_until_ms: AtomicU64,
}

#[derive(Clone, Debug)]
struct Rule {
    limit: Limit,
    local: Arc<LocalLimit>,
}

/// Who sent a request, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub address: Option<IpAddr>,
    pub user: Option<UserId>,
}

/// Where a client stands with the limit that is closest to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub limit: Limit,
    /// Whether the request is allowed.
    pub allowed: bool,
    /// Requests that are left.
    pub left: u32,
    /// When there will be one more; zero if there is.
    pub next_in: Duration,
}

impl RateLimits {
    /// No limits.
    pub fn none() -> Self {
        Self::new(None)
    }

    /// The limits of a file, which are taken over when it changes. While it cannot be used, the last usable limits hold and
    /// `rate-limits` is listed as degraded. Must be called within the runtime.
    pub fn follow(redis: Redis, file: WatchedFile, process: &Process) -> Self {
        let limits = Self::new(Some(redis));
        let (dependency, shutdown) = (process.dependency("rate-limits"), process.shutdown());
        let followed = limits.clone();
        let take = move |text: &str| match parse(text) {
            Ok(parsed) => {
                tracing::info!(limits = parsed.len(), "limits of requests read");
                followed.replace(parsed);
                dependency.up();
            }
            Err(error) => dependency.down(format!("RATE_LIMITS_FILE: {error}")),
        };
        take(&file.current());
        process.supervise("rate-limits", move || {
            let (take, mut file, shutdown) = (take.clone(), file.clone(), shutdown.clone());
            async move {
                while let Some(text) = shutdown.run_until_cancelled(file.changed()).await {
                    take(&text);
                }
                Ok(())
            }
        });
        limits
    }

    fn new(redis: Option<Redis>) -> Self {
        let started = Instant::now();
        Self(Arc::new(Inner { rules: RwLock::default(), redis, started, local_until_ms: AtomicU64::new(0) }))
    }

    /// A limit that did not change keeps its counts.
    fn replace(&self, limits: Vec<Limit>) {
        let known = self.rules();
        let rule = |limit: Limit| {
            let same = known.iter().find(|rule| rule.limit == limit);
            same.cloned().unwrap_or_else(|| Rule { limit, local: Arc::new(LocalLimit::new(&limit)) })
        };
        let rules = limits.into_iter().map(rule).collect();
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    fn rules(&self) -> Arc<Vec<Rule>> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a request of a class against the limits of its address and of its account. `None`: there is no limit. A
    /// request that one limit does not allow is not counted by the other, except while Redis is away.
    pub(super) async fn take(&self, class: RouteClass, client: Client) -> Option<Standing> {
        let rules = self.rules();
        let counted: Vec<(&Rule, String)> = rules
            .iter()
            .filter(|rule| rule.limit.class == class)
            .filter_map(|rule| Some((rule, key(&rule.limit, client)?)))
            .collect();
        if counted.is_empty() {
            return None;
        }
        let standings = match self.take_shared(&counted).await {
            Some(standings) => standings,
            None => {
                metrics::counter!("gateway_rate_limit_unshared_total").increment(1);
                counted.iter().map(|(rule, key)| taken_here(rule, key)).collect()
            }
        };
        let closest = standings.into_iter().min_by_key(|standing| (standing.allowed, standing.left));
        if let Some(Standing { limit, allowed: false, .. }) = &closest {
            let key = match limit.key {
                LimitKey::Address => "address",
                LimitKey::User => "user",
            };
            metrics::counter!("gateway_rate_limited_total", "class" => limit.class.name(), "key" => key).increment(1);
        }
        closest
    }

    /// `None`: Redis does not count.
    async fn take_shared(&self, counted: &[(&Rule, String)]) -> Option<Vec<Standing>> {
        let redis = self.0.redis.as_ref()?;
        if self.now_ms() < self.0.local_until_ms.load(Ordering::Relaxed) {
            return None;
        }
        let buckets: Vec<_> = counted.iter().map(|(rule, key)| (key.as_str(), bucket(&rule.limit))).collect();
        let Ok(Ok(taken)) = timeout(COUNT_MAX, redis.take_of_each(&buckets)).await else {
            let pause_ms = u64::try_from(LOCAL_FOR.as_millis()).unwrap_or(u64::MAX);
            self.0.local_until_ms.store(self.now_ms().saturating_add(pause_ms), Ordering::Relaxed);
            return None;
        };
        let standing = |((rule, _), level): (&(&Rule, String), &BucketLevel)| {
            // A limit that has a token did not refuse the request.
            let allowed = taken.taken || level.next_in.is_zero();
            Standing { limit: rule.limit, allowed, left: level.left, next_in: level.next_in }
        };
        Some(counted.iter().zip(&taken.levels).map(standing).collect())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The name of the count; `None` if the limit counts by what is not known of the client.
fn key(limit: &Limit, client: Client) -> Option<String> {
    let class = limit.class.name();
    match limit.key {
        LimitKey::Address => client.address.map(|address| format!("{class}:address:{address}")),
        LimitKey::User => client.user.map(|user| format!("{class}:user:{user}")),
    }
}

fn bucket(limit: &Limit) -> Bucket {
    Bucket { burst: limit.burst.get(), per_second: f64::from(limit.per_minute.get()) / 60.0 }
}

fn taken_here(rule: &Rule, key: &str) -> Standing {
    let level = rule.local.take(key);
    Standing { limit: rule.limit, allowed: level.taken, left: level.left, next_in: level.next_in }
}

impl Standing {
    /// When all requests of the burst are allowed again.
    pub fn full_in(&self) -> Duration {
        let missing = self.limit.burst.get().saturating_sub(self.left);
        Duration::from_secs_f64(f64::from(missing) * 60.0 / f64::from(self.limit.per_minute.get()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agora_api::RouteClass;
    use agora_chassis::{Process, WatchedFile};
    use agora_vocab::UserId;
    use uuid::Uuid;

    use super::{Client, RateLimits, parse};

    const CLIENT: Client = Client { address: None, user: Some(UserId::new(Uuid::nil())) };

    fn limits(text: &str) -> RateLimits {
        let limits = RateLimits::none();
        limits.replace(parse(text).unwrap());
        limits
    }

    #[tokio::test]
    async fn gw6_a_request_counts_for_the_limits_of_its_class_alone() {
        let limits = limits(r#"[{"name": "cart", "key": "User", "requestsPerMinute": 60, "burst": 2}]"#);
        for left in [1, 0] {
            let standing = limits.take(RouteClass::Cart, CLIENT).await.unwrap();
            assert_eq!((standing.allowed, standing.left), (true, left));
        }
        let refused = limits.take(RouteClass::Cart, CLIENT).await.unwrap();
        assert!(!refused.allowed && refused.next_in <= Duration::from_secs(1), "{refused:?}");
        assert_eq!(refused.full_in(), Duration::from_secs(2));
        assert_eq!(limits.take(RouteClass::Checkout, CLIENT).await, None);
        assert_eq!(limits.take(RouteClass::Cart, Client { address: None, user: None }).await, None);
    }

    #[tokio::test]
    async fn gw6_a_limit_that_stays_keeps_its_counts_when_others_change() {
        const CART: &str = r#"{"name": "cart", "key": "User", "requestsPerMinute": 1, "burst": 1}"#;
        let limits = limits(&format!("[{CART}]"));
        assert!(limits.take(RouteClass::Cart, CLIENT).await.unwrap().allowed);
        let checkout = r#"{"name": "checkout", "key": "User", "requestsPerMinute": 1, "burst": 1}"#;
        limits.replace(parse(&format!("[{checkout}, {CART}]")).unwrap());
        assert!(!limits.take(RouteClass::Cart, CLIENT).await.unwrap().allowed);
        assert!(limits.take(RouteClass::Checkout, CLIENT).await.unwrap().allowed);
    }

    #[tokio::test]
    async fn gw6_a_file_that_cannot_be_used_is_named_and_leaves_the_limits_as_they_are() {
        let process = Process::for_test("gateway");
        let redis = agora_redis::Redis::connect(&agora_redis::Config::fixed("redis://127.0.0.1:1", "none"), &process);
        let limits = RateLimits::follow(redis, WatchedFile::fixed(r#"[{"name": "cash"}]"#), &process);
        let degraded = process.readiness().degraded;
        let said = &degraded.iter().find(|one| one.name == "rate-limits").unwrap().reason;
        assert!(said.starts_with("RATE_LIMITS_FILE: "), "{said}");
        assert_eq!(limits.take(RouteClass::Cart, CLIENT).await, None);
    }
}
