//! The gateway as a process of its own that terminates TLS: with a real client, a renewed certificate and HTTP/2.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use agora_testkit::{TestKeys, free_port};
use axum::{Router, http::header, routing::get};
use reqwest::{Certificate, Client, StatusCode, Version, redirect, tls};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::net::TcpListener;

const HOST: &str = "shop.example";
const PATIENCE: Duration = Duration::from_mins(1);
/// Names of products that make a list worth compressing.
const PRODUCTS: usize = 200;

/// An authority and the files of the certificate that it has issued last.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 1 -subj /CN=ca",
        );
        authority
    }

    /// Writes a new certificate with a new key to `server.crt` and `server.key`, as a renewed Secret does.
    fn issue(&self) {
        let extension = format!("subjectAltName=DNS:{HOST}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
        fs::write(self.path("extension"), extension).unwrap();
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout new.key -out new.csr -subj /CN=server",
        );
        self.openssl(
            "x509 -req -in new.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile extension -out new.crt",
        );
        for kind in ["key", "crt"] {
            fs::rename(self.path(&format!("new.{kind}")), self.path(&format!("server.{kind}"))).unwrap();
        }
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn openssl(&self, arguments: &str) {
        let folder: &Path = self.0.path();
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A client that trusts this authority alone and opens a new connection for each request.
    fn client(&self, port: u16, tls_max: tls::Version) -> Client {
        let root = Certificate::from_pem(&fs::read(self.path("ca.crt")).unwrap()).unwrap();
        let builder = Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0).tls_info(true);
        let builder = builder.tls_certs_only([root]).tls_version_max(tls_max).redirect(redirect::Policy::none());
        builder.resolve(HOST, SocketAddr::from(([127, 0, 0, 1], port))).build().unwrap()
    }
}

/// A gateway before a service that answers with a list of products; killed when it is dropped.
struct Gateway {
    process: Child,
    plain: u16,
    tls: u16,
    admin: u16,
    _jwks: NamedTempFile,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Gateway {
    async fn start(authority: &Authority) -> Self {
        let (plain, tls, admin) = (free_port(), free_port(), free_port());
        let (jwks, service) = (TestKeys::new().jwks_file(), service().await);
        let [certificate, key] = ["server.crt", "server.key"].map(|name| authority.path(name));
        let public_url = format!("https://{HOST}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
        command.args(["serve", "gateway"]).stdout(Stdio::null());
        for (name, value) in [
            ("JWKS_FILE", jwks.path().to_str().unwrap()),
            ("TOKEN_ISSUER", TestKeys::ISSUER),
            ("TOKEN_AUDIENCE", TestKeys::AUDIENCE),
            // Neither is needed for reads.
            ("KAFKA_BROKERS", "127.0.0.1:1"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("ISOLATION_KEY", "transport"),
            ("TLS_CERTIFICATE_FILE", certificate.as_str()),
            ("TLS_KEY_FILE", key.as_str()),
            ("PUBLIC_URL", public_url.as_str()),
            ("HSTS_MAX_AGE_SECONDS", "300"),
            ("RUST_LOG", "error"),
        ] {
            command.env(name, value);
        }
        for row in agora_topology::ALL.iter().filter(|row| row.behind_gateway) {
            command.env(format!("{}_URL", row.name.to_uppercase()), &service);
        }
        for (name, port) in [("PORT", plain), ("TLS_PORT", tls), ("ADMIN_PORT", admin)] {
            command.env(name, port.to_string());
        }
        let gateway = Self { process: command.spawn().unwrap(), plain, tls, admin, _jwks: jwks };
        until("the gateway listens", async || TcpStream::connect(("127.0.0.1", tls)).is_ok()).await;
        gateway
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.tls)
    }

    /// The certificate that a new connection is shown.
    async fn certificate(&self, client: &Client) -> Vec<u8> {
        let answer = client.get(self.url("/health")).send().await.unwrap();
        let info = answer.extensions().get::<tls::TlsInfo>().unwrap();
        info.peer_certificate().unwrap().to_vec()
    }

    /// Whether the process says that a renewed certificate cannot be used.
    async fn is_degraded(&self) -> bool {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let text = client.get(format!("http://127.0.0.1:{}/readyz", self.admin)).send().await.unwrap().text().await;
        text.unwrap().contains("tls-certificate")
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
async fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let list = format!("[{}]", vec![r#"{"name":"Chair"}"#; PRODUCTS].join(","));
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, no-cache")];
    let router = Router::new().fallback(get(move || async move { (headers, list) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn gw14_a_client_that_trusts_the_authority_reads_over_http2_and_is_told_to_come_back_over_tls() {
    let authority = Authority::new();
    authority.issue();
    let gateway = Gateway::start(&authority).await;
    for version in [tls::Version::TLS_1_2, tls::Version::TLS_1_3] {
        let client = authority.client(gateway.tls, version);
        let answer = client.get(gateway.url("/api/v1/products")).send().await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2), "{version:?}");
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=300");
        assert_eq!(answer.json::<Vec<Value>>().await.unwrap().len(), PRODUCTS);
        let encoded =
            client.get(gateway.url("/api/v1/products")).header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(encoded.headers()["content-encoding"], "gzip");
    }
    let stranger = Authority::new().client(gateway.tls, tls::Version::TLS_1_3);
    assert!(stranger.get(gateway.url("/health")).send().await.is_err(), "the authority of another certificate");

    let client = authority.client(gateway.plain, tls::Version::TLS_1_3);
    let plain = |path: &str| format!("http://{HOST}:{}{path}", gateway.plain);
    let sent_on = client.get(plain("/api/v1/products?limit=3")).send().await.unwrap();
    assert_eq!(sent_on.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(sent_on.headers()["location"], format!("https://{HOST}/api/v1/products?limit=3"));
    let refused = client.post(plain("/api/v1/auth/login")).body("{}").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "TLS_REQUIRED");
}

#[tokio::test]
async fn gw14_a_renewed_certificate_is_shown_without_a_restart_and_one_that_cannot_be_used_is_not() {
    let authority = Authority::new();
    authority.issue();
    let gateway = Gateway::start(&authority).await;
    let client = authority.client(gateway.tls, tls::Version::TLS_1_3);
    let first = gateway.certificate(&client).await;

    authority.issue();
    until("the renewed certificate is shown", async || gateway.certificate(&client).await != first).await;
    let second = gateway.certificate(&client).await;

    // The key of the certificate stays, so that the two do not belong together.
    let kept = fs::read(authority.path("server.key")).unwrap();
    authority.issue();
    fs::write(authority.path("server.key"), &kept).unwrap();
    until("the process reports it", async || gateway.is_degraded().await).await;
    assert_eq!(gateway.certificate(&client).await, second, "the last one that works");

    authority.issue();
    until("the next one is shown", async || gateway.certificate(&client).await != second).await;
    until("the process is well", async || !gateway.is_degraded().await).await;
}
