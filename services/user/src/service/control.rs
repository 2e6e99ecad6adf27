//! Accounts in the hands of administrators, and a user's own sessions and password.

use std::net::IpAddr;

use agora_outbox::{DedupKey, Outcome};
use agora_vocab::{Page, Role, Secret, SessionId, UserId};

use super::{Caller, Error, UserService};
use crate::{
    domain::{Credentials, Password, Session, Status, User},
    ports::{Listing, Source, Verdict},
};

/// Sessions that are listed, the newest.
const SESSIONS_MAX: u32 = 100;

impl UserService {
    /// A page of accounts, newest first. For administrators, which the route ensures.
    pub async fn page(&self, listing: &Listing) -> Result<Page<User>, Error> {
        Ok(self.control.page(listing).await?)
    }

    /// Those of these accounts that exist, in the order of the ids. For administrators, which the route ensures.
    pub async fn many(&self, ids: &[UserId]) -> Result<Vec<User>, Error> {
        let mut found = self.control.many(ids).await?;
        found.sort_by_key(|user| ids.iter().position(|id| *id == user.id));
        Ok(found)
    }

    /// Blocks or activates an account. A blocked account cannot log in, and its sessions have ended. For administrators,
    /// which the route ensures.
    pub async fn set_status(
        &self,
        caller: &Caller,
        id: UserId,
        status: Status,
        dedup_key: &DedupKey,
    ) -> Result<Outcome<User>, Error> {
        if caller.user == id && status == Status::Blocked {
            return Err(Error::OwnAccount);
        }
        self.control.set_status(id, status, dedup_key).await?.ok_or(Error::NotFound)
    }

    /// Replaces the roles of another user, whose sessions end. For administrators, which the route ensures.
    pub async fn set_roles(
        &self,
        caller: &Caller,
        id: UserId,
        roles: &[Role],
        dedup_key: &DedupKey,
    ) -> Result<Outcome<User>, Error> {
        if caller.user == id {
            return Err(Error::OwnAccount);
        }
        let set = self.control.set_roles(id, roles, dedup_key).await?.ok_or(Error::NotFound)?;
        tracing::info!(user.id = %id, by = %caller.user, ?roles, "replaced the roles of an account");
        Ok(set)
    }

    /// The caller's sessions, newest first; at most a hundred.
    pub async fn own_sessions(&self, caller: &Caller) -> Result<Vec<Session>, Error> {
        Ok(self.sessions.list(caller.user, SESSIONS_MAX).await?)
    }

    /// Ends a session of the caller. A repetition is [`Error::NotFound`], like a session of another user.
    pub async fn end_session(&self, caller: &Caller, id: SessionId) -> Result<(), Error> {
        if self.sessions.end_one(caller.user, id).await? { Ok(()) } else { Err(Error::NotFound) }
    }

    /// Ends all sessions of the caller, this one included.
    pub async fn end_sessions(&self, caller: &Caller) -> Result<(), Error> {
        Ok(self.sessions.end_all(caller.user).await?)
    }

    /// Replaces the caller's password and ends their other sessions. Wrong passwords count like failed logins.
    pub async fn change_password(
        &self,
        caller: &Caller,
        present: &Secret,
        new: &Password,
        ip: Option<IpAddr>,
    ) -> Result<(), Error> {
        let found = self.verify_present_password(caller, present, ip).await?;
        let hash = self.passwords.hash(self.limits.source(Some(&found.user.email), ip), new).await?;
        let changed = self.control.set_password(caller.user, &found.hash, &hash, caller.session).await?;
        // Another change was faster: what was verified is no longer the present password.
        if changed { Ok(()) } else { Err(Error::WrongPassword) }
    }

    /// The account of the caller, whose session is active, if this is its password. Wrong passwords count like failed logins.
    pub(super) async fn verify_present_password(
        &self,
        caller: &Caller,
        present: &Secret,
        ip: Option<IpAddr>,
    ) -> Result<Credentials, Error> {
        let user = self.validate(caller).await?;
        let counted = self.limits.begin_login(Some(&user.email), ip)?;
        let result = self.compare_password(&user, present, self.limits.source(Some(&user.email), ip)).await;
        // What failed for another reason was no guess.
        if !matches!(result, Err(Error::WrongPassword)) {
            self.limits.give_back(counted);
        }
        result
    }

    async fn compare_password(&self, user: &User, present: &Secret, source: Source) -> Result<Credentials, Error> {
        let found = self.users.credentials(&user.email).await?;
        let found = found.filter(|found| found.user.id == user.id).ok_or(Error::SessionEnded)?;
        match self.verify(source, present, Some(&found.hash)).await? {
            Verdict::Wrong => Err(Error::WrongPassword),
            Verdict::Right | Verdict::RightButOutdated => Ok(found),
        }
    }
}
