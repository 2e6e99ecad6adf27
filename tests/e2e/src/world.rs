//! Environment of all scenarios: namespaces, the operator of the tree under test, the Marketplace, and a NodePort of
//! its gateway. Must not depend on a scenario.

use std::{process::Stdio, time::Duration};

use agora_shopper::{Shop, load::AdminLogin};
use agora_vocab::Secret;
use anyhow::{Context, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    cluster::{CRD, Cluster, DEPLOYMENT, MARKETPLACE, SECRET, SERVICE, text},
    mailbox,
    market::Market,
    report,
    settings::{POSTGRES_PORT, Settings},
    tables::Tables,
    wait::{until, when},
};

/// Namespace of the Marketplace under test.
pub const SHOP_NAMESPACE: &str = "agora-e2e";
/// Namespace of the operator under test.
pub const OPERATOR_NAMESPACE: &str = "agora-e2e-system";
const OPERATOR_SECONDS_MAX: u64 = 120;
const GATEWAY_SECONDS_MAX: u64 = 30;
/// Namespace and name of the Secret with the login of the local PostgreSQL; `cargo xtask` creates it.
const ADMIN_SECRET: (&str, &str) = ("shop", "postgres-admin");

/// Environment of all scenarios.
#[derive(Clone)]
pub struct World {
    /// Settings of the test run.
    pub settings: Settings,
    /// Client for the namespace of the Marketplace.
    pub cluster: Cluster,
    /// The Marketplace under test.
    pub market: Market,
    /// Access to its databases.
    pub tables: Tables,
}

