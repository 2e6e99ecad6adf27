//! `cargo xtask up`: builds images, installs the operator, creates a marketplace, fills its catalog and places one order.
//! Uses manifests, chart and command lines; must not depend on the code of operator or services.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cluster::{self, jars, observability, postgres};
use crate::command::{command, feed, output, run, succeeds, until};
use crate::environment::Paths;
use crate::image::{self, Images, Profile};
use crate::progress::{note, stage, step};
use crate::target::Target;

pub const NAMESPACE: &str = "shop";
pub const MARKETPLACE: &str = "shop";
pub const GATEWAY: &str = "http://127.0.0.1:30080";
const READY_SECONDS_MAX: u64 = 240;
const SAMPLE: &str = "manifests/samples/minimal.yaml";
const MAILBOX: &str = "manifests/dev/mailbox.yaml";

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Build optimised binaries
    #[arg(long)]
    release: bool,
    /// Install into the cluster of this kubeconfig context instead of the local cluster
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Allow a cluster in --context that is not on this machine
    #[arg(long, requires = "context")]
    yes: bool,
    /// Start only the cluster and its data services, without operator and marketplace
    #[arg(long, conflicts_with_all = ["context", "release"])]
    only_cluster: bool,
    /// Also start a Prometheus that scrapes the marketplace, and a collector that its traces and metrics are sent to
    #[arg(long, conflicts_with_all = ["context", "only_cluster"])]
    observability: bool,
}

/// Login of the shop's first admin.
#[derive(Debug)]
pub struct Admin {
    pub email: String,
    pub password: String,
}

pub fn up(paths: &Paths, options: &Options) -> Result<()> {
    let started = Instant::now();
    let target = if let Some(context) = &options.context {
        Target::existing(paths, context, options.yes)?
    } else {
        stage("start the local cluster", || cluster::up(paths))?;
        Target::local(paths)
    };
    if options.only_cluster {
        prerequisites(paths, &target)?;
        println!("export KUBECONFIG={}\nexport PATH={}:$PATH", target.kubeconfig().display(), paths.bin.display());
        return Ok(());
    }
    let profile = if options.release { Profile::Release } else { Profile::Ci };
    let images = stage("build and load images", || load_images(paths, &target, profile))?;
    if options.observability {
        stage("start Prometheus and a collector", || observability::start(paths))?;
    }
    stage("create the marketplace", || marketplace(paths, &target, &images, options.observability))?;
    let bought = stage("place a test order", || shop(paths, &target, profile))?;
    report(paths, &target, &bought, started.elapsed())?;
    if options.observability {
        println!("metrics   {}", observability::PROMETHEUS);
        println!("traces    {}", paths.log("collector").display());
    }
    Ok(())
}

/// Creates namespaces, data services and the Secret that the sample references. Idempotent.
pub fn prerequisites(paths: &Paths, target: &Target) -> Result<()> {
    let manifest = |name: &str| paths.repo.join("manifests/dev").join(name);
    step("create namespaces", || apply_file(target, &manifest("namespaces.yaml")))?;
    if target.context.is_none() {
        step("create Services of the data services", || apply_file(target, &manifest("data-on-host.yaml")))?;
        let password = postgres::admin_password(paths)?;
        return step("create Secret postgres-admin", || admin_secret(target, &password));
    }
    let password = step("create passwords of the data services", || in_cluster_password(target))?;
    step("create Secret postgres-admin", || admin_secret(target, &password))?;
    step("deploy the data services", || {
        apply_file(target, &manifest("data-in-cluster.yaml"))?;
        run(&mut target.kubectl([
            "-n",
            "data",
            "wait",
            "--for=condition=Available",
            "deploy",
            "--all",
            "--timeout=300s",
        ]))
    })
}

/// The admin's password for `data-in-cluster.yaml`; generated if the Secret does not exist.
fn in_cluster_password(target: &Target) -> Result<String> {
    if let Some(kept) = secret(target, "data", "postgres-passwords")? {
        return field(&kept, "admin");
    }
    let password = jars::password()?;
    let made = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "postgres-passwords", "namespace": "data"},
        "stringData": {"admin": password, "superuser": jars::password()?},
    });
    apply(target, &made)?;
    Ok(password)
}

