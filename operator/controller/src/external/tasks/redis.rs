//! One look at Redis.

use std::error::Error as _;

use agora_crd::Reason;

use super::Look;
use crate::decide::desired::external::{Fingerprint, RedisWanted};
use crate::decide::observed::{RedisOutcome, Trouble};
use crate::external::ports::{RedisError, RedisProbe};

/// Asks whether it is there.
pub async fn tend(probe: &dyn RedisProbe, wanted: &RedisWanted) -> Look<RedisOutcome> {
    let answer = probe.ping(&wanted.endpoint, wanted.password.as_ref()).await.map_err(|error| trouble(&error));
    let good = answer.is_ok();
    Look { outcome: RedisOutcome { wanted: wanted.fingerprint(), answer }, good, corrected: Vec::new() }
}

fn trouble(error: &RedisError) -> Trouble {
    let (reason, remedy) = match error {
        RedisError::Unreachable { .. } => (Reason::RedisUnreachable, "see spec.redis.external and the server"),
        RedisError::AuthenticationFailed { .. } => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.redis.external.secretRef names")
        }
    };
    let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
    Trouble::new(reason, format!("{error}{cause}: {remedy}"))
}
