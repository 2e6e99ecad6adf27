//! Sessions that ended before their access tokens expire: the list that the user service publishes, and the copy of it that
//! every service checks tokens against.
//!
//! Redis may lose the list at any time. Its publisher then writes it again from its database, and a copy keeps what it has.
//! Must not decide what a token of a revoked session, or a copy that is out of date, is answered with.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use agora_chassis::{Dependency, Process};
use agora_vocab::{Clock, SessionId};
use fred::interfaces::LuaInterface;
use time::OffsetDateTime;

use crate::{Error, Redis};

/// The key of the list, the same for all services of an isolation key: a sorted set of `<session>:<end>`, scored 1, 2, … in the
/// order of publication. `last` has the highest score that was given, and `generation:<id>`, scored 0, says that the list is whole.
/// All in one key, so that Redis evicts or loses all of it or nothing.
const LIST: &str = "revoked-sessions";

/// Time between two reads of what was published since the one before.
const READ_EVERY: Duration = Duration::from_secs(1);

/// Every so many reads the whole list is read: a replica of Redis that takes over may have lost its latest entries, whose
/// scores are then given again.
const READS_PER_WHOLE: u32 = 60;

/// Entries that one read returns at most.
const PAGE: usize = 1_000;

/// Sessions that a copy holds at most; with about 50 bytes each, 5 MB. A copy that is full counts as out of date.
pub const REVOKED_SESSIONS_MAX: usize = 100_000;

/// Arguments: the generation that a whole list is given, or nothing, and the entries to add. Returns whether the list is whole.
/// Entries that are listed keep their scores; the oldest ones that have ended are removed.
const PUBLISH: &str = r"
local now = tonumber(redis.call('TIME')[1])
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(0', '+inf', 'LIMIT', 0, 500)) do
  local ends = tonumber(string.match(entry, ':(%d+)$'))
  if ends and ends < now then redis.call('ZREM', KEYS[1], entry) end
end
for i = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], redis.call('ZINCRBY', KEYS[1], 1, 'last'), ARGV[i])
  end
end
local whole = #redis.call('ZRANGEBYSCORE', KEYS[1], 0, 0)
if whole == 0 and ARGV[1] ~= '' then whole = redis.call('ZADD', KEYS[1], 0, ARGV[1]) end
return whole";

/// Arguments: the generation and the score that were read last, and how many entries to return. Returns nothing if the list is
/// not whole, else its generation and entries, each with its score.
const READ: &str = r"
local generation = redis.call('ZRANGEBYSCORE', KEYS[1], 0, 0)[1]
if not generation then return {} end
local last = redis.call('ZSCORE', KEYS[1], 'last') or '0'
local after = ARGV[2]
if generation ~= ARGV[1] or tonumber(last) < tonumber(after) then after = '0' end
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
table.insert(found, 1, generation)
return found";

/// A session that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedSession {
    pub session: SessionId,
    /// When its last access token has expired, as Unix time in seconds.
    pub ends: i64,
}

impl RevokedSession {
    fn entry(self) -> String {
        format!("{}:{}", self.session, self.ends)
    }

    fn parse(entry: &str) -> Option<Self> {
        let (session, ends) = entry.split_once(':')?;
        Some(Self { session: session.parse().ok()?, ends: ends.parse().ok()? })
    }
}

impl Redis {
    /// Adds sessions to the list; those that it has stay as they are. With `all`, they and those that were added before are
    /// all that there are: the list is whole. Returns whether it is: `false` if it was lost, or was never whole.
    pub async fn publish_revoked(&self, sessions: &[RevokedSession], all: bool) -> Result<bool, Error> {
        let generation = if all { format!("generation:{}", self.0.ids.next()) } else { String::new() };
        let entries = sessions.iter().map(|session| session.entry());
        let arguments: Vec<String> = std::iter::once(generation).chain(entries).collect();
        let client = self.client()?;
        let whole: i64 =
            Box::pin(client.eval(PUBLISH, vec![self.shared_key(LIST)], arguments)).await.map_err(Error::Unavailable)?;
        Ok(whole > 0)
    }

    async fn read_revoked(&self, cursor: &Cursor) -> Result<Vec<String>, Error> {
        let arguments = vec![cursor.generation.clone(), cursor.score.clone(), PAGE.to_string()];
        let client = self.client()?;
        Box::pin(client.eval(READ, vec![self.shared_key(LIST)], arguments)).await.map_err(Error::Unavailable)
    }
}

/// What was read last.
struct Cursor {
    generation: String,
    score: String,
}

impl Cursor {
    fn start() -> Self {
        Self { generation: String::new(), score: "0".to_owned() }
    }
}

