//! The way to a server, which can be cut while the server goes on with its data.
//!
//! Knows TCP; must not know what is sent.

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards connections to a server. Plugged in at first.
#[derive(Debug)]
pub struct Cable {
    address: String,
    plugged: watch::Sender<bool>,
}

impl Cable {
    /// A way to the server at `address` (`host:port`). It ends with the runtime of the test.
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of the test")]
    pub async fn to(address: &str) -> Self {
        let server = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address").to_string();
        let (plugged, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut state) = (server.clone(), state.clone());
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = state.wait_for(|plugged| !plugged) => {}
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        Self { address, plugged }
    }

    /// Where to connect to: `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Cuts all connections; new ones end at once.
    pub fn unplug(&self) {
        self.plugged.send_replace(false);
    }

    /// Lets new connections through.
    pub fn plug_in(&self) {
        self.plugged.send_replace(true);
    }
}
