//! A mail server of a test's own.

use agora_mailbox::MailServer;

/// Starts a mail server on loopback that takes every mail. It ends with the test's runtime.
#[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
pub async fn mail_server() -> MailServer {
    let (server, serving) = MailServer::bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    tokio::spawn(serving);
    server
}
