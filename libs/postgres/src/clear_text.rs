//! No password is sent in clear text: sqlx answers any server that asks for it so. Where a connection may have no TLS, the
//! server is asked for its method first, on a connection of its own, which ends before a password is due.
//!
//! This finds a server that is configured so. One that answers two connections differently is kept out by TLS alone.

use std::io;

use sqlx::{
    Connection as _,
    postgres::{PgConnectOptions, PgConnection, PgSslMode},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Version 3.0 of the protocol.
const PROTOCOL: u32 = 3 << 16;
/// Asks for TLS: the length of the message, and its code.
const TLS_REQUEST: [u32; 2] = [8, 80_877_103];
const WITHOUT_TLS: u8 = b'N';
/// Kind of the message that names the method.
const AUTHENTICATION: u8 = b'R';
const CLEAR_TEXT: u32 = 3;

#[derive(Debug, thiserror::Error)]
#[error(
    "the server asks for the password in clear text and the connection has no TLS, so that it is not sent: set the method \
     scram-sha-256 in the server's pg_hba.conf, or use TLS"
)]
struct ClearTextPassword;

/// Connects, unless the password would be sent in clear text.
pub(crate) async fn connect_safely(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    refuse_clear_text(options).await?;
    // Boxed: connecting takes 16 KiB of state.
    Box::pin(PgConnection::connect_with(options)).await
}

/// Fails if the password would be sent in clear text ([`is_clear_text`]). Returns false if that is not known, because the server
/// refused the connection before it named its method; the login then says why.
pub async fn refuse_clear_text(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let prefers_tls = match options.get_ssl_mode() {
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => return Ok(true),
        PgSslMode::Prefer => true,
        PgSslMode::Disable | PgSslMode::Allow => false,
    };
    if options.get_socket().is_some() || options.get_host().starts_with('/') {
        return Ok(true);
    }
    match method(options, prefers_tls).await? {
        Method::Named(CLEAR_TEXT) => Err(sqlx::Error::Configuration(ClearTextPassword.into())),
        Method::Named(_) | Method::Tls => Ok(true),
        Method::Refused => Ok(false),
    }
}

/// Whether an error of [`refuse_clear_text`] says that the password would be sent in clear text.
pub fn is_clear_text(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Configuration(source) if source.is::<ClearTextPassword>())
}

/// What a server answers to a start-up message.
enum Method {
    /// The connection will have TLS.
    Tls,
    Named(u32),
    Refused,
}

async fn method(options: &PgConnectOptions, prefers_tls: bool) -> io::Result<Method> {
    // The host of a URL with an IPv6 address has brackets.
    let host = options.get_host().trim_matches(&['[', ']'][..]);
    let mut server = TcpStream::connect((host, options.get_port())).await?;
    if prefers_tls {
        server.write_all(&TLS_REQUEST.map(u32::to_be_bytes).concat()).await?;
        if server.read_u8().await? != WITHOUT_TLS {
            return Ok(Method::Tls);
        }
    }
    server.write_all(&start_up(options)).await?;
    if server.read_u8().await? != AUTHENTICATION {
        return Ok(Method::Refused);
    }
    let _length = server.read_u32().await?;
    Ok(Method::Named(server.read_u32().await?))
}

/// The start-up message, from which the server chooses its method.
fn start_up(options: &PgConnectOptions) -> Vec<u8> {
    let user = options.get_username();
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for text in ["user", user, "database", options.get_database().unwrap_or(user), ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + size_of::<u32>()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &body[..]].concat()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const SCRAM: u32 = 10;

    /// A server that names this method, and returns what the client sends after that.
    async fn server(listener: &TcpListener, method: u32) -> Vec<u8> {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut start = vec![0; client.read_u32().await.expect("a length") as usize - 4];
        client.read_exact(&mut start).await.expect("a message");
        assert_eq!(start, b"\0\x03\0\0user\0shop\0database\0orders\0\0");
        let answer = [&[AUTHENTICATION, 0, 0, 0, 8][..], &method.to_be_bytes()[..]].concat();
        client.write_all(&answer).await.expect("an answer");
        let mut sent = Vec::new();
        client.read_to_end(&mut sent).await.expect("the client leaves");
        sent
    }

    async fn listener(mode: PgSslMode) -> (TcpListener, PgConnectOptions) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).ssl_mode(mode);
        (listener, options.username("shop").password("hunter2").database("orders"))
    }

    #[tokio::test]
    async fn a_server_that_asks_for_the_password_in_clear_text_gets_none() {
        let (listener, options) = listener(PgSslMode::Disable).await;
        let (refused, sent) = tokio::join!(connect_safely(&options), server(&listener, CLEAR_TEXT));
        let refused = refused.expect_err("clear text");
        assert!(is_clear_text(&refused) && refused.to_string().contains("scram-sha-256"), "{refused}");
        assert!(sent.is_empty(), "{sent:?}");
        let (known, _) = tokio::join!(refuse_clear_text(&options), server(&listener, SCRAM));
        assert!(known.expect("a method without clear text"));
    }

    #[tokio::test]
    async fn a_server_with_tls_may_ask_for_it() {
        let (listener, options) = listener(PgSslMode::Prefer).await;
        let with_tls = async {
            let (mut client, _) = listener.accept().await.expect("a client");
            assert_eq!(client.read_u64().await.expect("a request for TLS"), 0x0000_0008_04d2_162f);
            client.write_all(b"S").await.expect("an answer");
            client.read_u8().await.expect_err("the client leaves");
        };
        let (known, ()) = tokio::join!(refuse_clear_text(&options), with_tls);
        assert!(known.expect("TLS"));
        assert!(refuse_clear_text(&options.ssl_mode(PgSslMode::VerifyFull)).await.expect("TLS"), "no connection");
    }
}
