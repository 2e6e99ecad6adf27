//! The export of an account, and its erasure by its user or by an administrator.

use std::net::IpAddr;

use agora_vocab::{Secret, UserId};

use super::{Caller, Error, UserService};
use crate::{
    domain::{AccountExport, PasswordHash},
    ports::Erased,
};

/// Sessions in an export, the newest; and requests to set a new password.
const EXPORTED_MAX: u32 = 1_000;

impl UserService {
    /// Everything that is stored about the caller but hashes and tokens. Wrong passwords count like failed logins.
    pub async fn export_account(
        &self,
        caller: &Caller,
        present: &Secret,
        ip: Option<IpAddr>,
    ) -> Result<AccountExport, Error> {
        self.verify_present_password(caller, present, ip).await?;
        self.personal_data.export(caller.user, EXPORTED_MAX).await?.ok_or(Error::SessionEnded)
    }

    /// Erases the caller's account. Idempotent as long as the access token is accepted. Wrong passwords count like failed logins.
    pub async fn erase_own_account(&self, caller: &Caller, present: &Secret, ip: Option<IpAddr>) -> Result<(), Error> {
        match self.verify_present_password(caller, present, ip).await {
            Ok(found) => self.erase(caller, caller.user, Some(&found.hash)).await,
            Err(Error::SessionEnded) if self.personal_data.is_erased(caller.user).await? => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Erases the account of another user. Idempotent. For administrators, which the route ensures.
    pub async fn erase_account(&self, caller: &Caller, id: UserId) -> Result<(), Error> {
        if caller.user == id {
            return Err(Error::OwnAccount);
        }
        self.erase(caller, id, None).await
    }

    async fn erase(&self, caller: &Caller, id: UserId, verified: Option<&PasswordHash>) -> Result<(), Error> {
        match self.personal_data.erase(id, verified).await? {
            Erased::Now => {
                tracing::info!(user.id = %id, by = %caller.user, "erased an account at the request of a user or an admin");
                Ok(())
            }
            Erased::Before => Ok(()),
            Erased::LastAdmin => Err(Error::LastAdmin),
            Erased::PasswordChanged => Err(Error::WrongPassword),
            Erased::Unknown => Err(Error::NotFound),
        }
    }
}
