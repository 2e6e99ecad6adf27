//! Envelope encryption of stored secrets with AES-256-GCM.
//!
//! Each secret has a data key of its own, which the key of the service wraps, so that a rotation replaces the wrapped data key
//! only. Keys are read at each use: they may be rotated while the process runs. Must not log keys or secrets.

use std::fmt;

use agora_chassis::WatchedSecret;
use agora_vocab::Secret;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// The layout of sealed secrets: version, key id, wrapped data key, encrypted text; each of the last two begins with its
/// nonce and ends with its tag.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
/// The first bytes of the SHA-256 of a key.
const KEY_ID_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
const PREFIX_BYTES: usize = 1 + KEY_ID_BYTES;
const WRAPPED_BYTES: usize = NONCE_LEN + KEY_BYTES + TAG_BYTES;

/// An encrypted secret, as it is stored. Only [`EnvelopeCipher`] reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// Encrypts under the current key; also decrypts what was encrypted under the previous one.
///
/// The context of a secret is not stored: the same one must be given to read it, such as the id of its row.
#[derive(Clone, Debug)]
pub struct EnvelopeCipher {
    current: WatchedSecret,
    previous: Option<WatchedSecret>,
}

/// Why a secret cannot be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// `ENCRYPTION_KEY` or `ENCRYPTION_KEY_PREVIOUS` is not 32 bytes in Base64.
    #[error("an encryption key is not 32 bytes in Base64")]
    Key,
    /// It is sealed under a key that is neither the current nor the previous one.
    #[error("the secret is sealed under a key that is not known")]
    UnknownKey,
    /// It was changed, or belongs to another context.
    #[error("the secret does not belong to this row or was changed")]
    Forged,
    /// The random number generator of the system failed.
    #[error("the random number generator of the system failed")]
    Random,
}

/// A key of the service, which wraps data keys.
struct ServiceKey {
    bytes: [u8; KEY_BYTES],
}

/// `N` bytes of the system's random number generator, for a new secret.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], CipherError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| CipherError::Random)?;
    Ok(bytes)
}

impl Sealed {
    /// Wraps encrypted bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The encrypted bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl EnvelopeCipher {
    /// Each key is 32 bytes in Base64.
    pub fn new(current: WatchedSecret, previous: Option<WatchedSecret>) -> Self {
        Self { current, previous }
    }

    /// Encrypts a secret under the current key.
    pub fn seal(&self, context: &[u8], secret: &Secret) -> Result<Sealed, CipherError> {
        let data_key = random_bytes::<KEY_BYTES>()?;
        let service_key = self.current()?;
        let wrapped = encrypt(&service_key.bytes, context, &data_key)?;
        let encrypted = encrypt(&data_key, context, secret.expose().as_bytes())?;
        Ok(Sealed([&service_key.prefix()[..], &wrapped, &encrypted].concat()))
    }

    /// Decrypts a secret, sealed under the current or the previous key.
    pub fn open(&self, context: &[u8], sealed: &Sealed) -> Result<Secret, CipherError> {
        let (data_key, encrypted) = self.unwrap_data_key(context, sealed.bytes())?;
        let clear = decrypt(&data_key, context, encrypted)?;
        String::from_utf8(clear).map(Secret::new).map_err(|_| CipherError::Forged)
    }

    /// Seals a secret under the current key that is sealed under the previous one; none if it is under the current key.
    pub fn rewrap(&self, context: &[u8], sealed: &Sealed) -> Result<Option<Sealed>, CipherError> {
        let service_key = self.current()?;
        if sealed.bytes().starts_with(&service_key.prefix()) {
            return Ok(None);
        }
        let (data_key, encrypted) = self.unwrap_data_key(context, sealed.bytes())?;
        let wrapped = encrypt(&service_key.bytes, context, &data_key)?;
        Ok(Some(Sealed([&service_key.prefix()[..], &wrapped, encrypted].concat())))
    }

    /// Identifies the current key without disclosing it: the first bytes of every secret that is sealed under it.
    pub fn current_prefix(&self) -> Result<Vec<u8>, CipherError> {
        Ok(self.current()?.prefix().to_vec())
    }

    fn current(&self) -> Result<ServiceKey, CipherError> {
        ServiceKey::parse(&self.current.current())
    }

    /// The key that a sealed secret begins with the prefix of.
    fn key_of(&self, sealed: &[u8]) -> Result<ServiceKey, CipherError> {
        let current = self.current()?;
        if sealed.starts_with(&current.prefix()) {
            return Ok(current);
        }
        let previous = self.previous.as_ref().ok_or(CipherError::UnknownKey)?;
        let previous = ServiceKey::parse(&previous.current())?;
        if sealed.starts_with(&previous.prefix()) { Ok(previous) } else { Err(CipherError::UnknownKey) }
    }

