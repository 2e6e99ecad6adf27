//! Tokens that two services derive from the internal secret, so that none has to be sent between them: the token of an id for
//! a purpose. Must not depend on what a purpose is.

use agora_vocab::Secret;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The token of an id for a purpose: `<id>.<code>`, of characters that a URL may have. The secret is one text, or the current
/// and the next one separated by a comma; the first one derives.
pub fn derived_token(secret: &Secret, purpose: &str, id: Uuid) -> String {
    token(secrets(secret).next().unwrap_or_default(), purpose, id)
}

/// The tokens of an id for a purpose by each of the secrets; the first one is that of [`derived_token`].
pub fn derived_tokens(secret: &Secret, purpose: &str, id: Uuid) -> impl Iterator<Item = String> {
    secrets(secret).map(move |key| token(key, purpose, id))
}

/// The id of a token that was derived for this purpose, by one of the secrets.
pub fn verify_derived_token(secret: &Secret, purpose: &str, token: &str) -> Option<Uuid> {
    let (id, code) = token.split_once('.')?;
    let id: Uuid = id.parse().ok()?;
    let code = BASE64_URL_SAFE_NO_PAD.decode(code).ok()?;
    let is_derived_by =
        |key: &str| verify(&Key::new(HMAC_SHA256, key.as_bytes()), &message(purpose, id), &code).is_ok();
    secrets(secret).any(is_derived_by).then_some(id)
}

fn token(key: &str, purpose: &str, id: Uuid) -> String {
    let code = sign(&Key::new(HMAC_SHA256, key.as_bytes()), &message(purpose, id));
    format!("{}.{}", id.as_simple(), BASE64_URL_SAFE_NO_PAD.encode(code))
}

fn secrets(secret: &Secret) -> impl Iterator<Item = &str> {
    secret.expose().split(',').map(str::trim).filter(|secret| !secret.is_empty())
}

/// Also sets these tokens apart from every other use of the secret.
fn message(purpose: &str, id: Uuid) -> Vec<u8> {
    format!("agora derived token\n{purpose}\n{}", id.as_simple()).into_bytes()
}

#[cfg(test)]
mod tests {
    use agora_vocab::Secret;
    use uuid::Uuid;

    use super::{derived_token, derived_tokens, verify_derived_token};

    #[test]
    fn a_token_is_valid_for_its_purpose_and_its_id_alone_and_while_its_secret_is_known() {
        let (old, both, new) = (Secret::new("one"), Secret::new("two, one"), Secret::new("two"));
        let id = Uuid::from_u128(7);
        let token = derived_token(&old, "password-reset", id);
        assert_eq!(verify_derived_token(&old, "password-reset", &token), Some(id));
        assert_eq!(verify_derived_token(&both, "password-reset", &token), Some(id));
        assert_eq!(verify_derived_token(&new, "password-reset", &token), None);
        assert_eq!(verify_derived_token(&old, "unsubscribe", &token), None);
        let of_both: Vec<_> = derived_tokens(&both, "password-reset", id).collect();
        assert_eq!(of_both, [derived_token(&new, "password-reset", id), token.clone()]);
        let (_, code) = token.split_once('.').unwrap();
        for forged in
            [format!("{}.{code}", Uuid::from_u128(8).as_simple()), format!("{token}A"), String::new(), "x.y".into()]
        {
            assert_eq!(verify_derived_token(&old, "password-reset", &forged), None, "{forged}");
        }
    }
}
