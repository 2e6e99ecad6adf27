//! Encryption of card tokens: each is bound to the order of its payment.

use agora_cipher::{EnvelopeCipher, Sealed};
use agora_vocab::{OrderId, Secret};

use crate::{
    domain::SealedToken,
    ports::{CipherError, TokenCipher},
};

impl TokenCipher for EnvelopeCipher {
    fn seal(&self, order: OrderId, token: &Secret) -> Result<SealedToken, CipherError> {
        Ok(stored(&Self::seal(self, &context(order), token)?))
    }

    fn open(&self, order: OrderId, token: &SealedToken) -> Result<Secret, CipherError> {
        Self::open(self, &context(order), &sealed(token))
    }

    fn rewrap(&self, order: OrderId, token: &SealedToken) -> Result<Option<SealedToken>, CipherError> {
        Ok(Self::rewrap(self, &context(order), &sealed(token))?.as_ref().map(stored))
    }

    fn current_prefix(&self) -> Result<Vec<u8>, CipherError> {
        Self::current_prefix(self)
    }
}

fn context(order: OrderId) -> [u8; 16] {
    order.uuid().into_bytes()
}

fn sealed(token: &SealedToken) -> Sealed {
    Sealed::new(token.bytes().to_vec())
}

fn stored(sealed: &Sealed) -> SealedToken {
    SealedToken::new(sealed.bytes().to_vec())
}
