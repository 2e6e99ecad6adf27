//! A throwaway Redis: one server per test process, nothing written to disk.
//!
//! Knows how to run a server; must not know keys.

use std::sync::OnceLock;

use crate::server::{Server, folder, free_port, location};

/// A Redis of one's own: for tests that stop it.
#[derive(Debug)]
pub struct RedisServer(Server);

impl RedisServer {
    /// Starts a server (`AGORA_REDIS_SERVER`).
    pub fn start() -> Self {
        let program = location("AGORA_REDIS_SERVER").to_str().expect("UTF-8").to_owned();
        let folder = folder("redis");
        let port = free_port();
        let dir = folder.path().to_str().expect("UTF-8").to_owned();
        let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir", &dir];
        let command: Vec<String> = std::iter::once(program).chain(arguments.map(str::to_owned)).collect();
        let server = Server::new(folder, port, &command);
        server.start();
        Self(server)
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://{}", self.0.address())
    }

    /// Kills it: what it held is gone.
    pub fn stop(&self) {
        self.0.kill();
    }

    /// Starts it again, empty, on the same port.
    pub fn resume(&self) {
        self.0.start();
    }
}

/// The URL of the test process's Redis, which all its tests share: use keys of your own.
pub async fn redis() -> String {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    SERVER.get_or_init(RedisServer::start).url()
}

#[cfg(all(test, feature = "db-tests"))]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn it_answers() {
        let server = RedisServer::start();
        let mut socket = std::net::TcpStream::connect(server.0.address()).expect("listening");
        socket.write_all(b"PING\r\n").expect("writing");
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"+PONG");
    }
}
