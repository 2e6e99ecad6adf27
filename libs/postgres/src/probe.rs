//! Whether the server lets anyone in, asked directly by one caller at a time; the others read the last result.
//!
//! Knows how to connect; must not know the pool.

use std::{io, time::Duration};

use sqlx::{Connection as _, postgres::PgConnectOptions};
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};

use crate::{
    clear_text::{connect_safely, is_clear_text},
    error::unavailable,
};

/// How long the server may take to let one in when asked directly.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// How long a result is believed.
const RESULT_FRESH: Duration = Duration::from_millis(250);

/// The last result, and who asks.
#[derive(Debug)]
pub(crate) struct Probe {
    last: watch::Sender<Option<Answer>>,
    /// Held by the caller that asks. Never waited for.
    asking: Mutex<()>,
}

/// When the server was asked, and the error if it did not answer.
#[derive(Clone, Copy, Debug)]
struct Answer {
    at: Instant,
    refused: Option<io::ErrorKind>,
}

impl Probe {
    pub fn new() -> Self {
        Self { last: watch::Sender::new(None), asking: Mutex::new(()) }
    }

    /// The error with which the server did not answer a moment ago. Does not wait.
    pub fn refused(&self) -> Option<io::ErrorKind> {
        self.fresh()?.refused
    }

    /// Ends with the error when the server, asked after `patience` and again and again, does not answer.
    pub async fn until_refused(
        &self,
        patience: Duration,
        options: impl Fn() -> Option<PgConnectOptions>,
    ) -> io::ErrorKind {
        let mut results = self.last.subscribe();
        loop {
            tokio::select! {
                // Another caller's result.
                _ = results.changed() => {}
                () = tokio::time::sleep(patience) => {
                    if let Some(options) = options() {
                        self.ask(&options).await;
                    }
                }
            }
            if let Some(kind) = self.refused() {
                return kind;
            }
        }
    }

    /// Tries a connection, unless another caller does or did a moment ago.
    async fn ask(&self, options: &PgConnectOptions) {
        let Ok(_asking) = self.asking.try_lock() else { return };
        if self.fresh().is_none() {
            let refused = Box::pin(connect(options)).await;
            self.last.send_replace(Some(Answer { at: Instant::now(), refused }));
        }
    }

    fn fresh(&self) -> Option<Answer> {
        self.last.borrow().filter(|answer| answer.at.elapsed() < RESULT_FRESH)
    }
}

async fn connect(options: &PgConnectOptions) -> Option<io::ErrorKind> {
    match tokio::time::timeout(PROBE_MAX, connect_safely(options)).await {
        Ok(Ok(connection)) => {
            drop(tokio::time::timeout(PROBE_MAX, connection.close()).await);
            None
        }
        Ok(Err(sqlx::Error::Io(error))) => Some(error.kind()),
        Ok(Err(error)) if unavailable(&error) && !is_clear_text(&error) => Some(io::ErrorKind::ConnectionAborted),
        Ok(Err(_)) => None,
        Err(_) => Some(io::ErrorKind::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgSslMode;
    use tokio::{net::TcpListener, task::JoinSet};

    use super::*;

    #[tokio::test]
    async fn one_caller_asks_the_server_and_all_get_its_result_without_waiting_for_each_other() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = silent.local_addr().expect("an address").port();
        let options = PgConnectOptions::new().host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable);
        let probe = std::sync::Arc::new(Probe::new());
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let (probe, options) = (probe.clone(), options.clone());
            callers
                .spawn(async move { probe.until_refused(Duration::from_millis(10), || Some(options.clone())).await });
        }
        let (first, _) = silent.accept().await.expect("the one that asks");
        // The last result is read while the question is open.
        assert_eq!(probe.refused(), None);
        let results = callers.join_all().await;
        assert_eq!(results, [io::ErrorKind::TimedOut; 20]);
        assert_eq!(probe.refused(), Some(io::ErrorKind::TimedOut));
        let second = tokio::time::timeout(Duration::from_millis(1), silent.accept()).await;
        assert!(second.is_err(), "a second question");
        drop(first);
    }
}
