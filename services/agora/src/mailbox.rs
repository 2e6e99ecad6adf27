//! A mail server for development: takes every mail of a shop, delivers none, and shows them over HTTP.

use std::net::{IpAddr, SocketAddr};

use agora_mailbox::{MailServer, router};
use anyhow::Context as _;
use tokio::net::TcpListener;

/// Serves until SIGTERM or SIGINT.
pub async fn run(address: IpAddr, smtp_port: u16, http_port: u16) -> anyhow::Result<()> {
    let mut signal = agora_chassis::shutdown_signal::ShutdownSignal::catch().context("signals cannot be caught")?;
    let (server, taking) = MailServer::bind(SocketAddr::new(address, smtp_port))
        .await
        .with_context(|| format!("could not listen on port {smtp_port}: set --smtp-port to a free one"))?;
    let pages = TcpListener::bind(SocketAddr::new(address, http_port))
        .await
        .with_context(|| format!("could not listen on port {http_port}: set --http-port to a free one"))?;
    println!("mails by SMTP to port {smtp_port}; read them at http://{address}:{http_port}");
    tokio::select! {
        () = taking => Ok(()),
        ended = axum::serve(pages, router(server)).into_future() => ended.context("serving the mailbox"),
        _ = signal.received() => Ok(()),
    }
}
