//! What every public port reads about access tokens. Knows the names in the environment, no keys.

use agora_chassis::{Process, Reader, WatchedFile};

use crate::verifier::TokenVerifier;

/// Where the keys are, and who issues tokens for whom.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The JWKS.
    pub keys: WatchedFile,
    /// `iss` of a token that is ours.
    pub issuer: String,
    /// `aud` of a token that is for us.
    pub audience: String,
}

impl TokenSettings {
    /// Reads `JWKS_FILE`, `TOKEN_ISSUER` and `TOKEN_AUDIENCE`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            keys: reader.file("JWKS_FILE"),
            issuer: reader.required("TOKEN_ISSUER"),
            audience: reader.required("TOKEN_AUDIENCE"),
        }
    }

    /// The verifier; must be called within the runtime.
    pub fn verifier(self, process: &Process) -> TokenVerifier {
        TokenVerifier::watch(self.keys, self.issuer, self.audience, process)
    }
}
