//! A new password by a link in a mail. The answer to a request never depends on whether an account exists.

use std::net::IpAddr;

use agora_vocab::{Email, PasswordResetId};

use super::{Error, UserService};
use crate::domain::Password;

impl UserService {
    /// Requests a mail with a link, which is sent if an active account has the address.
    pub async fn request_password_reset(&self, email: &Email, ip: Option<IpAddr>) -> Result<(), Error> {
        self.limits.begin_reset(email, ip)?;
        self.resets.request(PasswordResetId::new(self.ids.next()), email).await?;
        self.reset_requested.notify_one();
        Ok(())
    }

    /// Sets a new password with the token of a link, and ends all sessions. A token is valid once.
    pub async fn reset_password(&self, token: &str, new: &Password, ip: Option<IpAddr>) -> Result<(), Error> {
        let id = self.reset_tokens.request(token).ok_or(Error::BadResetToken)?;
        // Before the costly hash: the holder of a used token must not make the service hash.
        if !self.resets.is_open(id).await? {
            return Err(Error::BadResetToken);
        }
        let hash = self.passwords.hash(self.limits.source(None, ip), new).await?;
        if self.resets.apply(id, &hash).await? { Ok(()) } else { Err(Error::BadResetToken) }
    }

    /// Requests the mails of all new requests. Returns how many requests there were.
    pub async fn announce_resets(&self) -> Result<u32, Error> {
        let mut announced = 0;
        while self.resets.announce_next().await? {
            announced += 1;
        }
        Ok(announced)
    }
}
