//! Tokens of guests' carts: from the system's random source, or derived from the key of a request that may be repeated.
//! Depends on `ports` and `domain` only.

use agora_chassis::WatchedSecret;
use agora_keyring::ParsedKeys;
use agora_vocab::{CartId, Secret};
use agora_web::derived_tokens;
use aws_lc_rs::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    domain::TokenDigest,
    ports::{NewGuestCart, NoRandomness, NoTokenKey, Tokens},
};

/// Random bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// Tokens of characters that headers and URLs may have: drawn ones of 43 characters, and derived ones of 76.
#[derive(Debug)]
pub struct GuestTokens {
    random: SystemRandom,
    secret: WatchedSecret,
    keys: ParsedKeys,
}

impl GuestTokens {
    /// Derives tokens by the keys that [`agora_keyring::KeySet`] reads from the secret.
    pub fn new(secret: WatchedSecret) -> Self {
        Self { random: SystemRandom::new(), secret, keys: ParsedKeys::default() }
    }

    /// The keys of this service alone; the first one derives.
    fn keys(&self) -> Vec<Secret> {
        self.keys.of(&self.secret.current()).of_tokens("cart")
    }
}

/// What tokens are derived for. A key has visible ASCII characters only.
fn purpose(key: &Secret) -> String {
    format!("guest-cart {}", key.expose())
}

impl Tokens for GuestTokens {
    fn draw(&self) -> Result<(Secret, TokenDigest), NoRandomness> {
        let mut bytes = [0; TOKEN_BYTES];
        self.random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        let token = Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let digest = self.digest(&token);
        Ok((token, digest))
    }

    fn digest(&self, token: &Secret) -> TokenDigest {
        let digest = digest::digest(&digest::SHA256, token.expose().as_bytes());
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(digest.as_ref());
        TokenDigest(bytes)
    }

    fn derive(&self, key: &Secret, cart: CartId) -> Result<(Secret, TokenDigest), NoTokenKey> {
        let (keys, purpose) = (self.keys(), purpose(key));
        let token = derived_tokens(&keys, &purpose, cart.uuid()).next().map(Secret::new).ok_or(NoTokenKey)?;
        let digest = self.digest(&token);
        Ok((token, digest))
    }

    fn derive_again(&self, key: &Secret, cart: &NewGuestCart) -> Option<Secret> {
        let (keys, purpose) = (self.keys(), purpose(key));
        let mut tokens = derived_tokens(&keys, &purpose, cart.id.uuid()).map(Secret::new);
        tokens.find(|token| self.digest(token) == cart.token)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_token_is_another_one_of_256_bits_and_is_found_by_its_digest() {
        let tokens = GuestTokens::new(WatchedSecret::fixed("one"));
        let drawn: Vec<_> = (0..100).map(|_| tokens.draw().unwrap()).collect();
        let distinct: BTreeSet<_> = drawn.iter().map(|(token, _)| token.expose().to_owned()).collect();
        assert_eq!(distinct.len(), drawn.len());
        for (token, digest) in drawn {
            assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(token.expose()).unwrap().len(), 32);
            assert_eq!(tokens.digest(&token), digest);
        }
    }

    #[test]
    fn a_derived_token_is_known_again_by_its_key_while_its_secret_is_one_of_two() {
        let [old, both, new] = ["one", "two, one", "two"].map(|text| GuestTokens::new(WatchedSecret::fixed(text)));
        let (key, id) = (Secret::new("a key of enough random characters"), CartId::new(Uuid::from_u128(7)));
        let (token, digest) = old.derive(&key, id).unwrap();
        let cart = NewGuestCart { id, token: digest };
        assert_eq!(old.digest(&token), digest);
        for tokens in [&old, &both] {
            assert_eq!(tokens.derive_again(&key, &cart), Some(token.clone()));
        }
        assert_eq!(new.derive_again(&key, &cart), None);
        assert_eq!(old.derive_again(&Secret::new("another key"), &cart), None);
        let of_another_cart = NewGuestCart { id: CartId::new(Uuid::from_u128(8)), ..cart };
        assert_eq!(old.derive_again(&key, &of_another_cart), None);
        assert_ne!(new.derive(&key, id).unwrap().0, token);
        // Without a key no token is derived: every client could compute it.
        let none = GuestTokens::new(WatchedSecret::fixed(r#"{"calls": {}}"#));
        assert!(none.derive(&key, id).is_err() && none.derive_again(&key, &cart).is_none());
    }
}