/// A copy of the list, which is at most a second behind it while Redis answers. Clones share it.
#[derive(Clone, Debug)]
pub struct RevokedSessions {
    copied: Arc<RwLock<Copied>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Copied {
    /// When the last access token of each session has expired, as Unix time in seconds.
    ends: HashMap<SessionId, i64>,
    /// When it was last equal to the list.
    equal_at: OffsetDateTime,
}

impl RevokedSessions {
    /// A copy that follows no list.
    pub fn empty(clock: Arc<dyn Clock>) -> Self {
        let copied = Copied { ends: HashMap::new(), equal_at: clock.now() };
        Self { copied: Arc::new(RwLock::new(copied)), clock }
    }

    /// A copy that follows the list until the process shuts down. While it cannot, `revoked-sessions` is listed as degraded.
    pub fn follow(redis: Redis, process: &Process) -> Self {
        let copy = Self::empty(process.clock());
        let (followed, dependency, shutdown) =
            (copy.clone(), process.dependency("revoked-sessions"), process.shutdown());
        process.supervise("revoked-sessions", move || {
            let (copy, redis) = (followed.clone(), redis.clone());
            let (dependency, shutdown) = (dependency.clone(), shutdown.clone());
            async move {
                shutdown.run_until_cancelled(copy.keep_equal(&redis, &dependency)).await;
                Ok(())
            }
        });
        copy
    }

    /// Whether the session has ended, as far as this copy knows.
    pub fn contains(&self, session: SessionId) -> bool {
        self.copied.read().unwrap_or_else(PoisonError::into_inner).ends.contains_key(&session)
    }

    /// How long ago the copy was equal to the list; at first, for how long it exists. By the process's clock, so that a clock
    /// that is set falsifies it for a second.
    pub fn age(&self) -> Duration {
        let equal_at = self.copied.read().unwrap_or_else(PoisonError::into_inner).equal_at;
        Duration::try_from(self.clock.now() - equal_at).unwrap_or_default()
    }

    /// Adds a session, as if the list had it. `false` if the copy is full.
    pub fn insert(&self, session: RevokedSession) -> bool {
        let mut copied = self.copied.write().unwrap_or_else(PoisonError::into_inner);
        if copied.ends.len() >= REVOKED_SESSIONS_MAX && !copied.ends.contains_key(&session.session) {
            return false;
        }
        copied.ends.insert(session.session, session.ends);
        true
    }

