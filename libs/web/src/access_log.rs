//! The access log of the port that clients connect to: one line for each request, of reads for some.
//!
//! A line has the route and not the path, and neither query nor address: what is personal is not in the log. The ids of request,
//! trace, user and order are those of the request's span.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::http::StatusCode;

/// Writes a line for each request that changes something or fails for a reason of the server's, and for one in so many reads.
#[derive(Debug)]
pub struct AccessLog {
    one_read_in: u32,
    reads: AtomicU32,
}

impl AccessLog {
    /// Writes a line for one in `one_read_in` reads; 0 counts as 1.
    pub const fn new(one_read_in: u32) -> Self {
        let one_read_in = if one_read_in == 0 { 1 } else { one_read_in };
        Self { one_read_in, reads: AtomicU32::new(0) }
    }

    /// Writes the line of a response, if this one is due. `one_in` says of how many such requests it is one.
    pub(crate) fn write(&self, (method, route): (&'static str, &str), status: StatusCode, took: Duration) {
        let took_ms = took.as_secs_f64() * 1000.0;
        let Some(one_in) = self.sample(method, status) else { return };
        let status = status.as_u16();
        if status >= 500 {
            tracing::warn!(target: "access", method, route, status, took_ms, one_in, "request failed");
        } else {
            tracing::info!(target: "access", method, route, status, took_ms, one_in, "request");
        }
    }

    /// Of how many such requests this one is the one that is written; `None`: it is one of the others.
    fn sample(&self, method: &str, status: StatusCode) -> Option<u32> {
        let is_read = matches!(method, "GET" | "HEAD" | "OPTIONS");
        if !is_read || status.is_server_error() {
            return Some(1);
        }
        let number = self.reads.fetch_add(1, Ordering::Relaxed);
        (number % self.one_read_in == 0).then_some(self.one_read_in)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::AccessLog;

    #[test]
    fn de15_of_reads_that_succeed_one_in_so_many_is_written_and_of_everything_else_all() {
        let log = AccessLog::new(3);
        let reads: Vec<_> = (0..6).map(|_| log.sample("GET", StatusCode::OK)).collect();
        assert_eq!(reads, [Some(3), None, None, Some(3), None, None]);
        for _ in 0..4 {
            assert_eq!(log.sample("POST", StatusCode::CREATED), Some(1));
            assert_eq!(log.sample("DELETE", StatusCode::NOT_FOUND), Some(1));
            assert_eq!(log.sample("GET", StatusCode::BAD_GATEWAY), Some(1));
        }
        assert_eq!(AccessLog::new(0).sample("GET", StatusCode::OK), Some(1));
    }
}
