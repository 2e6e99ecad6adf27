//! From a cluster to an order: images, operator, marketplace, catalogue, one purchase. Knows the manifests, the chart
//! and the command lines of our own binaries; decides nothing about the shop.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cluster::{self, jars, postgres};
use crate::command::{command, feed, output, run, succeeds, until};
use crate::environment::Places;
use crate::image::{self, Images, Profile};
use crate::progress::{note, stage, step};
use crate::target::Target;

pub const NAMESPACE: &str = "shop";
pub const MARKETPLACE: &str = "shop";
pub const GATEWAY: &str = "http://127.0.0.1:30080";
const READY_SECONDS_MAX: u64 = 240;
const SAMPLE: &str = "manifests/samples/minimal.yaml";

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Optimised binaries instead of quickly built ones
    #[arg(long)]
    release: bool,
    /// Use the cluster of this kubeconfig context instead of starting one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Yes, the cluster of --context is not on this machine, and I mean it
    #[arg(long, requires = "context")]
    yes: bool,
    /// Only the cluster and its data services: no operator, no shop
    #[arg(long, conflicts_with_all = ["context", "release"])]
    only_cluster: bool,
}

/// Who may administer the shop.
#[derive(Debug)]
pub struct Admin {
    pub email: String,
    pub password: String,
}

pub fn up(places: &Places, options: &Options) -> Result<()> {
    let begun = Instant::now();
    let target = if let Some(context) = &options.context {
        Target::existing(places, context, options.yes)?
    } else {
        stage("local cluster", || cluster::up(places))?;
        Target::local(places)
    };
    if options.only_cluster {
        foundations(places, &target)?;
        println!("export KUBECONFIG={}\nexport PATH={}:$PATH", target.kubeconfig().display(), places.bin.display());
        return Ok(());
    }
    let profile = if options.release { Profile::Release } else { Profile::Ci };
    let images = stage("images", || load_images(places, &target, profile))?;
    stage("marketplace", || marketplace(places, &target, &images))?;
    let bought = stage("shopping", || shop(places, &target, profile))?;
    report(places, &target, &bought, begun.elapsed())
}

/// Namespaces, data services and the Secret that the sample names.
pub fn foundations(places: &Places, target: &Target) -> Result<()> {
    let manifest = |name: &str| places.repo.join("manifests/dev").join(name);
    step("namespaces", || apply_file(target, &manifest("namespaces.yaml")))?;
    if target.context.is_none() {
        step("data services", || apply_file(target, &manifest("data-on-host.yaml")))?;
        let password = postgres::admin_password(places)?;
        return step("Secret of the database admin", || admin_secret(target, &password));
    }
    let password = step("passwords of the data services", || in_cluster_password(target))?;
    step("Secret of the database admin", || admin_secret(target, &password))?;
    step("data services", || {
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

/// The admin's password of `data-in-cluster.yaml`, made at the first time.
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
pub fn operator(places: &Places, target: &Target, images: &Images, namespace: &str, watch: &str) -> Result<()> {
    let chart = places.repo.join("charts/agora-operator").display().to_string();
    let watch = format!("watchNamespaces={{{watch}}}");
    let repository = format!("image.repository={}/agora-operator", image::REGISTRY);
    let tag = format!("image.tag={}", images.tag);
    let mut helm = target.helm(["upgrade", "--install", "agora-operator", &chart, "-n", namespace, "--set", &watch]);
    // A definition that was applied without Helm, or by a release that is gone, is taken over.
    helm.args(["--take-ownership", "--set", &repository, "--set-string", &tag, "--wait", "--timeout", "120s"]);
    run(&mut helm).with_context(|| {
        format!("the operator does not start; look with: kubectl -n {namespace} logs deploy/agora-operator")
    })
}

fn load_images(places: &Places, target: &Target, profile: Profile) -> Result<Images> {
    let images = image::build_all(places, profile)?;
    match &target.context {
        None => image::import_all(places, &images)?,
        Some(context) => image::load_into_context(context, &images)?,
    }
    Ok(images)
}

fn marketplace(places: &Places, target: &Target, images: &Images) -> Result<()> {
    foundations(places, target)?;
    step("operator, by Helm", || operator(places, target, images, "agora-system", NAMESPACE))?;
    let sample = std::fs::read_to_string(places.repo.join(SAMPLE)).with_context(|| format!("reading {SAMPLE}"))?;
    let object = with_release(&sample, &images.tag)?;
    step(&format!("apply {SAMPLE}"), || apply(target, &object))?;
    step("NodePort of the gateway", || apply_file(target, &places.repo.join("manifests/dev/gateway-nodeport.yaml")))?;
    step("marketplace Available and Ready", || wait_ready(target))
}

/// The sample with the images that were just built, so that an edit of the code rolls out.
fn with_release(sample: &str, tag: &str) -> Result<Value> {
    let mut object: Value = serde_yaml::from_str(sample).with_context(|| format!("parsing {SAMPLE}"))?;
    let spec = object.get_mut("spec").and_then(Value::as_object_mut).context("the sample has a spec")?;
    spec.insert("release".to_owned(), json!({"version": tag, "registry": image::REGISTRY}));
    Ok(object)
}

/// Waits for this generation of the resource; at the end of its patience it says what each condition says.
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
        "the marketplace is not Available and Ready after {READY_SECONDS_MAX} s:\n{}\n{pods}\nlook with: kubectl -n agora-system logs deploy/agora-operator",
        conditions(&seen)
    );
}

/// Whether a condition holds for the object as it is now.
pub fn holds(object: &Value, kind: &str) -> bool {
    let generation = &object["metadata"]["generation"];
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| {
        let current = condition.get("observedGeneration").is_none_or(|observed| observed == generation);
        condition["type"] == kind && condition["status"] == "True" && current
    })
}

