//! What librdkafka says of its own accord, said once in a while: of a broker that is away every client reports several
//! times a second, and whoever uses the client tells of its own failures.
//!
//! Knows librdkafka's callbacks; decides nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

/// The same trouble is a warning again after so long.
const AGAIN: Duration = Duration::from_secs(30);

/// The context of a client that needs no other, and the voice of those that do.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    told: Mutex<Option<(Option<RDKafkaErrorCode>, Instant)>>,
}

impl Trouble {
    /// Whether this trouble is news; the next like it is not, for a while.
    fn is_news(&self, code: Option<RDKafkaErrorCode>, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.is_some_and(|(of, at)| of == code && now.duration_since(at) < AGAIN);
        if !known {
            *told = Some((code, now));
        }
        !known
    }
}

impl ClientContext for Trouble {
    fn error(&self, error: KafkaError, reason: &str) {
        // One broker that is away is many kinds of errors; the transport's stand for all of them.
        let code = error.rdkafka_error_code().map(|code| match code {
            RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Resolve => RDKafkaErrorCode::BrokerTransportFailure,
            other => other,
        });
        if self.is_news(code, Instant::now()) {
            tracing::warn!(%error, reason, "trouble with Kafka");
        } else {
            tracing::debug!(%error, reason, "trouble with Kafka");
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, line, "librdkafka");
            }
            _ => tracing::debug!(facility, line, "librdkafka"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trouble_is_news_once_in_a_while_and_another_at_once() {
        let (trouble, begun) = (Trouble::default(), Instant::now());
        let (away, denied) = (Some(RDKafkaErrorCode::BrokerTransportFailure), Some(RDKafkaErrorCode::Authentication));
        assert!(trouble.is_news(away, begun));
        assert!(!trouble.is_news(away, begun + AGAIN / 2));
        assert!(trouble.is_news(denied, begun + AGAIN / 2));
        assert!(trouble.is_news(away, begun + AGAIN));
        assert!(!trouble.is_news(away, begun + AGAIN));
    }
}
