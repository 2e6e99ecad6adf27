//! Opens connections to addresses of others. The check is made here, with the address that is connected to.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use agora_chassis::BoxError;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tower::Service;

use super::{
    policy::AddressPolicy,
    resolver::Resolver,
    url::{Host, UrlFault, host, port},
};

/// Addresses of a name that are tried at most.
const ADDRESSES_MAX: usize = 4;

/// Why no connection stands.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    #[error("the URL cannot be used")]
    Url(#[source] UrlFault),
    #[error("port {0} is not allowed")]
    Port(u16),
    /// All addresses of the host belong to private networks.
    #[error("the host has no public address")]
    NoPublicAddress,
    #[error("the host name cannot be resolved")]
    Resolve(#[source] io::Error),
    #[error("the host does not accept connections")]
    Refused(#[source] io::Error),
    #[error("no connection within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// Connects to allowed addresses only.
#[derive(Clone, Debug)]
pub(super) struct GuardedConnector {
    policy: Arc<AddressPolicy>,
    resolver: Arc<dyn Resolver>,
    connect_max: Duration,
}

impl GuardedConnector {
    pub(super) fn new(policy: AddressPolicy, resolver: Arc<dyn Resolver>, connect_max: Duration) -> Self {
        Self { policy: Arc::new(policy), resolver, connect_max }
    }

    async fn connect(&self, uri: &Uri) -> Result<TcpStream, ConnectFault> {
        let port = port(uri).ok_or(ConnectFault::Url(UrlFault::Port))?;
        if !self.policy.allows_port(port) {
            return Err(ConnectFault::Port(port));
        }
        let found = match host(uri).map_err(ConnectFault::Url)? {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.resolver.resolve(name).await.map_err(ConnectFault::Resolve)?,
        };
        let allowed = found.into_iter().filter(|address| self.policy.allows_address(*address));
        self.first_of(&allowed.take(ADDRESSES_MAX).collect::<Vec<_>>(), port).await
    }

    /// Tries the addresses in turn, each for its share of the time.
    async fn first_of(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, ConnectFault> {
        let share = self.connect_max / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = ConnectFault::NoPublicAddress;
        for address in addresses {
            last = match timeout(share, TcpStream::connect((*address, port))).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(ConnectFault::Refused)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => ConnectFault::Refused(error),
                Err(_) => ConnectFault::Timeout(self.connect_max),
            };
        }
        Err(last)
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let max = connector.connect_max;
            match timeout(max, connector.connect(&uri)).await {
                Ok(connected) => Ok(TokioIo::new(connected?)),
                Err(_) => Err(ConnectFault::Timeout(max).into()),
            }
        })
    }
}