impl World {
    /// Creates namespaces, Secret, CRD, mailbox and operator, and deletes the Marketplaces of an earlier run.
    pub async fn prepare() -> anyhow::Result<Self> {
        let settings = Settings::read()?;
        let cluster = Cluster::connect(SHOP_NAMESPACE).await?;
        cluster.ensure_namespace(SHOP_NAMESPACE).await?;
        cluster.ensure_namespace(OPERATOR_NAMESPACE).await?;
        let (user, password) = admin_login(&cluster).await?;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
            "metadata": {
                "name": ADMIN_SECRET.1, "labels": { "agoraplatform.dev/usable": "true" },
                "annotations": { "agoraplatform.dev/usable-for": "database=postgres.data.svc:5432" },
            },
            "stringData": { "username": user, "password": password },
        });
        cluster.apply(SECRET, &secret).await?;
        apply_crd(&settings, &cluster).await?;
        mailbox::deploy(&settings, &cluster).await?;
        install_operator(&settings, &cluster).await?;
        let market = Market { cluster: cluster.clone(), name: "shop".to_owned() };
        let tables = Tables { user, password: Secret::new(password), port: POSTGRES_PORT, market: market.clone() };
        let world = Self { settings, cluster, market, tables };
        world.clean().await?;
        Ok(world)
    }

    /// The same environment with another Marketplace on the same namespace, database server and broker.
    #[must_use]
    pub fn with_marketplace(&self, name: &str) -> Self {
        let market = Market { cluster: self.cluster.clone(), name: name.to_owned() };
        let tables = Tables { market: market.clone(), ..self.tables.clone() };
        Self { market, tables, ..self.clone() }
    }

    /// Deletes the Marketplaces of an earlier run with their data.
    async fn clean(&self) -> anyhow::Result<()> {
        for other in self.cluster.list(MARKETPLACE, "").await? {
            let other = text(&other["metadata"]["name"]);
            if other != self.market.name {
                self.with_marketplace(other).delete_with_data().await?;
            }
        }
        if self.cluster.get(MARKETPLACE, &self.market.name).await?.is_none() {
            // Retained data is adopted by a new Marketplace, which is then deleted with its data.
            if self.tables.databases().await?.is_empty() {
                return Ok(());
            }
            self.market.apply(&self.market.manifest(&self.settings)?).await?;
        }
        self.delete_with_data().await
    }

    /// Deletes the Marketplace with deletion policy Delete. Succeeds if it does not exist.
    pub async fn delete_with_data(&self) -> anyhow::Result<()> {
        if self.cluster.get(MARKETPLACE, &self.market.name).await?.is_none() {
            return Ok(());
        }
        let spec = json!({ "database": { "deletionPolicy": "Delete" }, "kafka": { "deletionPolicy": "Delete" } });
        self.market.change(&json!({ "spec": spec })).await?;
        self.market.delete().await
    }

    /// A client of the gateway, through a NodePort on this machine. Idempotent.
    pub async fn shop(&self) -> anyhow::Result<Shop> {
        let selector = json!({ "app.kubernetes.io/name": "gateway", "app.kubernetes.io/instance": self.market.name });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": format!("e2e-gateway-{}", self.market.name) },
            "spec": { "type": "NodePort", "selector": selector,
                      "ports": [{ "name": "http", "port": 80, "targetPort": 3000 }] },
        });
        let service = self.cluster.apply(SERVICE, &service).await?;
        let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("the NodePort has no port")?;
        let shop = Shop::at(&format!("http://127.0.0.1:{port}"))?;
        until("the gateway responds", Duration::from_secs(GATEWAY_SECONDS_MAX), async || {
            Ok(when(agora_shopper::load::products(&shop).await.is_ok()))
        })
        .await?;
        Ok(shop)
    }

    /// The shop with a seeded catalog. Idempotent.
    pub async fn filled_shop(&self) -> anyhow::Result<Shop> {
        let shop = self.shop().await?;
        if agora_shopper::load::products(&shop).await?.is_empty() {
            self.seed(&shop).await?;
        }
        Ok(shop)
    }

    async fn seed(&self, shop: &Shop) -> anyhow::Result<()> {
        let AdminLogin { email, password } = self.admin().await?;
        let url = shop.url("").trim_end_matches("/api/v1").to_owned();
        let seed = Command::new(self.settings.programs.join("agora"))
            .args(["seed", "--url", &url])
            .env("AGORA_ADMIN_EMAIL", email)
            .env("AGORA_ADMIN_PASSWORD", password.expose())
            .output()
            .await
            .context("running agora seed")?;
        if !seed.status.success() {
            bail!("agora seed failed: {}", String::from_utf8_lossy(&seed.stderr));
        }
        Ok(())
    }

    /// Adds a second tag to the services' image on the node.
    pub async fn tag_image(&self, tag: &str) -> anyhow::Result<()> {
        let name = |tag: &str| format!("{}/agora:{tag}", self.settings.registry);
        let socket = self.settings.state.join("run/containerd.sock");
        let named = Command::new("ctr")
            .arg("--address")
            .arg(socket)
            .args(["--namespace", "k8s.io", "images", "tag", "--force", &name(&self.settings.tag), &name(tag)])
            .output()
            .await
            .context("running ctr")?;
        if !named.status.success() {
            bail!("ctr images tag failed: {}", String::from_utf8_lossy(&named.stderr));
        }
        Ok(())
    }

    /// Login of the first admin, from the Secret that the operator created.
    pub async fn admin(&self) -> anyhow::Result<AdminLogin> {
        let name = format!("{}-admin", self.market.name);
        let secret = self.cluster.get(SECRET, &name).await?.with_context(|| format!("no Secret {name}"))?;
        Ok(AdminLogin { email: field(&secret, "username")?, password: Secret::new(field(&secret, "password")?) })
    }

    /// Deletes the Marketplace with its data, then both namespaces without waiting until they are gone.
    pub async fn tear_down(self) -> anyhow::Result<()> {
        self.delete_with_data().await?;
        for namespace in [SHOP_NAMESPACE, OPERATOR_NAMESPACE] {
            self.cluster.delete(crate::cluster::NAMESPACE, namespace).await?;
        }
        Ok(())
    }
}

