//! The stores in memory, for tests: the same contract as on PostgreSQL, with a clock that the test moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_events::user::{Login, UserEvent};
use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{AddressId, Clock, Email, Role, SessionId, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    domain::{
        ADDRESSES_MAX, BookEntry, Credentials, PasswordHash, Profile, SESSION_IDLE, SESSION_LIFETIME, Status,
        TokenDigest, User, Username,
    },
    ports::{Addresses, NewAccount, NewSession, Refusal, Rotation, Sessions, StoreError, UserError, Users},
};

/// Implements every port that has a table.
#[derive(Clone, Debug)]
pub struct InMemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct State {
    users: Vec<Credentials>,
    sessions: Vec<Session>,
    tokens: Vec<Token>,
    addresses: Vec<(UserId, BookEntry)>,
    remembered: Vec<(DedupKey, StoredResult)>,
    events: Vec<UserEvent>,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    user: UserId,
    expires_at: OffsetDateTime,
    ended: bool,
}

#[derive(Debug)]
struct Token {
    digest: TokenDigest,
    session: SessionId,
    expires_at: OffsetDateTime,
    used: bool,
}

#[derive(Clone, Debug)]
enum StoredResult {
    User(User),
    Entry(BookEntry),
    Nothing,
}

impl InMemoryStore {
    /// An empty store; expiry follows `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), clock }
    }

    /// All appended events, oldest first.
    pub fn events(&self) -> Vec<UserEvent> {
        self.state().events.clone()
    }

    /// Blocks an account; no route does yet.
    pub fn block(&self, id: UserId) {
        if let Some(found) = self.state().user(id) {
            found.user.status = Status::Blocked;
        }
    }

    /// The hash that is stored for an account.
    pub fn hash(&self, id: UserId) -> Option<PasswordHash> {
        self.state().user(id).map(|found| found.hash.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn user(&mut self, id: UserId) -> Option<&mut Credentials> {
        self.users.iter_mut().find(|found| found.user.id == id)
    }

    fn username_taken(&self, name: Option<&Username>, but_by: UserId) -> bool {
        let others = self.users.iter().filter(|found| found.user.id != but_by);
        let mut names = others.filter_map(|found| found.user.profile.username.as_ref());
        name.is_some_and(|name| names.any(|taken| taken.folded() == name.folded()))
    }

    fn claim_key(&self, dedup_key: &DedupKey) -> Result<Option<StoredResult>, UserError> {
        let DedupKey::Request { scope, key, route, hash } = dedup_key else { return Ok(None) };
        for (seen, memory) in &self.remembered {
            if let DedupKey::Request { scope: s, key: k, route: r, hash: h } = seen
                && (s, r, k) == (scope, route, key)
            {
                return if h == hash { Ok(Some(memory.clone())) } else { Err(UserError::Store(StoreError::KeyReused)) };
            }
        }
        Ok(None)
    }

    fn store_result(&mut self, dedup_key: &DedupKey, memory: StoredResult) {
        self.remembered.push((dedup_key.clone(), memory));
    }

    fn end_sessions(&mut self, which: impl Fn(&Session) -> bool) {
        self.sessions.iter_mut().filter(|session| which(session)).for_each(|session| session.ended = true);
    }
}

#[async_trait]
impl Users for InMemoryStore {
    async fn register(&self, account: &NewAccount, dedup_key: &DedupKey) -> Result<Outcome<User>, UserError> {
        let mut state = self.state();
        if let Some(StoredResult::User(user)) = state.claim_key(dedup_key)? {
            return Ok(Outcome::Duplicate(user));
        }
        let NewAccount { id, email, profile, roles, hash } = account.clone();
        if state.users.iter().any(|found| found.user.email == email) {
            return Err(UserError::EmailTaken);
        }
        if state.username_taken(profile.username.as_ref(), id) {
            return Err(UserError::UsernameTaken);
        }
        let user = User { id, email, profile, roles, status: Status::Active, created_at: self.clock.now() };
        state.users.push(Credentials { user: user.clone(), hash });
        state.events.push(user.registered());
        state.store_result(dedup_key, StoredResult::User(user.clone()));
        Ok(Outcome::Applied(user))
    }

    async fn find(&self, id: UserId) -> Result<Option<User>, UserError> {
        Ok(self.state().user(id).map(|found| found.user.clone()))
    }

    async fn credentials(&self, email: &Email) -> Result<Option<Credentials>, UserError> {
        Ok(self.state().users.iter().find(|found| found.user.email == *email).cloned())
    }

    async fn update(
        &self,
        id: UserId,
        change: &Profile,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<User>>, UserError> {
        let mut state = self.state();
        if let Some(StoredResult::User(user)) = state.claim_key(dedup_key)? {
            return Ok(Some(Outcome::Duplicate(user)));
        }
        if state.username_taken(change.username.as_ref(), id) {
            return Err(UserError::UsernameTaken);
        }
        let Some(found) = state.user(id) else { return Ok(None) };
        found.user.profile = found.user.profile.clone().merged(change.clone());
        let user = found.user.clone();
        state.events.push(user.updated());
        state.store_result(dedup_key, StoredResult::User(user.clone()));
        Ok(Some(Outcome::Applied(user)))
    }

    async fn rehash(&self, id: UserId, from: &PasswordHash, to: &PasswordHash) -> Result<(), UserError> {
        if let Some(found) = self.state().user(id).filter(|found| found.hash == *from) {
            found.hash = to.clone();
        }
        Ok(())
    }

    async fn make_admin(&self, id: UserId, password: Option<&PasswordHash>) -> Result<(), UserError> {
        let mut state = self.state();
        let Some(found) = state.user(id) else { return Ok(()) };
        found.user.status = Status::Active;
        if !found.user.roles.contains(&Role::Admin) {
            found.user.roles.push(Role::Admin);
        }
        if let Some(hash) = password {
            found.hash = hash.clone();
            state.end_sessions(|session| session.user == id);
        }
        Ok(())
    }
}

#[async_trait]
impl Sessions for InMemoryStore {
    async fn start(&self, session: &NewSession, dedup_key: &DedupKey) -> Result<Outcome<()>, UserError> {
        let mut state = self.state();
        if state.claim_key(dedup_key)?.is_some() {
            return Ok(Outcome::Duplicate(()));
        }
        let NewSession { id, user, email, token, ip: _ } = session;
        let now = self.clock.now();
        state.sessions.push(Session { id: *id, user: *user, expires_at: now + SESSION_LIFETIME, ended: false });
        state.tokens.push(Token { digest: *token, session: *id, expires_at: now + SESSION_IDLE, used: false });
        state.events.push(UserEvent::Login(Login {
            user_id: *user,
            email: email.to_string(),
            session_id: *id,
            login_method: "password".to_owned(),
        }));
        state.store_result(dedup_key, StoredResult::Nothing);
        Ok(Outcome::Applied(()))
    }

    async fn rotate(&self, presented: TokenDigest, next: TokenDigest) -> Result<Rotation, UserError> {
        let (mut state, now) = (self.state(), self.clock.now());
        let state = &mut *state;
        let Some(token) = state.tokens.iter_mut().find(|token| token.digest == presented) else {
            return Ok(Rotation::Refused(Refusal::Unknown));
        };
        let Some(session) = state.sessions.iter_mut().find(|session| session.id == token.session) else {
            return Ok(Rotation::Refused(Refusal::Unknown));
        };
        if session.ended || session.expires_at <= now {
            return Ok(Rotation::Refused(Refusal::Ended));
        }
        if token.used {
            session.ended = true;
            return Ok(Rotation::Refused(Refusal::Reused));
        }
        if token.expires_at <= now {
            return Ok(Rotation::Refused(Refusal::Idle));
        }
        let user = state.users.iter().find(|found| found.user.id == session.user).map(|found| found.user.clone());
        let Some(user) = user.filter(|user| user.status == Status::Active) else {
            return Ok(Rotation::Refused(Refusal::Blocked));
        };
        token.used = true;
        let session = session.id;
        state.tokens.push(Token { digest: next, session, expires_at: now + SESSION_IDLE, used: false });
        Ok(Rotation::Rotated { session, user: Box::new(user) })
    }

    async fn end(&self, presented: TokenDigest) -> Result<(), UserError> {
        let mut state = self.state();
        let found = state.tokens.iter().find(|token| token.digest == presented).map(|token| token.session);
        state.end_sessions(|session| Some(session.id) == found);
        Ok(())
    }

    async fn live(&self, id: SessionId, user: UserId) -> Result<Option<User>, UserError> {
        let (mut state, now) = (self.state(), self.clock.now());
        let live =
            |session: &Session| session.id == id && session.user == user && !session.ended && session.expires_at > now;
        if !state.sessions.iter().any(live) {
            return Ok(None);
        }
        Ok(state.user(user).map(|found| found.user.clone()).filter(|user| user.status == Status::Active))
    }

    async fn delete_expired(&self, limit: u32) -> Result<u64, UserError> {
        let (mut state, now) = (self.state(), self.clock.now());
        let over: Vec<SessionId> = state
            .sessions
            .iter()
            .filter(|session| session.expires_at < now)
            .take(limit as usize)
            .map(|session| session.id)
            .collect();
        state.sessions.retain(|session| !over.contains(&session.id));
        state.tokens.retain(|token| !over.contains(&token.session));
        Ok(over.len() as u64)
    }
}

#[async_trait]
impl Addresses for InMemoryStore {
    async fn list(&self, owner: UserId) -> Result<Vec<BookEntry>, UserError> {
        let state = self.state();
        Ok(state.addresses.iter().filter(|(of, _)| *of == owner).map(|(_, entry)| entry.clone()).collect())
    }

    async fn find(&self, owner: UserId, id: AddressId) -> Result<Option<BookEntry>, UserError> {
        Ok(self.list(owner).await?.into_iter().find(|entry| entry.id == id))
    }

    async fn add(
        &self,
        owner: UserId,
        entry: &BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<BookEntry>, UserError> {
        let mut state = self.state();
        if let Some(StoredResult::Entry(entry)) = state.claim_key(dedup_key)? {
            return Ok(Outcome::Duplicate(entry));
        }
        if state.user(owner).is_none() {
            return Err(UserError::NoOwner);
        }
        if state.addresses.iter().filter(|(of, _)| *of == owner).count() >= ADDRESSES_MAX {
            return Err(UserError::BookFull);
        }
        state.addresses.push((owner, entry.clone()));
        state.store_result(dedup_key, StoredResult::Entry(entry.clone()));
        Ok(Outcome::Applied(entry.clone()))
    }

    async fn replace(
        &self,
        owner: UserId,
        entry: &BookEntry,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<BookEntry>>, UserError> {
        let mut state = self.state();
        if let Some(StoredResult::Entry(entry)) = state.claim_key(dedup_key)? {
            return Ok(Some(Outcome::Duplicate(entry)));
        }
        let found = state.addresses.iter_mut().find(|(of, held)| *of == owner && held.id == entry.id);
        let Some((_, held)) = found else { return Ok(None) };
        *held = entry.clone();
        state.store_result(dedup_key, StoredResult::Entry(entry.clone()));
        Ok(Some(Outcome::Applied(entry.clone())))
    }

    async fn remove(
        &self,
        owner: UserId,
        id: AddressId,
        dedup_key: &DedupKey,
    ) -> Result<Option<Outcome<()>>, UserError> {
        let mut state = self.state();
        if state.claim_key(dedup_key)?.is_some() {
            return Ok(Some(Outcome::Duplicate(())));
        }
        let before = state.addresses.len();
        state.addresses.retain(|(of, held)| *of != owner || held.id != id);
        if state.addresses.len() == before {
            return Ok(None);
        }
        state.store_result(dedup_key, StoredResult::Nothing);
        Ok(Some(Outcome::Applied(())))
    }
}
