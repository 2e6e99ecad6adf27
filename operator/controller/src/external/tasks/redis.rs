//! The inspection of Redis. There is nothing to correct.

use std::sync::Arc;

use agora_crd::Reason;
use async_trait::async_trait;

use super::resource::{External, Inspection};
use crate::decide::desired::external::{DesiredRedis, Fingerprint};
use crate::decide::observed::{ConditionError, RedisObservation};
use crate::external::ports::{RedisError, RedisProbe, with_source};

pub struct Redis(pub Arc<dyn RedisProbe>);

#[async_trait]
impl External for Redis {
    type Desired = DesiredRedis;
    type Observation = RedisObservation;

    async fn reconcile(&self, desired: &DesiredRedis, _initial: bool) -> Inspection<RedisObservation> {
        let answer = self.0.ping(&desired.endpoint, desired.password.as_ref()).await;
        let answer = answer.map_err(|error| condition_error(&error));
        let succeeded = answer.is_ok();
        let observation = RedisObservation { desired: desired.fingerprint(), answer };
        Inspection { observation, succeeded, awaited: false, corrections: Vec::new() }
    }

    fn overdue(&self, desired: &DesiredRedis, seconds: u64) -> RedisObservation {
        let message =
            format!("Redis {} did not answer within {seconds} s: check the server and the network", desired.endpoint);
        let answer = Err(ConditionError::new(Reason::RedisUnreachable, message));
        RedisObservation { desired: desired.fingerprint(), answer }
    }
}

fn condition_error(error: &RedisError) -> ConditionError {
    let (reason, remedy) = match error {
        RedisError::Unreachable { .. } => {
            (Reason::RedisUnreachable, "check spec.redis.external and that the server runs and is reachable")
        }
        RedisError::AuthenticationFailed { .. } => {
            (Reason::AuthenticationFailed, "correct the Secret that spec.redis.external.secretRef names")
        }
    };
    ConditionError::new(reason, format!("{}: {remedy}", with_source(error)))
}
