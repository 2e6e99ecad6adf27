//! TLS of a port: its certificate, which is taken over when its files change, and the handshake. Knows nothing of routes.

use std::{
    fmt, io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{Router, http::Version};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{process::Process, readiness::Dependency, settings::Reader, socket::Socket, watched::WatchedFile};

/// HTTP/2 and HTTP/1.1 in the negotiation of protocols (RFC 7301), the preferred one first.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Time from the change of one file until both are read: a certificate and its key change together, and each is read again
/// after a second at most.
const SETTLED_AFTER: Duration = Duration::from_millis(1_500);

/// The dependency that is degraded while a renewed certificate cannot be used.
const CERTIFICATE: &str = "tls-certificate";

/// The files of a certificate and of its key, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate and those between it and the authority, in this order.
    pub certificate: WatchedFile,
    pub key: WatchedFile,
}

/// A port with TLS beside the plain one of a service.
#[derive(Clone, Debug)]
pub struct TlsPort {
    /// 0: any free one.
    pub number: u16,
    pub tls: ServerTls,
    /// What the plain port serves instead of the public router.
    pub plain: Router,
}

/// Why a certificate and its key cannot be used. Holds nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    #[error("the certificate is no list of certificates in PEM form")]
    Certificate,
    #[error("the key is no private key in PEM form")]
    Key,
    #[error("the key does not belong to the certificate, or has a form that is not supported: {0}")]
    Pair(rustls::Error),
    #[error("TLS cannot be configured: {0}")]
    Settings(rustls::Error),
}

impl TlsFiles {
    /// Reads the paths in `TLS_CERTIFICATE_FILE` and `TLS_KEY_FILE`; `None` if neither is set. One without the other is a fault.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let certificate = reader.optional_file("TLS_CERTIFICATE_FILE");
        let key = reader.optional_file("TLS_KEY_FILE");
        match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Self { certificate, key }),
            (Some(_), None) => {
                reader.fault("TLS_CERTIFICATE_FILE", "needs the key of the certificate: set TLS_KEY_FILE");
                None
            }
            (None, Some(_)) => {
                reader.fault("TLS_KEY_FILE", "needs the certificate of the key: set TLS_CERTIFICATE_FILE");
                None
            }
            (None, None) => None,
        }
    }
}

/// Certificate and settings of a port with TLS. Clones share them.
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// TLS 1.2 and 1.3 with the certificate of these files. A new one is used for new connections within some seconds; while it
    /// cannot be used, the last one stays and the process is degraded (`tls-certificate`).
    pub fn follow(files: TlsFiles, process: &Process) -> Result<Self, TlsFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = certified(&files, &provider)?;
        let current = Arc::new(CurrentCertificate(RwLock::new(Arc::new(certified))));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsFault::Settings)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        let renewal =
            Renewal { files, provider, current, health: process.dependency(CERTIFICATE), shutdown: process.shutdown() };
        process.supervise(CERTIFICATE, move || renewal.clone().run());
        Ok(Self(Arc::new(config)))
    }

    /// The encrypted socket, and the version of HTTP that the client has agreed to.
    pub(crate) async fn accept(self, tcp: TcpStream) -> io::Result<(Socket, Version)> {
        let tls = TlsAcceptor::from(self.0).accept(tcp).await?;
        let version =
            if tls.get_ref().1.alpn_protocol() == Some(HTTP_2) { Version::HTTP_2 } else { Version::HTTP_11 };
        Ok((Socket::Encrypted(Box::new(tls)), version))
    }
}

/// Without the settings, which lead to the key.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// The certificate that new connections are shown.
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl CurrentCertificate {
    fn replace(&self, renewed: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Not the key.
impl fmt::Debug for CurrentCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentCertificate").finish_non_exhaustive()
    }
}

/// The task that takes over renewed certificates.
#[derive(Clone)]
struct Renewal {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: Arc<CurrentCertificate>,
    health: Dependency,
    shutdown: CancellationToken,
}

impl Renewal {
    async fn run(mut self) -> anyhow::Result<()> {
        let shutdown = self.shutdown.clone();
        while shutdown.run_until_cancelled(self.changed()).await.is_some() {
            match certified(&self.files, &self.provider) {
                Ok(renewed) => {
                    self.current.replace(renewed);
                    self.health.up();
                    tracing::info!("new connections are shown the renewed certificate");
                }
                Err(fault) => {
                    tracing::error!(%fault, "the renewed certificate cannot be used; the last one stays");
                    self.health.down(fault.to_string());
                }
            }
        }
        Ok(())
    }

    async fn changed(&mut self) {
        let TlsFiles { certificate, key } = &mut self.files;
        tokio::select! {
            _ = certificate.changed() => {}
            _ = key.changed() => {}
        }
        tokio::time::sleep(SETTLED_AFTER).await;
    }
}

fn certified(files: &TlsFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFault> {
    let (certificate, key) = (files.certificate.current(), files.key.current());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsFault::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| TlsFault::Key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(TlsFault::Pair)
}
