//! Whether a Redis answers: PING over a connection that is kept.
//!
//! Speaks the two commands that it needs by itself: a pool with its reconnecting tasks would be work for every Redis at
//! rest, and says later than this that a connection is lost. Knows RESP's one-line answers; must not know keys.

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
/// More than any one-line answer to PING or AUTH.
const LINE_BYTES_MAX: u64 = 1_024;
/// Beyond it the oldest names are forgotten and connected to anew.
const KEPT_MAX: usize = 16;

/// Connections that answered last time, by endpoint and password.
#[derive(Debug, Default)]
pub struct RedisConnections {
    kept: Mutex<BTreeMap<String, (Option<Secret>, Connection)>>,
}

type Connection = BufReader<TcpStream>;

#[async_trait]
impl RedisProbe for RedisConnections {
    async fn ping(&self, endpoint: &str, password: Option<&Secret>) -> Result<(), RedisError> {
        if let Some(kept) = self.take(endpoint, password)
            && let Ok(alive) = within_time(pinged(kept)).await
        {
            self.keep(endpoint, password, alive);
            return Ok(());
        }
        let fresh = within_time(connected(endpoint, password)).await.map_err(|error| refusal(endpoint, error))?;
        self.keep(endpoint, password, fresh);
        Ok(())
    }
}

impl RedisConnections {
    fn take(&self, endpoint: &str, password: Option<&Secret>) -> Option<Connection> {
        let (with, connection) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint)?;
        (with.as_ref() == password).then_some(connection)
    }

    fn keep(&self, endpoint: &str, password: Option<&Secret>, connection: Connection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.pop_first();
        }
        kept.insert(endpoint.to_owned(), (password.cloned(), connection));
    }
}

/// Why a Redis did not say PONG.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    #[error("no answer in {ANSWER_MS_MAX} ms")]
    TooLate,
    #[error("it wants a password, or another")]
    Password,
    #[error("its answer is none of a Redis")]
    Answer,
    #[error("it is loading its data or busy")]
    NotNow,
}

fn refusal(endpoint: &str, failure: Failure) -> RedisError {
    let endpoint = endpoint.to_owned();
    match failure {
        Failure::Password => RedisError::AuthenticationFailed { endpoint },
        other => RedisError::Unreachable { endpoint, source: other.into() },
    }
}

async fn within_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(Duration::from_millis(ANSWER_MS_MAX), work).await.unwrap_or(Err(Failure::TooLate))
}

async fn connected(endpoint: &str, password: Option<&Secret>) -> Result<Connection, Failure> {
    let mut connection = BufReader::new(TcpStream::connect(endpoint).await?);
    if let Some(password) = password {
        let password = password.expose();
        let command = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len());
        connection = asked(connection, command.as_bytes(), "+OK").await?;
    }
    pinged(connection).await
}

async fn pinged(connection: Connection) -> Result<Connection, Failure> {
    asked(connection, b"*1\r\n$4\r\nPING\r\n", "+PONG").await
}

async fn asked(mut connection: Connection, command: &[u8], expected: &str) -> Result<Connection, Failure> {
    use tokio::io::AsyncReadExt as _;
    connection.write_all(command).await?;
    let mut line = String::new();
    (&mut connection).take(LINE_BYTES_MAX).read_line(&mut line).await?;
    match line.trim_end() {
        answer if answer == expected => Ok(connection),
        answer if ["-NOAUTH", "-WRONGPASS", "-ERR AUTH", "-NOPERM"].iter().any(|code| answer.starts_with(code)) => {
            Err(Failure::Password)
        }
        // Before version 6: `ERR invalid password`; without one: `ERR Client sent AUTH, but no password is set`.
        answer if answer.starts_with("-ERR") && answer.contains("password") => Err(Failure::Password),
        answer
            if answer.starts_with("-LOADING") || answer.starts_with("-BUSY") || answer.starts_with("-MASTERDOWN") =>
        {
            Err(Failure::NotNow)
        }
        "" => Err(Failure::Connection(io::ErrorKind::UnexpectedEof.into())),
        _ => Err(Failure::Answer),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the other side of a connection is a task of the test")]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Accepts connections and answers each line that names a command; returns how many connections came.
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
    async fn two_pings_share_a_connection_and_another_password_does_not() {
        let (endpoint, connections) = redis(&[("AUTH", "+OK"), ("PING", "+PONG")]).await;
        let probe = RedisConnections::default();
        probe.ping(&endpoint, None).await.unwrap();
        probe.ping(&endpoint, None).await.unwrap();
        assert_eq!(*connections.lock().unwrap(), 1);
        probe.ping(&endpoint, Some(&Secret::new("word"))).await.unwrap();
        assert_eq!(*connections.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_refused_password_and_an_absent_server_are_told_apart() {
        let probe = RedisConnections::default();
        let (endpoint, _) = redis(&[("AUTH", "-WRONGPASS invalid username-password pair")]).await;
        let refused = probe.ping(&endpoint, Some(&Secret::new("wrong"))).await;
        assert!(matches!(refused, Err(RedisError::AuthenticationFailed { .. })));
        let (endpoint, _) = redis(&[("PING", "-NOAUTH Authentication required.")]).await;
        assert!(matches!(probe.ping(&endpoint, None).await, Err(RedisError::AuthenticationFailed { .. })));
        assert!(matches!(probe.ping("127.0.0.1:1", None).await, Err(RedisError::Unreachable { .. })));
        let (endpoint, _) = redis(&[("PING", "-LOADING Redis is loading the dataset in memory")]).await;
        assert!(matches!(probe.ping(&endpoint, None).await, Err(RedisError::Unreachable { .. })));
    }

    #[tokio::test]
    async fn a_connection_that_died_is_made_anew() {
        let (endpoint, connections) = redis(&[("PING", "+PONG")]).await;
        let probe = RedisConnections::default();
        probe.ping(&endpoint, None).await.unwrap();
        let mut kept = probe.take(&endpoint, None).unwrap();
        kept.get_mut().shutdown().await.unwrap();
        probe.keep(&endpoint, None, kept);
        probe.ping(&endpoint, None).await.unwrap();
        assert_eq!(*connections.lock().unwrap(), 2);
    }
}
