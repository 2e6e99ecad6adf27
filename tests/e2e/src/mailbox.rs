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
    let mailbox = Mailbox::open(cluster).await?;
    mailbox.holds_once(subjects, |_| true).await
}

/// A mail that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    pub subject: String,
    /// The part without markup.
    pub text: String,
    to: Vec<String>,
}

/// The mails of all Marketplaces of a namespace, over HTTP.
pub struct Mailbox {
    http: reqwest::Client,
    pages: String,
}

impl Mailbox {
    /// Opens the mailbox of [`deploy`]. Idempotent.
    pub async fn open(cluster: &Cluster) -> anyhow::Result<Self> {
        let pages = pages(cluster).await?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(ANSWER_SECONDS_MAX)).no_proxy().build()?;
        Ok(Self { http, pages })
    }

    /// All mails to an address, oldest first.
    pub async fn mails_to(&self, address: &str) -> anyhow::Result<Vec<Mail>> {
        let mut mails = self.mails().await?;
        mails.retain(|mail| mail.is_to(address));
        Ok(mails)
    }

    /// Waits until mails with all of the subjects have arrived at an address, and fails if one of them has arrived twice.
    pub async fn holds_once_for(&self, address: &str, subjects: &[String]) -> anyhow::Result<()> {
        self.holds_once(subjects, |mail| mail.is_to(address)).await
    }

    async fn holds_once(&self, subjects: &[String], of: impl Fn(&Mail) -> bool) -> anyhow::Result<()> {
        let count = async |subject: &String| {
            let mails = self.mails().await?;
            anyhow::Ok(mails.iter().filter(|mail| mail.subject == *subject && of(mail)).count())
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

    async fn mails(&self) -> anyhow::Result<Vec<Mail>> {
        let list: Value = self.http.get(&self.pages).send().await?.error_for_status()?.json().await?;
        let mails = list["mails"].as_array().context("the mailbox lists no mails")?;
        Ok(mails.iter().map(Mail::read).collect())
    }
}

impl Mail {
    fn read(mail: &Value) -> Self {
        let to = mail["to"].as_array().into_iter().flatten().map(|address| text(address).to_owned()).collect();
        Self { subject: text(&mail["subject"]).to_owned(), text: text(&mail["text"]).to_owned(), to }
    }

    fn is_to(&self, address: &str) -> bool {
        self.to.iter().any(|to| to == address)
    }
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