/// Installs or upgrades the operator from the chart of the checkout.
pub fn operator(paths: &Paths, target: &Target, images: &Images, namespace: &str, watch: &str) -> Result<()> {
    let chart = paths.repo.join("charts/agora-operator").display().to_string();
    let watch = format!("watchNamespaces={{{watch}}}");
    let repository = format!("image.repository={}/agora-operator", image::REGISTRY);
    let tag = format!("image.tag={}", images.tag);
    let mut helm = target.helm(["upgrade", "--install", "agora-operator", &chart, "-n", namespace, "--set", &watch]);
    // Helm adopts a CRD that was applied without Helm or by a release that no longer exists.
    helm.args(["--take-ownership", "--set", &repository, "--set-string", &tag, "--wait", "--timeout", "120s"]);
    run(&mut helm).with_context(|| {
        format!("installing the operator; see its log: kubectl -n {namespace} logs deploy/agora-operator")
    })
}

fn load_images(paths: &Paths, target: &Target, profile: Profile) -> Result<Images> {
    let images = image::build_all(paths, profile)?;
    match &target.context {
        None => image::import_all(paths, &images)?,
        Some(context) => image::load_into_context(context, &images)?,
    }
    Ok(images)
}

fn marketplace(paths: &Paths, target: &Target, images: &Images, observed: bool) -> Result<()> {
    prerequisites(paths, target)?;
    step("install the operator with Helm", || operator(paths, target, images, "agora-system", NAMESPACE))?;
    let sample = std::fs::read_to_string(paths.repo.join(SAMPLE)).with_context(|| format!("reading {SAMPLE}"))?;
    let mut object = with_mailbox(with_release(&sample, &images.tag)?);
    if observed {
        object["spec"]["observability"] = json!({"otlpEndpoint": observability::COLLECTOR, "sampledPercent": 100});
    }
    step("deploy the mailbox", || mailbox(paths, target, images))?;
    step(&format!("apply {SAMPLE}"), || apply(target, &object))?;
    step("create the NodePort of the gateway", || {
        apply_file(target, &paths.repo.join("manifests/dev/gateway-nodeport.yaml"))
    })?;
    step("wait until the marketplace is Available and Ready", || wait_ready(target))
}

/// The sample with the tag of the images just built, so that changed code is rolled out.
fn with_release(sample: &str, tag: &str) -> Result<Value> {
    let mut object: Value = serde_yaml::from_str(sample).with_context(|| format!("parsing {SAMPLE}"))?;
    let spec = object.get_mut("spec").and_then(Value::as_object_mut).context("the sample has no spec")?;
    spec.insert("release".to_owned(), json!({"version": tag, "registry": image::REGISTRY}));
    Ok(object)
}

/// The sample with the mailbox as its mail server.
fn with_mailbox(mut object: Value) -> Value {
    object["spec"]["mail"] = json!({
        "smtp": {"host": "mail.data.svc", "port": 1025},
        "from": "Shop <shop@agora.local>",
    });
    object
}

/// Deploys the mailbox with the image just built. Idempotent.
fn mailbox(paths: &Paths, target: &Target, images: &Images) -> Result<()> {
    let text = std::fs::read_to_string(paths.repo.join(MAILBOX)).with_context(|| format!("reading {MAILBOX}"))?;
    let image = format!("{}/agora:{}", image::REGISTRY, images.tag);
    for document in text.replace("agora.local/agora:latest", &image).split("\n---\n") {
        let object: Value = serde_yaml::from_str(document).with_context(|| format!("parsing {MAILBOX}"))?;
        apply(target, &object)?;
    }
    Ok(())
}

