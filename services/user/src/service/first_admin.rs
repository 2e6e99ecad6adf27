//! The first admin of a marketplace, whose password follows a Secret.

use agora_events::user::Preferences;
use agora_outbox::DedupKey;
use agora_vocab::{Email, Role, UserId};

use super::{Error, UserService};
use crate::{
    domain::{Credentials, Password, Profile, Status, User},
    ports::{NewAccount, Source, UserError, Verdict},
};

/// Result of ensuring the first admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// The admin existed with this password.
    Unchanged,
    /// The account was created.
    Created,
    /// The password or role of an existing account was changed.
    Changed,
}

impl UserService {
    /// Whether an active admin with this e-mail address exists, with any password.
    pub async fn has_admin(&self, email: &Email) -> Result<bool, Error> {
        Ok(self.users.credentials(email).await?.is_some_and(|found| is_admin(&found.user)))
    }

    /// Ensures an active admin with this e-mail address and password. Idempotent; replicas may run it concurrently.
    pub async fn ensure_admin(&self, email: &Email, password: &Password) -> Result<Ensured, Error> {
        if let Some(found) = self.users.credentials(email).await? {
            return self.ensure_is_admin(found, password).await;
        }
        let account = NewAccount {
            id: UserId::new(self.ids.next()),
            email: email.clone(),
            profile: Profile::default(),
            roles: vec![Role::Customer, Role::Admin],
            preferences: Preferences::default(),
            hash: self.passwords.hash(Source::INTERNAL, password).await?,
        };
        match self.users.register(&account, &DedupKey::None).await {
            Ok(_) => Ok(Ensured::Created),
            // Another replica was faster.
            Err(UserError::EmailTaken) => Ok(Ensured::Unchanged),
            Err(error) => Err(error.into()),
        }
    }

    async fn ensure_is_admin(&self, found: Credentials, password: &Password) -> Result<Ensured, Error> {
        let Credentials { user, hash } = found;
        let verdict = self.passwords.verify(Source::INTERNAL, password.secret(), Some(&hash)).await?;
        if is_admin(&user) && verdict != Verdict::Wrong {
            return Ok(Ensured::Unchanged);
        }
        let fresh = match verdict {
            Verdict::Wrong => Some(self.passwords.hash(Source::INTERNAL, password).await?),
            Verdict::Right | Verdict::RightButOutdated => None,
        };
        self.users.make_admin(user.id, fresh.as_ref()).await?;
        Ok(Ensured::Changed)
    }
}

fn is_admin(user: &User) -> bool {
    user.roles.contains(&Role::Admin) && user.status == Status::Active
}
