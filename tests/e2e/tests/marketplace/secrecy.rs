//! Secrets stay where they are kept: no log, event, status, object, command line or file of the servers tells one.

use std::{collections::BTreeMap, path::Path};

use agora_e2e::{
    cluster::{CHILDREN, Cluster, EVENT, MARKETPLACE, POD, SECRET, name, text},
    report,
    world::{OPERATOR_NAMESPACE, World},
};
use anyhow::{Context, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Keys of Secrets whose values are no secrets.
const PUBLIC: [&str; 4] = ["username", "ca.crt", "tls.crt", "type"];
/// A value that is shorter may occur anywhere by chance.
const TELLING_BYTES_MIN: usize = 12;
/// How an access token begins: the header that is common to all of them. No log has one.
const TOKEN: &str = "eyJ0eXAiOiJKV1Qi";
/// How the passwords of this suite's shoppers begin.
const PASSWORD: &str = "\"pass-";
/// Larger files are read from their end.
const FILE_BYTES_MAX: u64 = 64 << 20;

pub async fn no_secret_is_told_anywhere(world: &World) -> anyhow::Result<()> {
    let mut secrets = BTreeMap::new();
    collect(&world.cluster, &mut secrets).await?;
    let kept = secrets.len();
    ensure!(kept > 0, "there are no secrets to look for");
    secrets.insert("an access token".to_owned(), TOKEN.to_owned());
    secrets.insert("a shopper's password".to_owned(), PASSWORD.to_owned());
    let mut places = Places { secrets, looked: BTreeMap::new(), told: Vec::new() };
    for cluster in [world.cluster.clone(), world.cluster.of(OPERATOR_NAMESPACE)] {
        places.objects(&cluster).await?;
        places.logs(&cluster).await?;
    }
    places.processes()?;
    places.files(&world.settings.state.join("log"))?;
    ensure!(places.told.is_empty(), "told: {:#?}", places.told);
    println!("    {kept} values, looked for in: {:?}", places.looked);
    Ok(())
}

/// Secret values of a namespace by Secret and key; of one with lines the longest.
async fn collect(cluster: &Cluster, secrets: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for secret in cluster.list(SECRET, "").await? {
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let bytes = STANDARD.decode(text(value)).context("a Secret's value is base64")?;
            let whole = String::from_utf8_lossy(&bytes);
            let line = whole.lines().max_by_key(|line| line.len()).unwrap_or_default();
            if !PUBLIC.contains(&key.as_str()) && line.len() >= TELLING_BYTES_MIN {
                secrets.insert(format!("{} {key}", name(&secret)), line.to_owned());
                secrets.insert(format!("{} {key} in base64", name(&secret)), text(value).to_owned());
            }
        }
    }
    Ok(())
}

struct Places {
    secrets: BTreeMap<String, String>,
    /// How many of each kind were looked at.
    looked: BTreeMap<&'static str, usize>,
    told: Vec<String>,
}

impl Places {
    fn look(&mut self, kind: &'static str, place: &str, content: &str) {
        *self.looked.entry(kind).or_default() += 1;
        let told = self.secrets.iter().filter(|(_, value)| content.contains(value.as_str()));
        self.told.extend(told.map(|(secret, _)| format!("{kind} {place} tells {secret}")));
    }

    async fn objects(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let kinds = CHILDREN.into_iter().filter(|kind| *kind != SECRET).chain([MARKETPLACE, POD, EVENT]);
        for kind in kinds {
            for object in cluster.list(kind, "").await? {
                self.look(kind.word, name(&object), &object.to_string());
            }
        }
        Ok(())
    }

    async fn logs(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        for pod in cluster.list(POD, "").await? {
            for text in report::logs(cluster, name(&pod), None).await {
                self.look("log", name(&pod), &text);
            }
        }
        Ok(())
    }

    /// Command lines are open to everybody on the machine. Not this process's own.
    fn processes(&mut self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(line) = std::fs::read_to_string(entry.path().join("cmdline")) else { continue };
            self.look("command line", &name, &line);
        }
        Ok(())
    }

    /// What the cluster's own processes and the data services wrote.
    fn files(&mut self, folder: &Path) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?.flatten() {
            let file = entry.path();
            if entry.metadata().is_ok_and(|data| data.is_file() && data.len() <= FILE_BYTES_MAX) {
                let content = std::fs::read(&file).with_context(|| format!("{}", file.display()))?;
                self.look("file", &file.display().to_string(), &String::from_utf8_lossy(&content));
            }
        }
        Ok(())
    }
}
