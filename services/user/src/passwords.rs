//! Argon2id in a bounded pool: as many hashes at a time as there are cores, so that a flood of logins starves neither
//! the other requests nor the memory. Knows nothing of accounts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use agora_vocab::Secret;
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc},
};
use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::{
    domain::{Password, PasswordHash},
    ports::{HashError, Passwords, Verdict},
};

/// Memory of one hash in KiB, passes and lanes (OWASP Password Storage Cheat Sheet, argon2id).
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many passwords may wait for each core; more are refused. At some 30 ms a hash the last one waits a second.
const WAITING_PER_CORE_MAX: usize = 32;

/// Longest text that is compared with a hash, in bytes; anything longer is nobody's password.
const VERIFIED_BYTES_MAX: usize = 1024;

/// A salt and a hash that belong to nobody: compared with where there is no account.
const NOBODY: &str = "YWdvcmEtbm9ib2R5LXNhbHQ$DwOZ8tXNYjBW4F3vRn0kqfL5cGmzJ1sT7eHb2aUiV9g";

/// The pool.
#[derive(Clone, Debug)]
pub struct Argon2Passwords {
    argon2: Argon2<'static>,
    /// For comparing with where there is nothing to compare with.
    nobody: PasswordHash,
    permits: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

impl Argon2Passwords {
    /// A pool of one hash at a time per core of this machine.
    pub fn new() -> Result<Self, argon2::Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with(Params::new(MEMORY_KIB, PASSES, LANES, None)?, cores, cores * WAITING_PER_CORE_MAX)
    }

    /// A pool with parameters of the caller's choice: `at_a_time` hashes, and `waiting_max` more in the queue.
    pub fn with(params: Params, at_a_time: usize, waiting_max: usize) -> Result<Self, argon2::Error> {
        let nobody =
            format!("$argon2id$v=19$m={},t={},p={}${NOBODY}", params.m_cost(), params.t_cost(), params.p_cost());
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobody: PasswordHash::new(nobody),
            permits: Arc::new(Semaphore::new(at_a_time)),
            waiting: Arc::default(),
            waiting_max,
        })
    }

    /// Runs one hash on a blocking thread, after those that came before.
    async fn run<T: Send + 'static>(
        &self,
        hash: impl FnOnce(&Argon2<'static>) -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T, HashError> {
        let queued = Queued::enter(&self.waiting, self.waiting_max)?;
        let permit = self.permits.clone().acquire_owned().await.map_err(|closed| HashError::Failed(closed.into()))?;
        drop(queued);
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let result = hash(&argon2);
            drop(permit);
            result
        })
        .await
        .map_err(|panicked| HashError::Failed(panicked.into()))?
        .map_err(|error| HashError::Failed(error.into()))
    }

    fn is_outdated(&self, hash: &phc::PasswordHash) -> bool {
        let params = self.argon2.params();
        hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
            || Params::try_from(hash).map_or(true, |made_with| {
                (made_with.m_cost(), made_with.t_cost(), made_with.p_cost())
                    != (params.m_cost(), params.t_cost(), params.p_cost())
            })
    }
}

/// A place in the queue, given back when dropped.
struct Queued(Arc<AtomicUsize>);

