//! The provider's token of a payer's card, in clear only until it is encrypted.
//!
//! Pure, as all of `domain`.

use std::fmt;

use agora_vocab::{Invalid, Secret, contains_card_number};

/// Maximum length of a provider's token, in bytes.
const TOKEN_BYTES_MAX: usize = 255;

/// Parses a provider's token: 1 to 255 visible ASCII characters without a payment card number.
pub fn parse_token(text: &str) -> Result<Secret, Invalid> {
    if !(1..=TOKEN_BYTES_MAX).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Invalid::new("token", format!("must be 1 to {TOKEN_BYTES_MAX} visible ASCII characters")));
    }
    if contains_card_number(text) {
        return Err(Invalid::new("token", "must not contain a payment card number"));
    }
    Ok(Secret::new(text))
}

/// An encrypted token, as it is stored. Only [`TokenCipher`](crate::ports::TokenCipher) reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedToken(Vec<u8>);

impl SealedToken {
    /// Wraps encrypted bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The encrypted bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedToken({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::parse_token;

    #[test]
    fn a_token_with_a_card_number_in_it_is_refused() {
        for text in ["4242424242424242", "tok_4242424242424242", "pm:4242-4242-4242-4242"] {
            let refused = parse_token(text).unwrap_err().to_string();
            assert!(refused.contains("card number") && !refused.contains("4242"), "{refused}");
        }
        for text in ["", "tok ok", "tok_\u{e4}"] {
            assert!(parse_token(text).is_err(), "{text}");
        }
        assert!(parse_token("tok_41111111-1111-1111-a111-111111111111").is_ok());
    }
}
