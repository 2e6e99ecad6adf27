//! Encryption of the secrets of webhooks: each is bound to its endpoint.

use agora_cipher::{CipherError, EnvelopeCipher, Sealed, random_bytes};
use agora_vocab::Secret;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use uuid::Uuid;

use crate::ports::SecretCipher;

/// Random bytes of a secret (Standard Webhooks: 24 to 64).
const SECRET_BYTES: usize = 32;
/// How a secret begins.
const PREFIX: &str = "whsec_";
/// Separates these secrets from others that are encrypted under the same key.
const PURPOSE: &[u8] = b"webhook";

impl SecretCipher for EnvelopeCipher {
    fn generate(&self) -> Result<Secret, CipherError> {
        Ok(Secret::new(format!("{PREFIX}{}", BASE64_STANDARD.encode(random_bytes::<SECRET_BYTES>()?))))
    }

    fn seal(&self, endpoint: Uuid, secret: &Secret) -> Result<Sealed, CipherError> {
        Self::seal(self, &context(endpoint), secret)
    }

    fn open(&self, endpoint: Uuid, sealed: &Sealed) -> Result<Secret, CipherError> {
        Self::open(self, &context(endpoint), sealed)
    }

    fn rewrap(&self, endpoint: Uuid, sealed: &Sealed) -> Result<Option<Sealed>, CipherError> {
        Self::rewrap(self, &context(endpoint), sealed)
    }

    fn current_prefix(&self) -> Result<Vec<u8>, CipherError> {
        Self::current_prefix(self)
    }
}

fn context(endpoint: Uuid) -> Vec<u8> {
    [PURPOSE, endpoint.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use agora_chassis::WatchedSecret;
    use agora_cipher::{CipherError, EnvelopeCipher};
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use uuid::Uuid;

    use super::PREFIX;
    use crate::ports::SecretCipher;

    #[test]
    fn a_secret_is_random_and_readable_for_its_endpoint_only() {
        let cipher = EnvelopeCipher::new(WatchedSecret::fixed(BASE64_STANDARD.encode([1; 32])), None);
        let secret = cipher.generate().unwrap();
        assert_ne!(cipher.generate().unwrap(), secret);
        let encoded = secret.expose().strip_prefix(PREFIX).unwrap();
        assert_eq!(BASE64_STANDARD.decode(encoded).unwrap().len(), 32);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = SecretCipher::seal(&cipher, one, &secret).unwrap();
        assert_eq!(SecretCipher::open(&cipher, one, &sealed), Ok(secret));
        assert_eq!(SecretCipher::open(&cipher, other, &sealed), Err(CipherError::Forged));
    }
}
