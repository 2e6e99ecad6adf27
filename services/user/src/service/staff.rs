//! Logins of the staff at an identity provider. Their accounts have no password here, and the roles of the provider's groups.

use std::{fmt, net::IpAddr, sync::Arc};

use agora_vocab::{Secret, UserId};

use super::{Error, LoggedIn, UserService};
use crate::{
    domain::{BegunStaffLogin, Device},
    ports::{ProviderError, StaffAccounts, StaffProvider},
};

/// The provider, and the accounts of those who log in there.
#[derive(Clone)]
pub struct Staff {
    pub provider: Arc<dyn StaffProvider>,
    pub accounts: Arc<dyn StaffAccounts>,
}

impl fmt::Debug for Staff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Staff")
    }
}

/// A login that the browser can go on with.
#[derive(Clone, Debug)]
pub struct StaffLoginBegun {
    /// Where the browser has to go.
    pub authorization_url: String,
    /// What the client keeps and compares with what the browser brings back, so that no other person's login is ended in it.
    pub state: Secret,
}

impl UserService {
    /// Begins a login at the provider. Limited like registrations, because each is stored.
    pub async fn begin_staff_login(&self, ip: Option<IpAddr>) -> Result<StaffLoginBegun, Error> {
        let staff = self.staff.as_ref().ok_or(Error::NoStaffProvider)?;
        self.limits.begin_registration(ip)?;
        let (state, digest) = self.tokens.refresh()?;
        let (nonce, _) = self.tokens.refresh()?;
        let (code_verifier, _) = self.tokens.refresh()?;
        let begun = BegunStaffLogin { nonce: nonce.0, code_verifier: code_verifier.0 };
        let authorization_url = staff.provider.authorization_url(&state.0, &begun).await.map_err(failed)?;
        staff.accounts.begin_login(digest, &begun).await?;
        Ok(StaffLoginBegun { authorization_url, state: state.0 })
    }

    /// Ends a login with the code that the provider gave, and starts a session. Needs no limit: nobody guesses a state.
    pub async fn end_staff_login(&self, state: &Secret, code: &Secret, device: Device) -> Result<LoggedIn, Error> {
        let staff = self.staff.as_ref().ok_or(Error::NoStaffProvider)?;
        let begun = staff.accounts.take_login(self.tokens.digest(state)).await?.ok_or(Error::BadStaffLogin)?;
        let identity = staff.provider.identity(code, &begun).await.map_err(failed)?;
        if identity.roles.is_empty() {
            tracing::info!(issuer = identity.issuer, "a login of the staff was refused: no group gives a role");
            return Err(Error::NoStaffRole);
        }
        let new = UserId::new(self.ids.next());
        let user = staff.accounts.enter(&identity, new).await?.ok_or(Error::BadStaffLogin)?;
        tracing::info!(user.id = %user.id, issuer = identity.issuer, roles = ?user.roles, "a member of the staff logged in");
        self.start_session(user, device).await
    }
}

fn failed(error: ProviderError) -> Error {
    match error {
        ProviderError::Refused(reason) => {
            tracing::warn!(reason, "a login of the staff was refused");
            metrics::counter!("user_staff_login_refused_total").increment(1);
            Error::BadStaffLogin
        }
        ProviderError::Unavailable(source) => Error::StaffProviderUnavailable(source),
    }
}