/// Waits until the current generation of the resource is Available and Ready. The error contains all conditions and
/// pods.
pub fn wait_ready(target: &Target) -> Result<()> {
    let mut seen = Value::Null;
    let ready = until(Duration::from_secs(READY_SECONDS_MAX), || {
        seen = get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]).unwrap_or(Value::Null);
        ["Available", "Ready"].iter().all(|kind| holds(&seen, kind))
    });
    if ready {
        return Ok(());
    }
    let pods = output(&mut target.kubectl(["-n", NAMESPACE, "get", "pods", "-o", "wide"])).unwrap_or_default();
    bail!(
        "the marketplace is not Available and Ready after {READY_SECONDS_MAX} s:\n{}\n{pods}\nsee the operator's log: kubectl -n agora-system logs deploy/agora-operator",
        conditions(&seen)
    );
}

/// Whether a condition is True for the current generation of the object.
pub fn holds(object: &Value, kind: &str) -> bool {
    let generation = &object["metadata"]["generation"];
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| {
        let current = condition.get("observedGeneration").is_none_or(|observed| observed == generation);
        condition["type"] == kind && condition["status"] == "True" && current
    })
}

/// Type, status, reason and message of each condition, one line each.
pub fn conditions(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |c: &Value| {
        format!(
            "  {:<18} {:<8} {:<24} {}\n",
            text(&c["type"]),
            text(&c["status"]),
            text(&c["reason"]),
            text(&c["message"])
        )
    };
    conditions.map(line).collect()
}

fn shop(paths: &Paths, target: &Target, profile: Profile) -> Result<Value> {
    let _forward = target.context.is_some().then(|| PortForward::start(target)).transpose()?;
    let answers =
        || succeeds(&mut command("curl", ["-sf", "-m", "2", "-o", "/dev/null", &format!("{GATEWAY}/health")]));
    if !until(Duration::from_secs(30), answers) {
        bail!(
            "no response from {GATEWAY}/health; see the log: kubectl -n {NAMESPACE} logs deploy/{MARKETPLACE}-gateway"
        );
    }
    let admin = admin(target)?;
    step("seed the catalog", || {
        let mut seed = command(image::binary(paths, profile, "agora"), ["seed", "--url", GATEWAY]);
        run(seed.env("AGORA_ADMIN_EMAIL", &admin.email).env("AGORA_ADMIN_PASSWORD", &admin.password))
    })?;
    step("place and pay an order", || {
        let output_text =
            output(&mut command(image::binary(paths, profile, "agora-shopper"), ["buy-one", "--url", GATEWAY]))?;
        let last = output_text.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .or_else(|_| serde_json::from_str(&output_text))
            .with_context(|| format!("parsing the output of agora-shopper: `{output_text}`"))
    })
}

fn report(paths: &Paths, target: &Target, bought: &Value, took: Duration) -> Result<()> {
    let admin = admin(target)?;
    let text = |name: &str| bought[name].as_str().unwrap_or("?").to_owned();
    println!("shop      {GATEWAY}");
    println!("order     {} ({})", text("number"), text("status"));
    if let Some(context) = &target.context {
        let kubectl = format!("kubectl --context {context} -n {NAMESPACE}");
        let password = format!("{kubectl} get secret {MARKETPLACE}-admin -o jsonpath={{.data.password}} | base64 -d");
        println!("admin     {} (password: {password})", admin.email);
        println!("connect   {kubectl} port-forward svc/{MARKETPLACE}-gateway 30080:3000");
    } else {
        println!("admin     {} (password: cargo xtask status -o json)", admin.email);
        println!("kubectl   export KUBECONFIG={} PATH={}:$PATH", target.kubeconfig().display(), paths.bin.display());
    }
    println!("mails     kubectl -n data port-forward svc/mail 8025, then http://127.0.0.1:8025");
    note(&format!("finished in {:.0} s", took.as_secs_f64()));
    Ok(())
}

/// Login of the first admin, from the Secret that the operator created.
pub fn admin(target: &Target) -> Result<Admin> {
    let name = format!("{MARKETPLACE}-admin");
    let secret = secret(target, NAMESPACE, &name)?.with_context(|| format!("no Secret {NAMESPACE}/{name}"))?;
    Ok(Admin { email: field(&secret, "username")?, password: field(&secret, "password")? })
}

