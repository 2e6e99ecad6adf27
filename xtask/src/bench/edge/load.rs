//! Open-loop load over keep-alive connections: every request has its time, whatever became of the ones before it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::bench::quantile;

/// Time-out of one read.
const READ_MAX: Duration = Duration::from_secs(10);
/// Longest response that can be read.
const BUFFER_BYTES: usize = 256 << 10;

/// Latency from the time when a request was due, in microseconds.
#[derive(Debug)]
pub struct Report {
    pub p50_us: f64,
    pub p99_us: f64,
}

/// Open connections; each repeats its own request.
pub struct Load {
    connections: Vec<Connection>,
}

struct Connection {
    tcp: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Load {
    /// One connection per request text.
    pub fn connect(port: u16, requests: &[String]) -> Result<Self> {
        let connections = requests.iter().map(|request| Connection::open(port, request)).collect::<Result<_>>()?;
        Ok(Self { connections })
    }

    /// Sends `count` requests, one per `interval`, on the connections in turn. Fails on a status other than 200.
    pub fn send(&mut self, count: usize, interval: Duration) -> Result<Report> {
        let (started, lanes) = (Instant::now(), self.connections.len());
        let mut latencies = std::thread::scope(|scope| {
            let threads = self.connections.iter_mut().enumerate().map(|(lane, connection)| {
                let due = (lane..count).step_by(lanes).map(move |nth| started + interval.mul_f64(as_f64(nth)));
                scope.spawn(move || due.map(|due| connection.ask(due)).collect::<Result<Vec<f64>>>())
            });
            let threads: Vec<_> = threads.collect();
            let joined = threads.into_iter().map(|thread| match thread.join() {
                Ok(latencies) => latencies,
                Err(_) => bail!("a thread of the load panicked"),
            });
            joined.collect::<Result<Vec<_>>>().map(|lanes| lanes.concat())
        })?;
        latencies.sort_by(f64::total_cmp);
        Ok(Report { p50_us: quantile(&latencies, 0.5), p99_us: quantile(&latencies, 0.99) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

impl Connection {
    fn open(port: u16, request: &str) -> Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port)).context("connecting the load")?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(READ_MAX))?;
        Ok(Self { tcp, request: request.as_bytes().to_vec(), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Waits until the request is due, sends it and reads the response to its end.
    fn ask(&mut self, due: Instant) -> Result<f64> {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        self.tcp.write_all(&self.request)?;
        let mut filled = 0;
        loop {
            let read = self.tcp.read(&mut self.buffer[filled..]).context("reading a response")?;
            filled += read;
            if length(&self.buffer[..filled])?.is_some_and(|length| filled >= length) {
                return Ok(due.elapsed().as_secs_f64() * 1e6);
            }
            if read == 0 || filled == self.buffer.len() {
                bail!("a response ended early or is too large");
            }
        }
    }
}

/// Length of the whole response, in bytes; None until its head is complete.
fn length(response: &[u8]) -> Result<Option<usize>> {
    let Some(end) = response.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&response[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("a response is not 200: {}", head.lines().next().unwrap_or_default());
    }
    let body = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = body.context("a response has no Content-Length")?.trim().parse()?;
    Ok(Some(end + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_known_when_the_head_is_complete() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n").unwrap(), None);
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(length(whole).unwrap(), Some(whole.len()));
        assert!(length(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
