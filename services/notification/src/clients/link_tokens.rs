//! Tokens of links, derived from the secret that services share: the user service derives the same.

use agora_chassis::WatchedSecret;
use agora_vocab::{EmailChangeId, PasswordResetId};
use agora_web::derived_token;

use crate::ports::LinkTokens;

/// What the tokens of password resets are derived for.
const PASSWORD_RESET: &str = "password-reset";
/// What the tokens of changes of e-mail addresses are derived for.
const EMAIL_CHANGE: &str = "email-change";

/// Tokens by the internal secret.
#[derive(Clone, Debug)]
pub struct DerivedTokens(pub WatchedSecret);

impl LinkTokens for DerivedTokens {
    fn password_reset(&self, id: PasswordResetId) -> String {
        derived_token(&self.0.current(), PASSWORD_RESET, id.uuid())
    }

    fn email_change(&self, id: EmailChangeId) -> String {
        derived_token(&self.0.current(), EMAIL_CHANGE, id.uuid())
    }
}