/// One line per condition.
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

fn shop(places: &Places, target: &Target, profile: Profile) -> Result<Value> {
    let _forward = target.context.is_some().then(|| Forward::start(target)).transpose()?;
    let answers =
        || succeeds(&mut command("curl", ["-sf", "-m", "2", "-o", "/dev/null", &format!("{GATEWAY}/health")]));
    if !until(Duration::from_secs(30), answers) {
        bail!("{GATEWAY}/health does not answer; look with: kubectl -n {NAMESPACE} logs deploy/{MARKETPLACE}-gateway");
    }
    let admin = admin(target)?;
    step("seed the catalogue", || {
        let mut seed = command(image::binary(places, profile, "agora"), ["seed", "--url", GATEWAY]);
        run(seed.env("AGORA_ADMIN_EMAIL", &admin.email).env("AGORA_ADMIN_PASSWORD", &admin.password))
    })?;
    step("buy something", || {
        let said =
            output(&mut command(image::binary(places, profile, "agora-shopper"), ["buy-one", "--url", GATEWAY]))?;
        let last = said.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .or_else(|_| serde_json::from_str(&said))
            .with_context(|| format!("reading the shopper's answer `{said}`"))
    })
}

fn report(places: &Places, target: &Target, bought: &Value, took: Duration) -> Result<()> {
    let admin = admin(target)?;
    let text = |name: &str| bought[name].as_str().unwrap_or("?").to_owned();
    println!("shop      {GATEWAY}");
    println!("order     {} ({})", text("number"), text("status"));
    println!("admin     {} (password: cargo xtask status -o json)", admin.email);
    if target.context.is_none() {
        println!("kubectl   export KUBECONFIG={} PATH={}:$PATH", target.kubeconfig().display(), places.bin.display());
    } else {
        println!("reach it  kubectl -n {NAMESPACE} port-forward svc/{MARKETPLACE}-gateway 30080:3000");
    }
    note(&format!("all of it took {:.0} s", took.as_secs_f64()));
    Ok(())
}

/// The first admin, from the operator's Secret.
pub fn admin(target: &Target) -> Result<Admin> {
    let name = format!("{MARKETPLACE}-admin");
    let secret = secret(target, NAMESPACE, &name)?.with_context(|| format!("no Secret {NAMESPACE}/{name}"))?;
    Ok(Admin { email: field(&secret, "username")?, password: field(&secret, "password")? })
}

/// On kubeconfigs' clusters a NodePort is not on this machine: kubectl carries the requests, while this lives.
struct Forward(std::process::Child);

impl Forward {
    fn start(target: &Target) -> Result<Self> {
        let service = format!("svc/{MARKETPLACE}-gateway");
        let mut forward = target.kubectl(["-n", NAMESPACE, "port-forward", &service, "30080:3000"]);
        Ok(Self(forward.stdout(std::process::Stdio::null()).spawn()?))
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn admin_secret(target: &Target, password: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
        "metadata": {"name": "postgres-admin", "namespace": NAMESPACE, "labels": {"agoraplatform.dev/usable": "true"}},
        "stringData": {"username": postgres::ADMIN, "password": password},
    });
    apply(target, &secret)
}

/// Server-side, so that no password lands in an annotation; input by pipe, so that none is in a command line.
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
    let text = secret["data"][name].as_str().ok_or_else(|| anyhow!("the Secret has no key {name}"))?;
    Ok(String::from_utf8(STANDARD.decode(text)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_gets_the_built_release_and_keeps_the_rest() {
        let sample = "kind: Marketplace\nspec:\n  release: {version: 0.1.0}\n  profile: Development\n";
        let object = with_release(sample, "0.1.0-dev.abc").unwrap();
        assert_eq!(object["spec"]["release"], json!({"version": "0.1.0-dev.abc", "registry": "agora.local"}));
        assert_eq!(object["spec"]["profile"], "Development");
    }

    #[test]
    fn a_condition_of_an_older_generation_does_not_count() {
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
