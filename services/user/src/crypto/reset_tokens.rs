//! Tokens in the links of mails, derived from the secret that services share: the notification service derives the same.

use agora_chassis::WatchedSecret;
use agora_vocab::{EmailChangeId, PasswordResetId};
use agora_web::verify_derived_token;

use crate::ports::ResetTokens;

/// What the tokens are derived for.
const PASSWORD_RESET: &str = "password-reset";
const EMAIL_CHANGE: &str = "email-change";

/// Tokens by the internal secret.
#[derive(Clone, Debug)]
pub struct DerivedTokens(pub WatchedSecret);

impl ResetTokens for DerivedTokens {
    fn request(&self, token: &str) -> Option<PasswordResetId> {
        verify_derived_token(&self.0.current(), PASSWORD_RESET, token).map(PasswordResetId::new)
    }

    fn email_change(&self, token: &str) -> Option<EmailChangeId> {
        verify_derived_token(&self.0.current(), EMAIL_CHANGE, token).map(EmailChangeId::new)
    }
}
