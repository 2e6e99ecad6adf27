//! Tokens of guests' carts from the system's random source. Depends on `ports` and `domain` only.

use agora_vocab::Secret;
use aws_lc_rs::{
    digest,
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    domain::TokenDigest,
    ports::{NoRandomness, Tokens},
};

/// Random bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;

/// Draws tokens of 43 characters that headers and URLs may have.
#[derive(Debug, Default)]
pub struct RandomTokens(SystemRandom);

impl Tokens for RandomTokens {
    fn draw(&self) -> Result<(Secret, TokenDigest), NoRandomness> {
        let mut bytes = [0; TOKEN_BYTES];
        self.0.fill(&mut bytes).map_err(|_| NoRandomness)?;
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_token_is_another_one_of_256_bits_and_is_found_by_its_digest() {
        let tokens = RandomTokens::default();
        let drawn: Vec<_> = (0..100).map(|_| tokens.draw().unwrap()).collect();
        let distinct: BTreeSet<_> = drawn.iter().map(|(token, _)| token.expose().to_owned()).collect();
        assert_eq!(distinct.len(), drawn.len());
        for (token, digest) in drawn {
            assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(token.expose()).unwrap().len(), 32);
            assert_eq!(tokens.digest(&token), digest);
        }
    }
}
