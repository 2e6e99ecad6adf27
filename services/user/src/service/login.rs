//! Login, refresh, logout and validation. All login failures return the same response.

use std::net::IpAddr;

use agora_outbox::DedupKey;
use agora_vocab::{Email, Secret, SessionId};

use super::{Caller, Error, UserService};
use crate::{
    domain::{AccessToken, Credentials, Password, RefreshToken, Status, User},
    ports::{NewSession, Refusal, Rotation, Verdict},
};

/// A login attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// `None` for text that is no e-mail address, which is refused like an unknown address.
    pub email: Option<Email>,
    /// The presented password.
    pub password: Secret,
    /// The client's address.
    pub ip: Option<IpAddr>,
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

impl UserService {
    /// Starts a session if the password is right.
    pub async fn login(&self, attempt: Attempt) -> Result<LoggedIn, Error> {
        let Attempt { email, password, ip } = attempt;
        let found = match &email {
            Some(email) => self.users.credentials(email).await?,
            None => None,
        };
        // Always verified: the response time must not reveal whether the account exists.
        let verdict = self.passwords.verify(&password, found.as_ref().map(|found| &found.hash)).await?;
        let Some(credentials) = found.filter(|found| allowed(found, verdict)) else {
            metrics::counter!("user_login_refused_total").increment(1);
            return Err(Error::BadCredentials);
        };
        if verdict == Verdict::RightButOutdated {
            self.rehash(&credentials, password).await;
        }
        self.start_session(credentials.user, ip).await
    }

    /// Exchanges a refresh token for the next one and a new access token.
    pub async fn refresh(&self, presented: &Secret) -> Result<LoggedIn, Error> {
        let (refresh, next) = self.tokens.refresh()?;
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

    async fn start_session(&self, user: User, ip: Option<IpAddr>) -> Result<LoggedIn, Error> {
        let (refresh, token) = self.tokens.refresh()?;
        let id = SessionId::new(self.ids.next());
        // Issued first: if it fails, no session is stored that no client holds.
        let access = self.tokens.access(&user, id)?;
        let session = NewSession { id, user: user.id, email: user.email.clone(), token, ip };
        self.sessions.start(&session, &DedupKey::None).await?;
        Ok(LoggedIn { access, refresh, user })
    }

    /// Replaces an outdated hash. A failure does not fail the login: the next login tries again.
    async fn rehash(&self, credentials: &Credentials, password: Secret) {
        let Ok(password) = Password::parse(password.expose().to_owned()) else { return };
        let renewed = async {
            let hash = self.passwords.hash(&password).await?;
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