    fn unwrap_data_key<'a>(
        &self,
        context: &[u8],
        sealed: &'a [u8],
    ) -> Result<([u8; KEY_BYTES], &'a [u8]), CipherError> {
        let service_key = self.key_of(sealed)?;
        let rest = sealed.get(PREFIX_BYTES..).unwrap_or_default();
        let (wrapped, encrypted) = rest.split_at_checked(WRAPPED_BYTES).ok_or(CipherError::Forged)?;
        let data_key = decrypt(&service_key.bytes, context, wrapped)?;
        Ok((data_key.try_into().map_err(|_| CipherError::Forged)?, encrypted))
    }
}

impl ServiceKey {
    fn parse(text: &Secret) -> Result<Self, CipherError> {
        let bytes = BASE64_STANDARD.decode(text.expose().trim()).map_err(|_| CipherError::Key)?;
        Ok(Self { bytes: bytes.try_into().map_err(|_| CipherError::Key)? })
    }

    fn prefix(&self) -> [u8; PREFIX_BYTES] {
        let mut prefix = [VERSION; PREFIX_BYTES];
        prefix[1..].copy_from_slice(&digest(&SHA256, &self.bytes).as_ref()[..KEY_ID_BYTES]);
        prefix
    }
}

/// Nonce, encrypted bytes, tag. Bound to the context, so that it cannot be moved to another row.
fn encrypt(key: &[u8; KEY_BYTES], context: &[u8], clear: &[u8]) -> Result<Vec<u8>, CipherError> {
    let mut bytes = clear.to_vec();
    let nonce = aes(key)?.seal_in_place_append_tag(Aad::from(context), &mut bytes).map_err(|_| CipherError::Random)?;
    Ok([&nonce.as_ref()[..], &bytes].concat())
}

fn decrypt(key: &[u8; KEY_BYTES], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
    let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or(CipherError::Forged)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CipherError::Forged)?;
    let mut bytes = bytes.to_vec();
    let aad = Aad::from(context);
    let clear = aes(key)?.open_in_place(nonce, aad, &mut bytes).map_err(|_| CipherError::Forged)?;
    Ok(clear.to_vec())
}

fn aes(key: &[u8; KEY_BYTES]) -> Result<RandomizedNonceKey, CipherError> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| CipherError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &[u8] = b"order 1";

    fn key(byte: u8) -> WatchedSecret {
        WatchedSecret::fixed(BASE64_STANDARD.encode([byte; KEY_BYTES]))
    }

    #[test]
    fn pa7_a_secret_is_read_under_the_current_and_the_previous_key_and_under_no_other() {
        let token = Secret::new("tok_secret");
        let before = EnvelopeCipher::new(key(1), None);
        let sealed = before.seal(ORDER, &token).unwrap();
        assert_ne!(before.seal(ORDER, &token).unwrap(), sealed, "equal secrets do not look equal");
        assert!(!sealed.bytes().windows(10).any(|window| window == b"tok_secret"));
        let rotated = EnvelopeCipher::new(key(2), Some(key(1)));
        assert_eq!(rotated.open(ORDER, &sealed), Ok(token.clone()));
        let rewrapped = rotated.rewrap(ORDER, &sealed).unwrap().unwrap();
        assert_eq!(rotated.rewrap(ORDER, &rewrapped), Ok(None));
        assert!(rewrapped.bytes().starts_with(&rotated.current_prefix().unwrap()));
        let after = EnvelopeCipher::new(key(2), None);
        assert_eq!(after.open(ORDER, &rewrapped), Ok(token));
        assert_eq!(after.open(ORDER, &sealed), Err(CipherError::UnknownKey));
    }

    #[test]
    fn pa7_a_secret_that_was_changed_or_moved_to_another_row_is_not_read() {
        let cipher = EnvelopeCipher::new(key(1), None);
        let sealed = cipher.seal(ORDER, &Secret::new("tok_secret")).unwrap();
        assert_eq!(cipher.open(b"order 2", &sealed), Err(CipherError::Forged));
        for n in PREFIX_BYTES..sealed.bytes().len() {
            let mut bytes = sealed.bytes().to_vec();
            bytes[n] ^= 1;
            assert_eq!(cipher.open(ORDER, &Sealed::new(bytes)), Err(CipherError::Forged), "byte {n}");
        }
        for length in 0..sealed.bytes().len() {
            assert!(cipher.open(ORDER, &Sealed::new(sealed.bytes()[..length].to_vec())).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let cipher = EnvelopeCipher::new(WatchedSecret::fixed(BASE64_STANDARD.encode([1; 16])), None);
        assert_eq!(cipher.seal(ORDER, &Secret::new("tok")), Err(CipherError::Key));
    }
}
