//! Argon2id with a bounded, fair queue: at most one hash at a time per core, so that a flood of logins exhausts neither CPU
//! nor memory.
//!
//! Must not depend on accounts.

use super::fair_queue::{FairQueue, Full, QueueLimits};
use crate::{
    domain::{Password, PasswordHash},
    ports::{HashError, Passwords, Source, Verdict},
};
use agora_chassis::BoxError;
use agora_vocab::Secret;
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};
use async_trait::async_trait;
use aws_lc_rs::rand;

/// Parameters of one hash: memory in KiB, passes and lanes. Of those that the OWASP Password Storage Cheat Sheet takes to be of
/// one strength for argon2id, one with little memory.
const MEMORY_KIB: u32 = 12_288;
const PASSES: u32 = 3;
const LANES: u32 = 1;

/// Most hashes at a time, however many cores the node has: 36 MiB.
const AT_A_TIME_MAX: usize = 3;

/// Random bytes of a salt (RFC 9106, 3.1).
const SALT_BYTES: usize = 16;

/// An allocation over 32 MiB is always a mapping of its own (mallopt(3), M_MMAP_THRESHOLD), which free returns to the
/// system. A smaller one stays with the thread that used it: 12 MiB for each thread that ever hashed. Only written pages
/// use memory.
const MAPPED_BLOCKS: usize = 33 * 1024;

/// Waiting passwords for each hash at a time; more are refused. At about 30 ms a hash the last one waits a second.
const WAITING_PER_HASH_MAX: usize = 32;

/// Waiting passwords of one source.
const WAITING_OF_ONE_MAX: usize = 16;

/// Longest text that is compared with a hash, in bytes; no valid password is longer.
const VERIFIED_BYTES_MAX: usize = 1024;

/// Salt and hash of no account, for the comparison when the account does not exist.
const NO_ACCOUNT: &str = "YWdvcmEtbm9ib2R5LXNhbHQ$DwOZ8tXNYjBW4F3vRn0kqfL5cGmzJ1sT7eHb2aUiV9g";

#[derive(Clone, Debug)]
pub struct Argon2Passwords {
    argon2: Argon2<'static>,
    /// Compared with when the account does not exist.
    no_account: PasswordHash,
    queue: FairQueue,
}

impl Argon2Passwords {
    /// One hash at a time per core of this machine, and at most [`AT_A_TIME_MAX`].
    pub fn new() -> Result<Self, argon2::Error> {
        let at_a_time = std::thread::available_parallelism().map_or(1, usize::from).min(AT_A_TIME_MAX);
        Self::with(Params::new(MEMORY_KIB, PASSES, LANES, None)?, at_a_time, at_a_time * WAITING_PER_HASH_MAX)
    }

    /// `at_a_time` concurrent hashes, and at most `waiting_max` more in the queue.
    pub fn with(params: Params, at_a_time: usize, waiting_max: usize) -> Result<Self, argon2::Error> {
        let no_account =
            format!("$argon2id$v=19$m={},t={},p={}${NO_ACCOUNT}", params.m_cost(), params.t_cost(), params.p_cost());
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            no_account: PasswordHash::new(no_account),
            queue: FairQueue::new(QueueLimits {
                places: at_a_time,
                waiting: waiting_max,
                waiting_of_one: WAITING_OF_ONE_MAX,
            }),
        })
    }

    /// Runs one hash on a blocking thread, when it is the turn of its source.
    async fn run<T: Send + 'static>(
        &self,
        source: Source,
        hash: impl FnOnce(&Argon2<'static>) -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = self.queue.enter(source).await.map_err(|Full| {
            metrics::counter!("user_hash_refused_total").increment(1);
            HashError::Busy
        })?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let result = hash(&argon2);
            drop(place);
            result
        })
        .await
        .map_err(|panicked| HashError::Failed(panicked.into()))?
        .map_err(HashError::Failed)
    }

    fn is_outdated(&self, made_with: &Params) -> bool {
        let params = self.argon2.params();
        (made_with.m_cost(), made_with.t_cost(), made_with.p_cost())
            != (params.m_cost(), params.t_cost(), params.p_cost())
    }
}

fn make(argon2: &Argon2<'_>, password: &[u8]) -> Result<PasswordHash, BoxError> {
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| "no random bytes")?;
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(Salt::new(&salt)?),
        hash: Some(output(argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN)?),
    };
    Ok(PasswordHash::new(hash.to_string()))
}

/// Parameters, salt and output of a stored hash.
struct Stored {
    params: Params,
    salt: Salt,
    output: Output,
}

fn read(hash: &PasswordHash) -> Result<Stored, BoxError> {
    let hash = phc::PasswordHash::new(hash.as_str())?;
    if hash.algorithm != Algorithm::Argon2id.ident() {
        return Err("the stored hash is not of argon2id".into());
    }
    let params = Params::try_from(&hash)?;
    let (Some(salt), Some(output)) = (hash.salt, hash.hash) else {
        return Err("the stored hash has a part missing".into());
    };
    Ok(Stored { params, salt, output })
}

fn output(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> Result<Output, BoxError> {
    let blocks = argon2.params().block_count();
    let mut memory = Vec::with_capacity(blocks.max(MAPPED_BLOCKS));
    memory.resize(blocks, Block::new());
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..length).ok_or("the stored hash is too long")?;
    argon2.hash_password_into_with_memory(password, salt, bytes, memory)?;
    Ok(Output::new(bytes)?)
}