async fn admin_login(cluster: &Cluster) -> anyhow::Result<(String, String)> {
    let (namespace, name) = ADMIN_SECRET;
    let secret = cluster.of(namespace).get(SECRET, name).await?;
    let secret =
        secret.with_context(|| format!("no Secret {namespace}/{name}; run the tests with `cargo xtask test e2e`"))?;
    Ok((field(&secret, "username")?, field(&secret, "password")?))
}

/// A value of a Secret, decoded from base64.
pub fn field(secret: &Value, key: &str) -> anyhow::Result<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text(&secret["data"][key]))?;
    Ok(String::from_utf8(bytes)?)
}

/// Applies the CRD of the tree under test with the Helm labels of the release that `up` installs, so that Helm can
/// adopt it.
async fn apply_crd(settings: &Settings, cluster: &Cluster) -> anyhow::Result<()> {
    let file = settings.repo.join("crds/marketplaces.yaml");
    let mut definition: Value = serde_yaml::from_str(&std::fs::read_to_string(&file)?)?;
    definition["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    definition["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!("agora-operator");
    definition["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!("agora-system");
    definition["metadata"]["annotations"]["helm.sh/resource-policy"] = json!("keep");
    cluster.apply(CRD, &definition).await.map(drop)
}

/// Renders the chart with Helm and applies it without the CRD, which belongs to one release per cluster.
async fn install_operator(settings: &Settings, cluster: &Cluster) -> anyhow::Result<()> {
    let rendered = Command::new(settings.bin.join("helm"))
        .args(["template", "agora-operator", "--namespace", OPERATOR_NAMESPACE])
        .args(["--set", &format!("watchNamespaces={{{SHOP_NAMESPACE}}}")])
        .args(["--set", &format!("image.repository={}/agora-operator", settings.registry)])
        .args(["--set-string", &format!("image.tag={}", settings.tag)])
        .arg(settings.repo.join("charts/agora-operator"))
        .output()
        .await
        .context("running helm")?;
    if !rendered.status.success() {
        bail!("helm template failed: {}", String::from_utf8_lossy(&rendered.stderr));
    }
    let objects: Vec<Value> = serde_yaml::from_multiple(&String::from_utf8(rendered.stdout)?)?;
    let items: Vec<Value> = objects
        .into_iter()
        .filter(|object| object["kind"].is_string() && object["kind"] != CRD.word)
        .map(|mut object| {
            let cluster_wide = text(&object["kind"]).starts_with("Cluster");
            if !cluster_wide && object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = json!(OPERATOR_NAMESPACE);
            }
            object
        })
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    kubectl_apply(settings, &list).await?;
    let (operator, timeout) = (cluster.of(OPERATOR_NAMESPACE), Duration::from_secs(OPERATOR_SECONDS_MAX));
    let waited = until("the operator is available", timeout, async || {
        let deployments = operator.list(DEPLOYMENT, "").await?;
        Ok(when(!deployments.is_empty() && deployments.iter().all(is_rolled_out)))
    });
    match waited.await {
        Ok(()) => Ok(()),
        Err(error) => bail!("{error:#}; its pods:\n{}", report::pods(&operator).await),
    }
}

/// Whether every pod of a Deployment has its current template and is available.
pub fn is_rolled_out(deployment: &Value) -> bool {
    let (status, wanted) = (&deployment["status"], deployment["spec"]["replicas"].as_u64().unwrap_or(1));
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["updatedReplicas", "availableReplicas", "replicas"]
            .iter()
            .all(|count| status[count].as_u64() == Some(wanted))
}

async fn kubectl_apply(settings: &Settings, list: &Value) -> anyhow::Result<()> {
    let mut kubectl = Command::new(settings.bin.join("kubectl"))
        .arg("--kubeconfig")
        .arg(&settings.kubeconfig)
        .args(["apply", "--server-side", "--force-conflicts", "--field-manager=agora-e2e", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting kubectl")?;
    let mut input = kubectl.stdin.take().context("kubectl has no standard input")?;
    input.write_all(list.to_string().as_bytes()).await?;
    drop(input);
    let done = kubectl.wait_with_output().await?;
    if !done.status.success() {
        bail!("kubectl apply failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}
