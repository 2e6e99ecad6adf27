//! `RedisProbe`: PING over a connection that is kept open.
//!
//! It implements the two commands AUTH and PING itself. A connection pool would run a reconnecting task for every server, and
//! would report a lost connection later. Reads one-line answers of RESP only.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use agora_vocab::Secret;
use async_trait::async_trait;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::external::ports::{RedisError, RedisProbe};

const ANSWER_MS_MAX: u64 = 2_000;
/// Longer than every answer to PING or AUTH.
const LINE_BYTES_MAX: u64 = 1_024;
/// With more endpoints, the connection of the first one by name is closed.
const CONNECTIONS_MAX: usize = 16;

/// Connections that answered the last PING, by endpoint, with the password that they were opened with.
#[derive(Debug, Default)]
pub struct RedisConnections {
    idle: Mutex<BTreeMap<String, (Option<Secret>, Connection)>>,
}

type Connection = BufReader<TcpStream>;

#[async_trait]
impl RedisProbe for RedisConnections {
    async fn ping(&self, endpoint: &str, password: Option<&Secret>) -> Result<(), RedisError> {
        if let Some(idle) = self.take(endpoint, password)
            && let Ok(connection) = within_deadline(ping(idle)).await
        {
            self.keep(endpoint, password, connection);
            return Ok(());
        }
        let connection = within_deadline(connect(endpoint, password)).await;
        let connection = connection.map_err(|failure| redis_error(endpoint, failure))?;
        self.keep(endpoint, password, connection);
        Ok(())
    }
}

impl RedisConnections {
    fn take(&self, endpoint: &str, password: Option<&Secret>) -> Option<Connection> {
        let (with, connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint)?;
        (with.as_ref() == password).then_some(connection)
    }

    fn keep(&self, endpoint: &str, password: Option<&Secret>, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= CONNECTIONS_MAX {
            idle.pop_first();
        }
        idle.insert(endpoint.to_owned(), (password.cloned(), connection));
    }
}

/// Why the answer was not PONG.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    #[error("no answer in {ANSWER_MS_MAX} ms")]
    Timeout,
    #[error("the server requires another password")]
    Password,
    #[error("the answer is not one of Redis")]
    ConditionState,
    #[error("the server is loading its data or is busy")]
    Busy,
}

fn redis_error(endpoint: &str, failure: Failure) -> RedisError {
    let endpoint = endpoint.to_owned();
    match failure {
        Failure::Password => RedisError::AuthenticationFailed { endpoint },
        other => RedisError::Unreachable { endpoint, source: other.into() },
    }
}

async fn within_deadline<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(Duration::from_millis(ANSWER_MS_MAX), work).await.unwrap_or(Err(Failure::Timeout))
}

async fn connect(endpoint: &str, password: Option<&Secret>) -> Result<Connection, Failure> {
    let mut connection = BufReader::new(TcpStream::connect(endpoint).await?);
    if let Some(password) = password {
        let password = password.expose();
        let command = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len());
        connection = call(connection, command.as_bytes(), "+OK").await?;
    }
    ping(connection).await
}

async fn ping(connection: Connection) -> Result<Connection, Failure> {
    call(connection, b"*1\r\n$4\r\nPING\r\n", "+PONG").await
}

async fn call(mut connection: Connection, command: &[u8], expected: &str) -> Result<Connection, Failure> {
    use tokio::io::AsyncReadExt as _;
    connection.write_all(command).await?;
    let mut line = String::new();
    (&mut connection).take(LINE_BYTES_MAX).read_line(&mut line).await?;
    match line.trim_end() {
        answer if answer == expected => Ok(connection),
        answer if ["-NOAUTH", "-WRONGPASS", "-ERR AUTH", "-NOPERM"].iter().any(|code| answer.starts_with(code)) => {
            Err(Failure::Password)
        }
        // Before Redis 6 it is `ERR invalid password`; without a password it is `ERR Client sent AUTH, but no password is set`.
        answer if answer.starts_with("-ERR") && answer.contains("password") => Err(Failure::Password),
        answer
            if answer.starts_with("-LOADING") || answer.starts_with("-BUSY") || answer.starts_with("-MASTERDOWN") =>
        {
            Err(Failure::Busy)
        }
        "" => Err(Failure::Connection(io::ErrorKind::UnexpectedEof.into())),
        _ => Err(Failure::ConditionState),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the server side of a connection is a task of the test")]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers commands from a table. Returns its address and the number of accepted connections.
    async fn redis(answers: &'static [(&'static str, &'static str)]) -> (String, std::sync::Arc<Mutex<usize>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let connections = std::sync::Arc::new(Mutex::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                tokio::spawn(async move {
                    let mut lines = BufReader::new(stream).lines();
                    while let Ok(Some(line)) = lines.next_line().await {
                        if let Some((_, answer)) = answers.iter().find(|(command, _)| *command == line) {
                            lines.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        (endpoint, connections)
    }

    #[tokio::test]
    async fn pings_share_a_connection_unless_the_password_differs() {
        let (endpoint, connections) = redis(&[("AUTH", "+OK"), ("PING", "+PONG")]).await;
        let probe = RedisConnections::default();
        probe.ping(&endpoint, None).await.unwrap();
        probe.ping(&endpoint, None).await.unwrap();
        assert_eq!(*connections.lock().unwrap(), 1);
        probe.ping(&endpoint, Some(&Secret::new("word"))).await.unwrap();
        assert_eq!(*connections.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_rejected_password_and_an_unreachable_server_are_different_errors() {
        let probe = RedisConnections::default();
        let (endpoint, _) = redis(&[("AUTH", "-WRONGPASS invalid username-password pair")]).await;
        let rejected = probe.ping(&endpoint, Some(&Secret::new("wrong"))).await;
        assert!(matches!(rejected, Err(RedisError::AuthenticationFailed { .. })));
        let (endpoint, _) = redis(&[("PING", "-NOAUTH Authentication required.")]).await;
        assert!(matches!(probe.ping(&endpoint, None).await, Err(RedisError::AuthenticationFailed { .. })));
        assert!(matches!(probe.ping("127.0.0.1:1", None).await, Err(RedisError::Unreachable { .. })));
        let (endpoint, _) = redis(&[("PING", "-LOADING Redis is loading the dataset in memory")]).await;
        assert!(matches!(probe.ping(&endpoint, None).await, Err(RedisError::Unreachable { .. })));
    }

    #[tokio::test]
    async fn a_broken_connection_is_replaced() {
        let (endpoint, connections) = redis(&[("PING", "+PONG")]).await;
        let probe = RedisConnections::default();
        probe.ping(&endpoint, None).await.unwrap();
        let mut idle = probe.take(&endpoint, None).unwrap();
        idle.get_mut().shutdown().await.unwrap();
        probe.keep(&endpoint, None, idle);
        probe.ping(&endpoint, None).await.unwrap();
        assert_eq!(*connections.lock().unwrap(), 2);
    }
}
