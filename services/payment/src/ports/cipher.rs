//! Interface to the encryption of card tokens.

pub use agora_cipher::CipherError;
use agora_vocab::{OrderId, Secret};

use crate::domain::SealedToken;

/// Encrypts tokens of cards.
pub trait TokenCipher: Send + Sync {
    /// Encrypts a token of a payment of `order` under the current key.
    fn seal(&self, order: OrderId, token: &Secret) -> Result<SealedToken, CipherError>;
    /// Decrypts a token of a payment of `order`, sealed under the current or the previous key.
    fn open(&self, order: OrderId, token: &SealedToken) -> Result<Secret, CipherError>;
    /// Seals a token under the current key that is sealed under the previous one; none if it is under the current key.
    fn rewrap(&self, order: OrderId, token: &SealedToken) -> Result<Option<SealedToken>, CipherError>;
    /// Identifies the current key without disclosing it: the first bytes of every token that is sealed under it.
    fn current_prefix(&self) -> Result<Vec<u8>, CipherError>;
}
