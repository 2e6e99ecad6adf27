//! Settings of access tokens: names of environment variables. Holds no keys.

use agora_chassis::{Process, Reader, WatchedFile};

use crate::verifier::TokenVerifier;

/// Default issuer and audience of tokens.
const ISSUER: &str = "agora";

/// Where the keys are, and who issues tokens for whom.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    pub keys: WatchedFile,
    /// `iss` of a token that is ours.
    pub issuer: String,
    /// `aud` of a token that is for us.
    pub audience: String,
}

impl TokenSettings {
    /// Reads `JWKS_FILE`, and `TOKEN_ISSUER` and `TOKEN_AUDIENCE`, which are `agora` where they are not set.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            keys: reader.file("JWKS_FILE"),
            issuer: reader.default("TOKEN_ISSUER", ISSUER.to_owned()),
            audience: reader.default("TOKEN_AUDIENCE", ISSUER.to_owned()),
        }
    }

    /// The verifier; must be called within the runtime.
    pub fn verifier(self, process: &Process) -> TokenVerifier {
        TokenVerifier::watch(self.keys, self.issuer, self.audience, process)
    }
}