#[async_trait]
impl Passwords for Argon2Passwords {
    async fn hash(&self, source: Source, password: &Password) -> Result<PasswordHash, HashError> {
        let secret = password.secret().clone();
        self.run(source, move |argon2| make(argon2, secret.expose().as_bytes())).await
    }

    async fn verify(
        &self,
        source: Source,
        password: &Secret,
        against: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let known = against.filter(|_| password.expose().len() <= VERIFIED_BYTES_MAX);
        let Stored { params, salt, output: expected } =
            read(known.unwrap_or(&self.no_account)).map_err(HashError::Failed)?;
        let (outdated, is_known) = (self.is_outdated(&params), known.is_some());
        let secret = password.clone();
        let made = self.run(source, move |_| {
            let bytes = secret.expose().as_bytes();
            let bytes = &bytes[..bytes.len().min(VERIFIED_BYTES_MAX)];
            output(&Argon2::new(Algorithm::Argon2id, Version::V0x13, params), bytes, &salt, expected.len())
        });
        // `Output` compares in constant time.
        let right = made.await? == expected && is_known;
        Ok(match (right, outdated) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::RightButOutdated,
            (true, false) => Verdict::Right,
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
        ports::{HashError, Passwords as _, Source, Verdict},
    };

    const ONE: Source = Source(1);

    fn cheap(memory_kib: u32) -> Argon2Passwords {
        Argon2Passwords::with(Params::new(memory_kib, 1, 1, None).unwrap(), 1, 2).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn id8_a_hash_names_argon2id_and_its_parameters_and_two_hashes_of_one_password_differ() {
        let pool = Argon2Passwords::new().unwrap();
        let one = pool.hash(ONE, &password("correct horse")).await.unwrap();
        assert!(one.as_str().starts_with("$argon2id$v=19$m=12288,t=3,p=1$"), "{}", one.as_str());
        let cheap = cheap(64);
        let (one, two) =
            (cheap.hash(ONE, &password("correct horse")).await, cheap.hash(ONE, &password("correct horse")).await);
        assert_ne!(one.unwrap(), two.unwrap());
    }

    #[tokio::test]
    async fn only_the_right_password_is_right_and_a_hash_of_other_parameters_is_outdated() {
        let (old, new) = (cheap(64), cheap(128));
        let hash = old.hash(ONE, &password("correct horse")).await.unwrap();
        let verdict = |pool: Argon2Passwords, text: &str| {
            let (text, hash) = (Secret::new(text), hash.clone());
            async move { pool.verify(ONE, &text, Some(&hash)).await.unwrap() }
        };
        assert_eq!(verdict(old.clone(), "correct horse").await, Verdict::Right);
        assert_eq!(verdict(new.clone(), "correct horse").await, Verdict::RightButOutdated);
        assert_eq!(verdict(old.clone(), "incorrect horse").await, Verdict::Wrong);
        assert_eq!(verdict(old, &"x".repeat(4096)).await, Verdict::Wrong);
    }

    #[test]
    fn a_hash_of_another_implementation_verifies() {
        // Of the reference implementation's tests: "password", "somesalt".
        let reference = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let stored = super::read(&PasswordHash::new(reference.to_owned())).unwrap();
        let argon2 = super::Argon2::new(super::Algorithm::Argon2id, super::Version::V0x13, stored.params);
        assert_eq!(super::output(&argon2, b"password", &stored.salt, 32).unwrap(), stored.output);
    }

    #[tokio::test]
    async fn hashing_leaves_no_memory_behind() {
        let pool = Argon2Passwords::new().unwrap();
        let password = Secret::new("correct horse");
        let hashes = (0..8).map(|_| pool.verify(ONE, &password, None));
        futures::future::join_all(hashes).await;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        let kib: u64 = line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        // Other tests of this process may be hashing at the same time: one hash a core.
        let cores = std::thread::available_parallelism().unwrap().get() as u64;
        assert!(kib < 2 * cores * u64::from(super::MEMORY_KIB), "{kib} KiB after hashing");
    }

    #[tokio::test]
    async fn without_an_account_the_same_work_is_done_and_the_password_is_wrong() {
        let pool = Argon2Passwords::new().unwrap();
        assert_eq!(pool.verify(ONE, &Secret::new("correct horse"), None).await.unwrap(), Verdict::Wrong);
        let stand_in = super::read(&pool.no_account).unwrap();
        assert!(!pool.is_outdated(&stand_in.params), "the parameters of the stand-in are those in use");
        assert_eq!(stand_in.output.len(), 32);
    }

    #[tokio::test]
    async fn an_invalid_stored_hash_is_an_error_and_not_a_login() {
        let broken = PasswordHash::new("plain".to_owned());
        assert!(matches!(cheap(64).verify(ONE, &Secret::new("plain"), Some(&broken)).await, Err(HashError::Failed(_))));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_frees_its_places() {
        let pool = cheap(64);
        let held = pool.queue.enter(ONE).await.unwrap();
        let one = password("correct horse");
        let (mut first, mut second) = (Box::pin(pool.hash(ONE, &one)), Box::pin(pool.hash(ONE, &one)));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert!(matches!(pool.hash(ONE, &one).await, Err(HashError::Busy)));
        drop(first);
        drop(held);
        assert!(second.await.is_ok());
        assert!(pool.hash(ONE, &one).await.is_ok());
    }
}
