//! The mail server of the Marketplaces under test: it takes every mail, delivers none and shows them over HTTP. Must not depend
//! on a scenario.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, DEPLOYMENT, SERVICE, text},
    settings::Settings,
    wait::{until, when},
};

const MANIFEST: &str = "manifests/dev/mailbox.yaml";
/// Image that the manifest names.
const IMAGE: &str = "agora.local/agora:latest";
/// Time from an event to its mails: through the outbox, the broker and the queue of mails.
const MAILED_SECONDS_MAX: u64 = 60;
const ANSWER_SECONDS_MAX: u64 = 5;

/// Deploys the mailbox of the image under test into the namespace of the Marketplaces, without waiting for it. Idempotent.
pub async fn deploy(settings: &Settings, cluster: &Cluster) -> anyhow::Result<()> {
    let manifest = std::fs::read_to_string(settings.repo.join(MANIFEST)).context(MANIFEST)?;
    ensure!(manifest.contains(IMAGE), "{MANIFEST} does not name {IMAGE}");
    let manifest = manifest.replace(IMAGE, &format!("{}/agora:{}", settings.registry, settings.tag));
    let objects: Vec<Value> = serde_yaml::from_multiple(&manifest).context(MANIFEST)?;
    for mut object in objects {
        object["metadata"]["namespace"] = json!(cluster.namespace);
        let kind = match text(&object["kind"]) {
            "Service" => SERVICE,
            "Deployment" => DEPLOYMENT,
            other => bail!("{MANIFEST} has an object of kind {other}"),
        };
        cluster.apply(kind, &object).await?;
    }
    Ok(())
}

/// `spec.mail` of the Marketplaces of a namespace.
pub fn spec(namespace: &str) -> Value {
    json!({ "smtp": { "host": format!("mail.{namespace}.svc"), "port": 1025 }, "from": "Shop <shop@agora.local>" })
}

/// Waits until a mail with each of the subjects has arrived, and fails if one has arrived twice.
pub async fn arrived(cluster: &Cluster, subjects: &[String]) -> anyhow::Result<()> {
    let pages = pages(cluster).await?;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(ANSWER_SECONDS_MAX)).no_proxy().build()?;
    let count = async |subject: &String| {
        let list: Value = http.get(&pages).send().await?.error_for_status()?.json().await?;
        let mails = list["mails"].as_array().context("the mailbox lists no mails")?;
        anyhow::Ok(mails.iter().filter(|mail| mail["subject"] == *subject).count())
    };
    for subject in subjects {
        until(&format!("the mail `{subject}` arrives"), Duration::from_secs(MAILED_SECONDS_MAX), async || {
            Ok(when(count(subject).await? > 0))
        })
        .await?;
    }
    for subject in subjects {
        let found = count(subject).await?;
        ensure!(found == 1, "{found} mails `{subject}`");
    }
    Ok(())
}

/// URL of the list of mails, through a NodePort on this machine. Idempotent.
async fn pages(cluster: &Cluster) -> anyhow::Result<String> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "e2e-mailbox" },
        "spec": { "type": "NodePort", "selector": { "app.kubernetes.io/name": "mailbox" },
                  "ports": [{ "name": "http", "port": 80, "targetPort": 8025 }] },
    });
    let service = cluster.apply(SERVICE, &service).await?;
    let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("the NodePort has no port")?;
    Ok(format!("http://127.0.0.1:{port}/mails"))
}
