//! The list of revoked sessions in Redis. Depends on `ports` and `domain` only; the database has what is in it.

use agora_chassis::BoxError;
use agora_redis::{Redis, RevokedSession};
use async_trait::async_trait;

use crate::{domain::Revocation, ports::RevocationList};

/// The list that every service of the marketplace reads once a second.
#[derive(Clone, Debug)]
pub struct RedisRevocations(pub Redis);

#[async_trait]
impl RevocationList for RedisRevocations {
    async fn publish(&self, revocations: &[Revocation], all: bool) -> Result<bool, BoxError> {
        let sessions: Vec<RevokedSession> = revocations
            .iter()
            .map(|&Revocation { number: _, session, ends }| RevokedSession { session, ends })
            .collect();
        Ok(self.0.publish_revoked(&sessions, all).await?)
    }
}
