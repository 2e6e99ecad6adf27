//! A client of HTTP/1.1 that can behave badly: from any address of the loopback network, one connection each.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

/// Longest wait for an answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Pause between two newcomers.
const NEWCOMER_PAUSE: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 16 << 10;

/// The address of the client with this number: one of 16 million.
pub fn address(client: u32) -> IpAddr {
    let [_, a, b, c] = client.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, a.saturating_add(1), b, c.max(1)))
}

/// Connects from the address of a client.
pub async fn connect(from: IpAddr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let tcp = tokio::time::timeout(ANSWER_MAX, socket.connect(to)).await.context("no connection")??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n")
}

pub fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: shop.example\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Sends a request and returns the status of its answer; `None` if the connection ended before it.
pub async fn ask(tcp: &mut TcpStream, request: &[u8]) -> Option<u16> {
    // A server may answer before it has read everything; the answer counts.
    drop(tcp.write_all(request).await);
    status(tcp).await
}

/// Reads an answer to its end and returns its status; `None` if there is none.
pub async fn status(tcp: &mut (impl AsyncRead + Unpin)) -> Option<u16> {
    let mut answer = Vec::new();
    let reading = async {
        let mut some = vec![0; READ_BYTES];
        while whole(&answer).is_none() {
            match tcp.read(&mut some).await {
                Ok(read @ 1..) => answer.extend_from_slice(&some[..read]),
                _ => break,
            }
        }
    };
    drop(tokio::time::timeout(ANSWER_MAX, reading).await);
    whole(&answer)
}

/// One request on a connection of its own.
pub async fn once(from: IpAddr, to: SocketAddr, request: &str) -> Option<u16> {
    let mut tcp = connect(from, to).await.ok()?;
    ask(&mut tcp, request.as_bytes()).await
}

/// Reads a page of products on a new connection, one after the other, until told to stop. Returns the longest wait.
pub async fn newcomers(to: SocketAddr, end: Arc<Notify>) -> Result<Duration> {
    let ended = end.notified();
    tokio::pin!(ended);
    let (mut longest, mut number) = (Duration::ZERO, 0);
    loop {
        let started = Instant::now();
        number += 1;
        let status = once(address(0x00fe_0000 + number), to, &get("/api/v1/products?limit=1")).await;
        longest = longest.max(if status == Some(200) { started.elapsed() } else { ANSWER_MAX });
        tokio::select! {
            () = &mut ended => return Ok(longest),
            () = tokio::time::sleep(NEWCOMER_PAUSE) => {}
        }
    }
}

/// Whether the admin port of a service answers that it is ready.
pub fn is_ready(admin: SocketAddr) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut tcp = std::net::TcpStream::connect_timeout(&admin, Duration::from_secs(1))?;
        tcp.set_read_timeout(Some(Duration::from_secs(2)))?;
        tcp.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The status of an answer that is complete.
fn whole(answer: &[u8]) -> Option<u16> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.strip_prefix("http/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap_or(0));
    (answer.len() >= end + 4 + length).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        assert_eq!(whole(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nab"), None);
        assert_eq!(whole(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nabc"), Some(413));
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(204));
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\n"), None);
    }

    #[test]
    fn each_client_has_an_address_of_the_loopback_network() {
        let all: std::collections::BTreeSet<_> = (0..600).map(|client| address(client * 256 + 7)).collect();
        assert_eq!(all.len(), 600);
        assert!(all.iter().all(IpAddr::is_loopback));
    }
}
