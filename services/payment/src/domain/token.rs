//! The provider's token of a payer's card, in clear only until it is encrypted.
//!
//! Pure, as all of `domain`.

use std::fmt;

use agora_vocab::{Invalid, Secret};

/// Maximum length of a provider's token, in bytes.
const TOKEN_BYTES_MAX: usize = 255;

/// Parses a provider's token: 1 to 255 visible ASCII characters.
pub fn parse_token(text: &str) -> Result<Secret, Invalid> {
    if (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text))
    } else {
        Err(Invalid::new("token", format!("must be 1 to {TOKEN_BYTES_MAX} visible ASCII characters")))
    }
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
