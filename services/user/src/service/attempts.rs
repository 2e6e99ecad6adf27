//! Limits of guessing and registering, in the memory of this process: by account, by address, and by both together.
//!
//! Every attempt counts until it succeeds, so that those made at once count too. Which of them is an account is not known
//! here: an unknown one is limited like a known one.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use agora_vocab::{Allowance, Allowances, Clock, Email, UserId, client_address};

use super::Error;
use crate::ports::Source;

/// Failed logins of one account from one address.
const OF_BOTH: Allowance = Allowance { burst: 10, pause: Duration::from_secs(30) };
/// Failed logins of one account from all addresses.
const OF_ACCOUNT: Allowance = Allowance { burst: 50, pause: Duration::from_secs(10) };
/// Failed logins of all accounts from one address.
const OF_ADDRESS: Allowance = Allowance { burst: 20, pause: Duration::from_secs(1) };
/// Registrations from one address.
const REGISTRATIONS: Allowance = Allowance { burst: 20, pause: Duration::from_secs(10) };
/// Requests to set a new password of one account, and those from one address.
const RESETS_OF_ACCOUNT: Allowance = Allowance { burst: 3, pause: Duration::from_mins(5) };
const RESETS_OF_ADDRESS: Allowance = Allowance { burst: 20, pause: Duration::from_secs(10) };
/// Requests to change the e-mail address of one account, and those to one address. Those from one client's address count with
/// its requests to set a new password: each sends mails.
const CHANGES_OF_ACCOUNT: Allowance = RESETS_OF_ACCOUNT;
const CHANGES_TO_ADDRESS: Allowance = RESETS_OF_ACCOUNT;

/// Keys that each limit remembers.
const KEYS_MAX: usize = 10_000;

/// The limits of one process.
#[derive(Debug)]
pub struct AttemptLimits {
    clock: Arc<dyn Clock>,
    hasher: RandomState,
    of_both: Allowances<(u64, u64)>,
    of_account: Allowances<u64>,
    of_address: Allowances<u64>,
    registrations: Allowances<u64>,
    resets_of_account: Allowances<u64>,
    resets_of_address: Allowances<u64>,
    changes_of_account: Allowances<u64>,
    changes_to_address: Allowances<u64>,
}

/// A login under way. Counts as failed until it is given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedLogin {
    account: u64,
    address: u64,
    /// Whether the address is one client's.
    of_client: bool,
}

impl AttemptLimits {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            hasher: RandomState::new(),
            of_both: Allowances::new(OF_BOTH, KEYS_MAX),
            of_account: Allowances::new(OF_ACCOUNT, KEYS_MAX),
            of_address: Allowances::new(OF_ADDRESS, KEYS_MAX),
            registrations: Allowances::new(REGISTRATIONS, KEYS_MAX),
            resets_of_account: Allowances::new(RESETS_OF_ACCOUNT, KEYS_MAX),
            resets_of_address: Allowances::new(RESETS_OF_ADDRESS, KEYS_MAX),
            changes_of_account: Allowances::new(CHANGES_OF_ACCOUNT, KEYS_MAX),
            changes_to_address: Allowances::new(CHANGES_TO_ADDRESS, KEYS_MAX),
        }
    }

    /// Counts a login. Fails where too many failed before.
    pub(super) fn begin_login(&self, email: Option<&Email>, ip: Option<IpAddr>) -> Result<CountedLogin, Error> {
        let now = self.clock.now();
        let login = CountedLogin {
            account: self.hasher.hash_one(email),
            address: self.hasher.hash_one(client_address(ip).or(ip)),
            of_client: client_address(ip).is_some(),
        };
        self.of_both.take((login.account, login.address), now).map_err(too_many)?;
        if let Err(wait) = self.of_account.take(login.account, now) {
            self.of_both.give_back((login.account, login.address));
            return Err(too_many(wait));
        }
        if login.of_client
            && let Err(wait) = self.of_address.take(login.address, now)
        {
            self.of_both.give_back((login.account, login.address));
            self.of_account.give_back(login.account);
            return Err(too_many(wait));
        }
        Ok(login)
    }

    /// Counts a login that was no guess no more.
    pub(super) fn give_back(&self, login: CountedLogin) {
        self.of_both.give_back((login.account, login.address));
        self.of_account.give_back(login.account);
        if login.of_client {
            self.of_address.give_back(login.address);
        }
    }

    /// Counts a registration. Fails where there were too many from the address.
    pub(super) fn begin_registration(&self, ip: Option<IpAddr>) -> Result<(), Error> {
        match client_address(ip) {
            Some(address) => {
                let address = self.hasher.hash_one(Some(address));
                self.registrations.take(address, self.clock.now()).map_err(too_many)
            }
            None => Ok(()),
        }
    }

    /// Counts a request to set a new password. Fails where there were too many for the account, which may not exist, or from
    /// the address.
    pub(super) fn begin_reset(&self, email: &Email, ip: Option<IpAddr>) -> Result<(), Error> {
        let now = self.clock.now();
        if let Some(address) = client_address(ip) {
            self.resets_of_address.take(self.hasher.hash_one(address), now).map_err(too_many)?;
        }
        self.resets_of_account.take(self.hasher.hash_one(email), now).map_err(too_many)
    }

    /// Counts a request to change the e-mail address of an account to `new`. Fails where there were too many for the account,
    /// to the new address, which may be that of another account, or from the client's address.
    pub(super) fn begin_email_change(&self, user: UserId, new: &Email, ip: Option<IpAddr>) -> Result<(), Error> {
        let now = self.clock.now();
        if let Some(address) = client_address(ip) {
            self.resets_of_address.take(self.hasher.hash_one(address), now).map_err(too_many)?;
        }
        self.changes_of_account.take(self.hasher.hash_one(user), now).map_err(too_many)?;
        self.changes_to_address.take(self.hasher.hash_one(new), now).map_err(too_many)
    }

    /// Whose turn a password takes: its client's where the address is known, else its account's.
    pub(super) fn source(&self, email: Option<&Email>, ip: Option<IpAddr>) -> Source {
        match client_address(ip) {
            Some(address) => Source(self.hasher.hash_one(address)),
            None => Source(self.hasher.hash_one(email)),
        }
    }
}

fn too_many(wait: Duration) -> Error {
    metrics::counter!("user_attempt_refused_total").increment(1);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Error::TooManyAttempts { retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX) }
}