/// A running `kubectl port-forward`, for clusters whose NodePorts cannot be reached from this machine; dropping it ends
/// it.
struct PortForward(std::process::Child);

impl PortForward {
    fn start(target: &Target) -> Result<Self> {
        let service = format!("svc/{MARKETPLACE}-gateway");
        let mut forward = target.kubectl(["-n", NAMESPACE, "port-forward", &service, "30080:3000"]);
        Ok(Self(forward.stdout(std::process::Stdio::null()).spawn()?))
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn admin_secret(target: &Target, password: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
        "metadata": {
            "name": "postgres-admin", "namespace": NAMESPACE, "labels": {"agoraplatform.dev/usable": "true"},
            "annotations": {"agoraplatform.dev/usable-for": "database=postgres.data.svc:5432"},
        },
        "stringData": {"username": postgres::ADMIN, "password": password},
    });
    apply(target, &secret)
}

/// Server-side apply, which stores no password in an annotation; the object is passed on standard input, so that no
/// password appears in a command line.
pub fn apply(target: &Target, object: &Value) -> Result<()> {
    let arguments = ["apply", "--server-side", "--field-manager=xtask", "--force-conflicts", "-f", "-"];
    feed(&mut target.kubectl(arguments), &object.to_string()).map(drop)
}

fn apply_file(target: &Target, file: &Path) -> Result<()> {
    run(target.kubectl(["apply", "--server-side", "--field-manager=xtask", "--force-conflicts", "-f"]).arg(file))
}

pub fn get_json(target: &Target, arguments: &[&str]) -> Result<Value> {
    let text = output(target.kubectl(arguments.iter().copied()).args(["-o", "json"]))?;
    Ok(serde_json::from_str(&text)?)
}

fn secret(target: &Target, namespace: &str, name: &str) -> Result<Option<Value>> {
    let text =
        output(&mut target.kubectl(["-n", namespace, "get", "secret", name, "--ignore-not-found", "-o", "json"]))?;
    if text.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&text)?)) }
}

fn field(secret: &Value, name: &str) -> Result<String> {
    let text = secret["data"][name].as_str().ok_or_else(|| anyhow!("key {name} is missing in the Secret"))?;
    Ok(String::from_utf8(STANDARD.decode(text)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_gets_the_built_release_and_keeps_other_fields() {
        let sample = "kind: Marketplace\nspec:\n  release: {version: 0.1.0}\n  profile: Development\n";
        let object = with_release(sample, "0.1.0-dev.abc").unwrap();
        assert_eq!(object["spec"]["release"], json!({"version": "0.1.0-dev.abc", "registry": "agora.local"}));
        assert_eq!(object["spec"]["profile"], "Development");
    }

    #[test]
    fn the_sample_gets_the_mailbox_as_its_mail_server() {
        let object = with_mailbox(json!({"spec": {"profile": "Development"}}));
        assert_eq!(object["spec"]["mail"]["smtp"], json!({"host": "mail.data.svc", "port": 1025}));
        assert_eq!(object["spec"]["profile"], "Development");
        let manifest = include_str!("../../manifests/dev/mailbox.yaml");
        assert!(manifest.contains("agora.local/agora:latest") && manifest.contains("name: mail,"));
    }

    #[test]
    fn a_condition_of_an_older_generation_does_not_hold() {
        let object = |observed: u64| json!({"metadata": {"generation": 2}, "status": {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": observed}]}});
        assert!(holds(&object(2), "Ready"));
        assert!(!holds(&object(1), "Ready"));
        assert!(!holds(&object(2), "Available"));
    }

    #[test]
    fn a_secret_is_decoded() {
        assert_eq!(field(&json!({"data": {"username": "YUBi"}}), "username").unwrap(), "a@b");
        assert!(field(&json!({"data": {}}), "username").is_err());
    }
}
