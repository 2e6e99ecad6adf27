//! The admin that a new marketplace begins with, and whose password follows its Secret.

use agora_outbox::DedupKey;
use agora_vocab::{Email, Role, UserId};

use super::{Accounts, Error};
use crate::{
    domain::{Credentials, Password, Profile, Status, User},
    ports::{NewAccount, StoreError, Verdict},
};

/// What had to be done so that the admin is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// Nothing: he was there with that password.
    AsItWas,
    /// He was made.
    Made,
    /// He was there, and has that password or that role only now.
    Changed,
}

impl Accounts {
    /// Whether an active admin with that address is there, whatever his password.
    pub async fn has_admin(&self, email: &Email) -> Result<bool, Error> {
        Ok(self.users.credentials(email).await?.is_some_and(|found| is_admin(&found.user)))
    }

    /// Makes sure that an admin with that address and password exists. May run in several replicas at a time.
    pub async fn ensure_admin(&self, email: &Email, password: &Password) -> Result<Ensured, Error> {
        if let Some(found) = self.users.credentials(email).await? {
            return self.ensure_is_admin(found, password).await;
        }
        let account = NewAccount {
            id: UserId::new(self.ids.next()),
            email: email.clone(),
            profile: Profile::default(),
            roles: vec![Role::Customer, Role::Admin],
            hash: self.passwords.hash(password).await?,
        };
        match self.users.register(&account, &DedupKey::None).await {
            Ok(_) => Ok(Ensured::Made),
            // Another replica was faster.
            Err(StoreError::EmailTaken) => Ok(Ensured::AsItWas),
            Err(error) => Err(error.into()),
        }
    }

    async fn ensure_is_admin(&self, found: Credentials, password: &Password) -> Result<Ensured, Error> {
        let Credentials { user, hash } = found;
        let verdict = self.passwords.verify(password.secret(), Some(&hash)).await?;
        if is_admin(&user) && verdict != Verdict::Wrong {
            return Ok(Ensured::AsItWas);
        }
        let fresh = match verdict {
            Verdict::Wrong => Some(self.passwords.hash(password).await?),
            Verdict::Right | Verdict::RightButOutdated => None,
        };
        self.users.make_admin(user.id, fresh.as_ref()).await?;
        Ok(Ensured::Changed)
    }
}

fn is_admin(user: &User) -> bool {
    user.roles.contains(&Role::Admin) && user.status == Status::Active
}
