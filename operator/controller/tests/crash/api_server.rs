//! An API server with etcd, without controllers and kubelet, for one test process.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};

const TOKEN: &str = "test-admin-token";
const OPERATOR_TOKEN: &str = "test-operator-token";
const START_MAX: Duration = Duration::from_mins(1);

pub struct ApiServer {
    folder: tempfile::TempDir,
    port: u16,
    children: Vec<Child>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl ApiServer {
    /// The user whose rights RBAC decides.
    pub const OPERATOR: &str = "operator";

    /// Starts etcd and the API server, and waits until it is ready. Every user has all rights.
    pub async fn start() -> Self {
        Self::start_with("AlwaysAllow").await
    }

    /// The same with RBAC.
    pub async fn start_with_rbac() -> Self {
        Self::start_with("RBAC").await
    }

    async fn start_with(authorization: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (client, peer, port) = (free_port(), free_port(), free_port());
        let mut server = Self { folder, port, children: Vec::new() };
        server.etcd(client, peer);
        server.api_server(client, authorization);
        server.wait().await;
        server
    }

    /// The configuration of a client with all rights.
    pub async fn config(&self) -> Config {
        self.config_of(TOKEN).await
    }

    /// The configuration of a client of [`ApiServer::OPERATOR`].
    pub async fn operator_config(&self) -> Config {
        self.config_of(OPERATOR_TOKEN).await
    }

    async fn config_of(&self, token: &str) -> Config {
        Config::from_custom_kubeconfig(Self::kubeconfig(self.port, token), &KubeConfigOptions::default()).await.unwrap()
    }

    /// The file of a client with all rights, for a process.
    pub fn kubeconfig_file(&self) -> PathBuf {
        let file = self.path("kubeconfig");
        std::fs::write(&file, serde_json::to_string(&Self::kubeconfig(self.port, TOKEN)).unwrap()).unwrap();
        file
    }

    fn kubeconfig(port: u16, token: &str) -> Kubeconfig {
        let mut kubeconfig = Kubeconfig::default();
        let cluster = Cluster {
            server: Some(format!("https://127.0.0.1:{port}")),
            insecure_skip_tls_verify: Some(true),
            ..Cluster::default()
        };
        kubeconfig.clusters =
            vec![NamedCluster { name: "test".to_owned(), cluster: Some(cluster), ..NamedCluster::default() }];
        let user = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        kubeconfig.auth_infos =
            vec![NamedAuthInfo { name: "test".to_owned(), auth_info: Some(user), ..NamedAuthInfo::default() }];
        let context = Context { cluster: "test".to_owned(), user: Some("test".to_owned()), ..Context::default() };
        kubeconfig.contexts =
            vec![NamedContext { name: "test".to_owned(), context: Some(context), ..NamedContext::default() }];
        kubeconfig.current_context = Some("test".to_owned());
        kubeconfig
    }

    fn etcd(&mut self, client: u16, peer: u16) {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let data = self.path("etcd");
        let mut etcd = program("etcd");
        etcd.arg("--data-dir").arg(data).arg("--unsafe-no-fsync");
        for (flag, port) in [
            ("--listen-client-urls", client),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer),
            ("--initial-advertise-peer-urls", peer),
        ] {
            etcd.args([flag, &url(port)]);
        }
        etcd.args(["--initial-cluster", &format!("default={}", url(peer))]);
        self.spawn(etcd, "etcd.log");
    }

    fn api_server(&mut self, etcd: u16, authorization: &str) {
        let (key, public, tokens) = (self.path("sa.pem"), self.path("sa.pub"), self.path("tokens.csv"));
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        std::fs::write(&key, pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())).unwrap();
        std::fs::write(&public, pem("PUBLIC KEY", der.as_ref())).unwrap();
        std::fs::write(
            &tokens,
            format!("{TOKEN},admin,admin,system:masters\n{OPERATOR_TOKEN},{0},{0}\n", Self::OPERATOR),
        )
        .unwrap();
        let mut server = program("kube-apiserver");
        server
            .args(["--etcd-servers", &format!("http://127.0.0.1:{etcd}")])
            .args(["--secure-port", &self.port.to_string(), "--bind-address", "127.0.0.1"])
            .args(["--service-cluster-ip-range", "10.99.0.0/16", "--authorization-mode", authorization])
            .args(["--service-account-issuer", "https://test", "--disable-admission-plugins", "ServiceAccount"])
            .arg("--cert-dir")
            .arg(self.path("certs"))
            .arg("--token-auth-file")
            .arg(&tokens)
            .arg("--service-account-key-file")
            .arg(&public)
            .arg("--service-account-signing-key-file")
            .arg(&key);
        self.spawn(server, "api.log");
    }

    async fn wait(&self) {
        let client = kube::Client::try_from(self.config().await).unwrap();
        let ready = async {
            while client.apiserver_version().await.is_err()
                || client.list_api_groups().await.is_err()
                || !ready(&client).await
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(START_MAX, ready).await.is_err() {
            let log = std::fs::read_to_string(self.path("api.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            panic!("the API server is not ready after {START_MAX:?}:\n{}", tail.join("\n"));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spawn(&mut self, mut command: Command, log: &str) {
        let log = std::fs::File::create(self.path(log)).unwrap();
        let errors = log.try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        self.children.push(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

async fn ready(client: &kube::Client) -> bool {
    let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
    client.request_text(request).await.is_ok_and(|text| text == "ok")
}

fn program(name: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the folder of the programs is an argument of the test process")]
    let folder = std::env::var("AGORA_BIN").unwrap_or_else(|_| {
        panic!("AGORA_BIN must be the folder of etcd and kube-apiserver: eval \"$(cargo xtask env)\"")
    });
    Command::new(Path::new(&folder).join(name))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