    async fn keep_equal(&self, redis: &Redis, dependency: &Dependency) {
        let (mut cursor, mut reads, mut full) = (Cursor::start(), 0_u32, false);
        loop {
            if reads.is_multiple_of(READS_PER_WHOLE) {
                (cursor, full) = (Cursor::start(), false);
                self.remove_ended();
            }
            reads = reads.wrapping_add(1);
            match self.read(redis, &mut cursor).await {
                // What there was no room for before is still missing.
                Ok(Read::Equal) if full => {}
                Ok(Read::Equal) => {
                    self.copied.write().unwrap_or_else(PoisonError::into_inner).equal_at = self.clock.now();
                    dependency.up();
                }
                Ok(Read::NotWhole) => dependency.down("the user service has not published which sessions ended"),
                Ok(Read::Full) => {
                    full = true;
                    dependency.down(format!("more than {REVOKED_SESSIONS_MAX} sessions ended"));
                }
                Err(error) => dependency.down(error.to_string()),
            }
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    async fn read(&self, redis: &Redis, cursor: &mut Cursor) -> Result<Read, Error> {
        let mut read = Read::Equal;
        loop {
            let found = redis.read_revoked(cursor).await?;
            let Some((generation, entries)) = found.split_first() else {
                *cursor = Cursor::start();
                return Ok(Read::NotWhole);
            };
            cursor.generation.clone_from(generation);
            for [entry, score] in entries.as_chunks::<2>().0 {
                if RevokedSession::parse(entry).is_some_and(|session| !self.insert(session)) {
                    read = Read::Full;
                }
                cursor.score.clone_from(score);
            }
            if entries.len() < 2 * PAGE {
                return Ok(read);
            }
        }
    }

    fn remove_ended(&self) {
        let now = self.clock.now().unix_timestamp();
        self.copied.write().unwrap_or_else(PoisonError::into_inner).ends.retain(|_, ends| *ends >= now);
    }
}

/// What a read of the list left.
enum Read {
    /// The copy has all of the list.
    Equal,
    /// The list was lost, and its publisher has not written it again.
    NotWhole,
    /// The copy has no room for the rest.
    Full,
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use agora_testkit::RedisServer;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;
    use crate::Config;

    /// Far in the future, as Unix time in seconds.
    const LATER: i64 = 4_000_000_000;

    /// The publisher's connection and a copy of another service, on a server of their own.
    struct Shop {
        server: RedisServer,
        user: Redis,
        cart: Redis,
        copy: RevokedSessions,
        processes: [Process; 2],
    }

    impl Shop {
        async fn open() -> Self {
            let server = RedisServer::start();
            let processes = ["user", "cart"].map(Process::for_test);
            let [user, cart] =
                processes.each_ref().map(|process| Redis::connect(&Config::fixed(&server.url(), "shop"), process));
            let copy = RevokedSessions::follow(cart.clone(), &processes[1]);
            let shop = Self { server, user, cart, copy, processes };
            shop.connected().await;
            shop
        }

        async fn connected(&self) {
            while self.user.ping().await.is_err() || self.cart.ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }

        async fn has_within_two_seconds(&self, sessions: &[RevokedSession]) {
            let begun = Instant::now();
            while !sessions.iter().all(|one| self.copy.contains(one.session)) {
                assert!(begun.elapsed() < Duration::from_secs(2), "not within two seconds");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn sessions(numbers: std::ops::Range<u128>) -> Vec<RevokedSession> {
        numbers.map(|n| RevokedSession { session: SessionId::new(Uuid::from_u128(n)), ends: LATER }).collect()
    }

    #[tokio::test]
    async fn id7_another_service_knows_a_revoked_session_within_two_seconds() {
        let shop = Shop::open().await;
        assert!(
            !shop.user.publish_revoked(&[], false).await.unwrap(),
            "the list is not whole before all were published"
        );
        let first = sessions(1..2_501);
        assert!(shop.user.publish_revoked(&first, true).await.unwrap());
        shop.has_within_two_seconds(&first).await;
        for n in 3_000..3_003 {
            let next = sessions(n..n + 1);
            assert!(shop.user.publish_revoked(&next, false).await.unwrap());
            shop.has_within_two_seconds(&next).await;
        }
        assert!(!shop.copy.contains(sessions(9_000..9_001)[0].session));
        assert!(shop.copy.age() < Duration::from_secs(2), "{:?}", shop.copy.age());
    }

    #[tokio::test]
    async fn id7_a_list_that_redis_lost_is_known_to_be_lost_and_is_followed_again() {
        let shop = Shop::open().await;
        let (before, after) = (sessions(1..11), sessions(20..21));
        assert!(shop.user.publish_revoked(&before, true).await.unwrap());
        shop.has_within_two_seconds(&before).await;

        shop.server.stop();
        while shop.user.publish_revoked(&[], false).await.is_ok() {}
        assert!(before.iter().all(|one| shop.copy.contains(one.session)), "a copy keeps what it has");
        shop.server.resume();
        shop.connected().await;
        assert!(!shop.user.publish_revoked(&after, false).await.unwrap(), "a part of the list is not the list");
        tokio::time::sleep(READ_EVERY).await;
        let degraded = shop.processes[1].readiness().degraded;
        assert!(degraded.iter().any(|one| one.name == "revoked-sessions"), "{degraded:?}");
        assert!(shop.user.publish_revoked(&before, true).await.unwrap());
        shop.has_within_two_seconds(&after).await;
        assert!(shop.copy.age() < Duration::from_secs(2), "{:?}", shop.copy.age());
    }

    #[tokio::test]
    async fn id7_a_replica_without_the_latest_entries_hides_no_session_that_is_revoked_later() {
        use fred::interfaces::SortedSetsInterface as _;

        let shop = Shop::open().await;
        let (kept, missing) = (sessions(1..6), sessions(6..11));
        assert!(shop.user.publish_revoked(&[kept, missing.clone()].concat(), true).await.unwrap());
        shop.has_within_two_seconds(&missing).await;
        let (client, list) = (shop.user.client().unwrap(), shop.user.shared_key(LIST));
        let entries: Vec<String> = missing.iter().map(|session| session.entry()).collect();
        client.zrem::<(), _, _>(&list, entries).await.unwrap();
        client.zincrby::<(), _, _>(&list, -5.0, "last").await.unwrap();
        let next = sessions(20..22);
        assert!(shop.user.publish_revoked(&next, false).await.unwrap());
        shop.has_within_two_seconds(&next).await;
    }

    #[tokio::test]
    async fn a_session_whose_tokens_have_expired_leaves_the_list() {
        let shop = Shop::open().await;
        let ended = RevokedSession { ends: 1, ..sessions(1..2)[0] };
        let listed = sessions(2..3);
        assert!(shop.user.publish_revoked(&[vec![ended], listed.clone()].concat(), true).await.unwrap());
        assert!(shop.user.publish_revoked(&[], false).await.unwrap());
        let fresh = RevokedSessions::empty(Process::for_test("cart").clock());
        assert!(matches!(fresh.read(&shop.cart, &mut Cursor::start()).await, Ok(Read::Equal)));
        assert!(!fresh.contains(ended.session) && fresh.contains(listed[0].session));
    }

    #[tokio::test]
    async fn a_copy_is_bounded_and_drops_no_session_for_another() {
        let copy = RevokedSessions::empty(Process::for_test("cart").clock());
        let all = sessions(0..REVOKED_SESSIONS_MAX as u128);
        assert!(all.iter().all(|session| copy.insert(*session)));
        assert!(!copy.insert(sessions(1_000_000..1_000_001)[0]));
        assert!(copy.insert(all[0]) && copy.contains(all[0].session) && copy.contains(all[99_999].session));
    }
}
