//! Rate-limited logging of librdkafka's errors: each client of an unreachable broker reports several a second, and the
//! operation that fails is reported by its caller anyway.
//!
//! Contains librdkafka's callbacks only.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

/// Interval after which the same error is a warning again.
const REPEAT_AFTER: Duration = Duration::from_secs(30);

/// The context of producers and admin clients; consumers delegate to it.
#[derive(Debug, Default)]
pub(crate) struct ErrorLog {
    last: Mutex<Option<(Option<RDKafkaErrorCode>, Instant)>>,
}

impl ErrorLog {
    /// Whether this error was not logged within the interval; records it as logged.
    fn is_due(&self, code: Option<RDKafkaErrorCode>, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.is_some_and(|(of, at)| of == code && now.duration_since(at) < REPEAT_AFTER);
        if !known {
            *last = Some((code, now));
        }
        !known
    }
}

impl ClientContext for ErrorLog {
    fn error(&self, error: KafkaError, reason: &str) {
        // An unreachable broker causes several error codes; count them as one.
        let code = error.rdkafka_error_code().map(|code| match code {
            RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::Resolve => RDKafkaErrorCode::BrokerTransportFailure,
            other => other,
        });
        if self.is_due(code, Instant::now()) {
            tracing::warn!(%error, reason, "Kafka client error");
        } else {
            tracing::debug!(%error, reason, "Kafka client error");
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
    fn the_same_error_is_logged_once_per_interval_and_another_at_once() {
        let (log, start) = (ErrorLog::default(), Instant::now());
        let (unreachable, denied) =
            (Some(RDKafkaErrorCode::BrokerTransportFailure), Some(RDKafkaErrorCode::Authentication));
        assert!(log.is_due(unreachable, start));
        assert!(!log.is_due(unreachable, start + REPEAT_AFTER / 2));
        assert!(log.is_due(denied, start + REPEAT_AFTER / 2));
        assert!(log.is_due(unreachable, start + REPEAT_AFTER));
        assert!(!log.is_due(unreachable, start + REPEAT_AFTER));
    }
}
