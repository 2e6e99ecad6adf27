//! Interface to the encryption of card tokens.

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

/// Why a token cannot be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// `ENCRYPTION_KEY` or `ENCRYPTION_KEY_PREVIOUS` is not 32 bytes in Base64.
    #[error("an encryption key is not 32 bytes in Base64")]
    Key,
    /// The token is sealed under a key that is neither the current nor the previous one.
    #[error("the token is sealed under a key that is not known")]
    UnknownKey,
    /// The token was changed, or belongs to another order.
    #[error("the token does not belong to this order or was changed")]
    Forged,
    /// The random number generator of the system failed.
    #[error("the random number generator of the system failed")]
    Random,
}
