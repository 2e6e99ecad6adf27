//! Logging in, staying so, and leaving. Every failure looks the same from outside.

use std::net::IpAddr;

use agora_outbox::DedupKey;
use agora_vocab::{Email, Secret, SessionId};

use super::{Accounts, Asker, Error};
use crate::{
    domain::{AccessToken, Credentials, Password, RefreshToken, Status, User},
    ports::{NewSession, Refusal, Rotation, Verdict},
};

/// Somebody who tries to log in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The address; `None` for a text that is no address, which is refused like an unknown one.
    pub email: Option<Email>,
    /// What he says the password is.
    pub password: Secret,
    /// Where he comes from.
    pub ip: Option<IpAddr>,
}

/// What somebody holds who is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// For `Authorization`.
    pub access: AccessToken,
    /// For the next refresh.
    pub refresh: RefreshToken,
    /// Who he is.
    pub user: User,
}

impl Accounts {
    /// Starts a session for who knows the password.
    pub async fn login(&self, attempt: Attempt) -> Result<LoggedIn, Error> {
        let Attempt { email, password, ip } = attempt;
        let found = match &email {
            Some(email) => self.users.credentials(email).await?,
            None => None,
        };
        // Verified in any case: the time must not tell whether there is such an account.
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

    /// Ends the session of a refresh token; an unknown one has nothing to end.
    pub async fn logout(&self, presented: &Secret) -> Result<(), Error> {
        Ok(self.sessions.end(self.tokens.digest(presented)).await?)
    }

    /// The account behind an access token whose session still lives.
    pub async fn validate(&self, asker: &Asker) -> Result<User, Error> {
        self.sessions.live(asker.session, asker.user).await?.ok_or(Error::SessionEnded)
    }

    async fn start_session(&self, user: User, ip: Option<IpAddr>) -> Result<LoggedIn, Error> {
        let (refresh, token) = self.tokens.refresh()?;
        let id = SessionId::new(self.ids.next());
        // Minted first: a session that nobody was told of would only be in the way.
        let access = self.tokens.access(&user, id)?;
        let session = NewSession { id, user: user.id, email: user.email.clone(), token, ip };
        self.sessions.start(&session, &DedupKey::None).await?;
        Ok(LoggedIn { access, refresh, user })
    }

    /// Brings an old hash up to date. The login goes on without: the next one tries again.
    async fn rehash(&self, credentials: &Credentials, password: Secret) {
        let Ok(password) = Password::parse(password.expose().to_owned()) else { return };
        let renewed = async {
            let hash = self.passwords.hash(&password).await?;
            Ok::<_, Error>(self.users.rehash(credentials.user.id, &credentials.hash, &hash).await?)
        };
        if let Err(error) = renewed.await {
            tracing::warn!(user.id = %credentials.user.id, %error, "an outdated password hash stays for now");
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

impl Refusal {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::Reused => "reused",
            Self::Blocked => "blocked",
        }
    }
}
