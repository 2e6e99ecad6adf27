//! Settings of access tokens: names of environment variables. Holds no keys.

use agora_chassis::{Process, Reader, WatchedFile};
use agora_redis::{Redis, RevokedSessions};

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
    /// Where the list of revoked sessions is.
    pub redis: agora_redis::Config,
}

impl TokenSettings {
    /// Reads `JWKS_FILE`, the settings of Redis, and `TOKEN_ISSUER` and `TOKEN_AUDIENCE`, which are `agora` where they are not
    /// set.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            keys: reader.file("JWKS_FILE"),
            issuer: reader.default("TOKEN_ISSUER", ISSUER.to_owned()),
            audience: reader.default("TOKEN_AUDIENCE", ISSUER.to_owned()),
            redis: agora_redis::Config::read(reader),
        }
    }

    /// The verifier, with a connection to Redis of its own; must be called within the runtime.
    pub fn verifier(self, process: &Process) -> TokenVerifier {
        let redis = Redis::connect(&self.redis.clone().with_one_connection(), process);
        self.verifier_with(redis, process)
    }

    /// The verifier of a service that uses Redis anyway; must be called within the runtime.
    pub fn verifier_with(self, redis: Redis, process: &Process) -> TokenVerifier {
        let revoked = RevokedSessions::follow(redis, process);
        TokenVerifier::refusing(revoked, self.keys, self.issuer, self.audience, process)
    }
}
