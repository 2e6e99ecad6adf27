//! Tokens that two services derive from a key that both have, so that none has to be sent between them: the token of an id for
//! a purpose. Must not depend on what a purpose is.

use agora_keyring::KeySet;
use agora_vocab::Secret;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

/// The token of an id for a purpose: `<id>.<code>`, of characters that a URL may have. Derived by the first key of links that
/// [`KeySet`] reads from the secret; without a key, the token has an empty code, which is never valid.
pub fn derived_token(secret: &Secret, purpose: &str, id: Uuid) -> String {
    let code = KeySet::parse(secret).of_links().first().map(|key| code(key, purpose, id)).unwrap_or_default();
    format!("{}.{code}", id.as_simple())
}

/// The tokens of an id for a purpose by each of these keys.
pub fn derived_tokens(keys: &[Secret], purpose: &str, id: Uuid) -> impl Iterator<Item = String> {
    keys.iter().map(move |key| format!("{}.{}", id.as_simple(), code(key, purpose, id)))
}

/// The id of a token that was derived for this purpose, by one of the keys.
pub fn verify_derived_token(secret: &Secret, purpose: &str, token: &str) -> Option<Uuid> {
    let (id, code) = token.split_once('.')?;
    let id: Uuid = id.parse().ok()?;
    let code = BASE64_URL_SAFE_NO_PAD.decode(code).ok()?;
    let message = message(purpose, id);
    let keys = KeySet::parse(secret).of_links();
    keys.iter().any(|key| verify(&hmac(key), &message, &code).is_ok()).then_some(id)
}

fn code(key: &Secret, purpose: &str, id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sign(&hmac(key), &message(purpose, id)))
}

fn hmac(key: &Secret) -> Key {
    Key::new(HMAC_SHA256, key.expose().as_bytes())
}

/// Also sets these tokens apart from every other use of the key.
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
        let of_both: Vec<_> = derived_tokens(&KeySet::parse(&both).of_links(), "password-reset", id).collect();
        assert_eq!(of_both, [derived_token(&new, "password-reset", id), token.clone()]);
        let (_, code) = token.split_once('.').unwrap();
        for forged in
            [format!("{}.{code}", Uuid::from_u128(8).as_simple()), format!("{token}A"), String::new(), "x.y".into()]
        {
            assert_eq!(verify_derived_token(&old, "password-reset", &forged), None, "{forged}");
        }
    }
}
