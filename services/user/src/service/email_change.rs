//! A new e-mail address by a link in a mail to it. No answer before the link is used depends on whether another account has the
//! address.

use std::net::IpAddr;

use agora_vocab::{Email, EmailChangeId, Secret};

use super::{Caller, Error, UserService};
use crate::ports::NewEmailChange;

impl UserService {
    /// Requests a mail to the new address with a link, and a notice to the present address. Replaces an earlier request. Wrong
    /// passwords count like failed logins.
    pub async fn request_email_change(
        &self,
        caller: &Caller,
        new: &Email,
        present: &Secret,
        ip: Option<IpAddr>,
    ) -> Result<(), Error> {
        let found = self.verify_present_password(caller, present, ip).await?;
        if found.user.email == *new {
            return Err(Error::SameEmail);
        }
        self.limits.begin_email_change(caller.user, new, ip)?;
        let change = NewEmailChange {
            id: EmailChangeId::new(self.ids.next()),
            user: caller.user,
            verified: found.hash,
            email: new.clone(),
            session: caller.session,
        };
        if self.email_changes.request(&change).await? { Ok(()) } else { Err(Error::WrongPassword) }
    }

    /// Changes the e-mail address with the token of a link, and ends all sessions but the one that asked for the change. A token
    /// is valid once, and until another change is asked for.
    pub async fn confirm_email_change(&self, token: &str) -> Result<(), Error> {
        let id = self.reset_tokens.email_change(token).ok_or(Error::BadEmailToken)?;
        if self.email_changes.apply(id).await? { Ok(()) } else { Err(Error::BadEmailToken) }
    }
}
