//! Tokens of links, derived from the secret that services share: the user service derives the same.

use agora_chassis::WatchedSecret;
use agora_vocab::PasswordResetId;
use agora_web::derived_token;

use crate::ports::LinkTokens;

/// What the tokens of password resets are derived for.
const PASSWORD_RESET: &str = "password-reset";

/// Tokens by the internal secret.
#[derive(Clone, Debug)]
pub struct DerivedTokens(pub WatchedSecret);

impl LinkTokens for DerivedTokens {
    fn password_reset(&self, id: PasswordResetId) -> String {
        derived_token(&self.0.current(), PASSWORD_RESET, id.uuid())
    }
}