impl Queued {
    fn enter(waiting: &Arc<AtomicUsize>, max: usize) -> Result<Self, HashError> {
        if waiting.fetch_add(1, Ordering::SeqCst) >= max {
            waiting.fetch_sub(1, Ordering::SeqCst);
            metrics::counter!("user_hash_refused_total").increment(1);
            return Err(HashError::Busy);
        }
        Ok(Self(waiting.clone()))
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Passwords for Argon2Passwords {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let secret = password.secret().clone();
        let hash = self.run(move |argon2| argon2.hash_password(secret.expose().as_bytes()));
        Ok(PasswordHash::new(hash.await?.to_string()))
    }

    async fn verify(&self, password: &Secret, against: Option<&PasswordHash>) -> Result<Verdict, HashError> {
        let known = against.is_some() && password.expose().len() <= VERIFIED_BYTES_MAX;
        let against = if known { against.unwrap_or(&self.nobody) } else { &self.nobody };
        let hash = phc::PasswordHash::new(against.as_str()).map_err(|error| HashError::Failed(error.into()))?;
        let outdated = self.is_outdated(&hash);
        let secret = password.clone();
        let right = self.run(move |argon2| {
            let bytes = secret.expose().as_bytes();
            Ok(argon2.verify_password(&bytes[..bytes.len().min(VERIFIED_BYTES_MAX)], &hash).is_ok())
        });
        Ok(match right.await? && known {
            false => Verdict::Wrong,
            true if outdated => Verdict::RightButOutdated,
            true => Verdict::Right,
        })
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Secret;
    use argon2::Params;

    use super::{Argon2Passwords, PasswordHash};
    use crate::{
        domain::Password,
        ports::{HashError, Passwords as _, Verdict},
    };

    fn cheap(memory_kib: u32) -> Argon2Passwords {
        Argon2Passwords::with(Params::new(memory_kib, 1, 1, None).unwrap(), 1, 2).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::parse(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn a_hash_names_argon2id_and_its_parameters_and_two_hashes_of_one_password_differ() {
        let pool = Argon2Passwords::new().unwrap();
        let one = pool.hash(&password("correct horse")).await.unwrap();
        assert!(one.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.as_str());
        let cheap = cheap(64);
        let (one, two) = (cheap.hash(&password("correct horse")).await, cheap.hash(&password("correct horse")).await);
        assert_ne!(one.unwrap(), two.unwrap());
    }

    #[tokio::test]
    async fn only_the_right_password_is_right_and_a_hash_of_other_parameters_is_outdated() {
        let (old, new) = (cheap(64), cheap(128));
        let hash = old.hash(&password("correct horse")).await.unwrap();
        let verdict = |pool: Argon2Passwords, text: &str| {
            let (text, hash) = (Secret::new(text), hash.clone());
            async move { pool.verify(&text, Some(&hash)).await.unwrap() }
        };
        assert_eq!(verdict(old.clone(), "correct horse").await, Verdict::Right);
        assert_eq!(verdict(new.clone(), "correct horse").await, Verdict::RightButOutdated);
        assert_eq!(verdict(old.clone(), "incorrect horse").await, Verdict::Wrong);
        assert_eq!(verdict(old, &"x".repeat(4096)).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn without_an_account_the_same_work_is_done_and_the_answer_is_no() {
        let pool = Argon2Passwords::new().unwrap();
        assert_eq!(pool.verify(&Secret::new("correct horse"), None).await.unwrap(), Verdict::Wrong);
        let hash = super::phc::PasswordHash::new(pool.nobody.as_str()).unwrap();
        assert!(!pool.is_outdated(&hash), "the parameters of the stand-in are those in use");
        assert_eq!(hash.hash.unwrap().as_bytes().len(), 32);
    }

    #[tokio::test]
    async fn a_hash_that_no_algorithm_made_is_an_error_and_not_a_login() {
        let broken = PasswordHash::new("plain".to_owned());
        assert!(matches!(cheap(64).verify(&Secret::new("plain"), Some(&broken)).await, Err(HashError::Failed(_))));
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_are_refused_and_a_place_is_given_back() {
        let pool = cheap(64);
        let held = pool.permits.clone().acquire_owned().await.unwrap();
        let one = password("correct horse");
        let (mut first, mut second) = (Box::pin(pool.hash(&one)), Box::pin(pool.hash(&one)));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert!(matches!(pool.hash(&one).await, Err(HashError::Busy)));
        drop(first);
        drop(held);
        assert!(second.await.is_ok());
        assert!(pool.hash(&one).await.is_ok());
    }
}
