//! Login, refresh, logout and validation. All login failures return the same response.

use agora_outbox::DedupKey;
use agora_vocab::{Email, Secret, SessionId};

use super::{Caller, Error, UserService};
use crate::{
    domain::{AccessToken, Credentials, Device, Password, PasswordHash, RefreshToken, Status, User, opaque_string},
    ports::{NewSession, Refusal, Rotation, Source, UserError, Verdict},
};

/// A login attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `None` for text that is no e-mail address, which is refused like an unknown address.
    pub email: Option<Email>,
    /// The presented password.
    pub password: Secret,
    pub device: Device,
}

/// The tokens of a session, and its user.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// For the `Authorization` header.
    pub access: AccessToken,
    /// For one refresh.
    pub refresh: RefreshToken,
    pub user: User,
}

/// Expired sessions deleted by one statement, at most.
const SESSIONS_PER_BATCH: u32 = 1_000;

impl UserService {
    /// Starts a session if the password is right.
    pub async fn login(&self, attempt: Attempt) -> Result<LoggedIn, Error> {
        let counted = self.limits.begin_login(attempt.email.as_ref(), attempt.device.ip)?;
        let result = self.try_login(attempt).await;
        // What failed for another reason was no guess.
        if !matches!(result, Err(Error::BadCredentials)) {
            self.limits.give_back(counted);
        }
        result
    }

    async fn try_login(&self, attempt: Attempt) -> Result<LoggedIn, Error> {
        let Attempt { email, password, device } = attempt;
        let source = self.limits.source(email.as_ref(), device.ip);
        let found = match &email {
            Some(email) => self.users.credentials(email).await?,
            None => None,
        };
        // Always verified: the response time must not reveal whether the account exists.
        let verdict = self.verify(source, &password, found.as_ref().map(|found| &found.hash)).await?;
        let Some(credentials) = found.filter(|found| allowed(found, verdict)) else {
            metrics::counter!("user_login_refused_total").increment(1);
            return Err(Error::BadCredentials);
        };
        if verdict == Verdict::RightButOutdated {
            self.rehash(source, &credentials, &password).await;
        }
        self.start_session(credentials.user, device).await
    }

    /// Compares a password in the form that is hashed, and as it was sent where that differs: earlier hashes are of those.
    pub(super) async fn verify(
        &self,
        source: Source,
        password: &Secret,
        against: Option<&PasswordHash>,
    ) -> Result<Verdict, Error> {
        let composed = Secret::new(opaque_string(password.expose()));
        let verdict = self.passwords.verify(source, &composed, against).await?;
        if verdict != Verdict::Wrong || composed == *password {
            return Ok(verdict);
        }
        Ok(match self.passwords.verify(source, password, against).await? {
            Verdict::Right => Verdict::RightButOutdated,
            verdict => verdict,
        })
    }

    /// Exchanges a refresh token for the next one and a new access token.
    pub async fn refresh(&self, presented: &Secret) -> Result<LoggedIn, Error> {
        let (refresh, next) = self.tokens.successor(presented)?;
        match self.sessions.rotate(self.tokens.digest(presented), next).await? {
            Rotation::Rotated { session, user } => {
                let access = self.tokens.access(&user, session)?;
                Ok(LoggedIn { access, refresh, user: *user })
            }
            Rotation::Refused(refusal) => {
                report(refusal);
                Err(Error::BadRefreshToken)
            }
        }
    }

    /// Ends the session of a refresh token. Idempotent; an unknown token changes nothing.
    pub async fn logout(&self, presented: &Secret) -> Result<(), Error> {
        Ok(self.sessions.end(self.tokens.digest(presented)).await?)
    }

    /// The account of an access token whose session is active.
    pub async fn validate(&self, caller: &Caller) -> Result<User, Error> {
        self.sessions.live(caller.session, caller.user).await?.ok_or(Error::SessionEnded)
    }

    /// Deletes all sessions that have expired, in batches. Returns how many.
    pub async fn delete_expired_sessions(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            match self.sessions.delete_expired(SESSIONS_PER_BATCH).await? {
                0 => return Ok(deleted),
                batch => deleted += batch,
            }
        }
    }

    pub(super) async fn start_session(&self, user: User, device: Device) -> Result<LoggedIn, Error> {
        let (refresh, token) = self.tokens.refresh()?;
        let id = SessionId::new(self.ids.next());
        // Issued first: if it fails, no session is stored that no client holds.
        let access = self.tokens.access(&user, id)?;
        let session = NewSession { id, user: user.id, email: user.email.clone(), token, device };
        match self.sessions.start(&session, &DedupKey::None).await {
            // Erased, or with another address, since its password was verified.
            Err(UserError::NoOwner) => return Err(Error::BadCredentials),
            started => started?,
        };
        Ok(LoggedIn { access, refresh, user })
    }

    /// Replaces an outdated hash. A failure does not fail the login: the next login tries again.
    async fn rehash(&self, source: Source, credentials: &Credentials, password: &Secret) {
        let Ok(password) = Password::of_length(password.expose()) else { return };
        let renewed = async {
            let hash = self.passwords.hash(source, &password).await?;
            Ok::<_, Error>(self.users.rehash(credentials.user.id, &credentials.hash, &hash).await?)
        };
        if let Err(error) = renewed.await {
            tracing::warn!(user.id = %credentials.user.id, %error, "an outdated password hash is not replaced");
        }
    }
}

fn allowed(found: &Credentials, verdict: Verdict) -> bool {
    found.user.status == Status::Active && verdict != Verdict::Wrong
}

fn report(refusal: Refusal) {
    metrics::counter!("user_refresh_refused_total", "reason" => refusal.as_str()).increment(1);
    if refusal == Refusal::Reused {
        tracing::warn!("a refresh token was used twice: its session was ended");
    }
}
