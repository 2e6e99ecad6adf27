//! Scenario of secrecy: searches objects, logs, command lines and files of the servers for the values of all Secrets.

use std::{collections::BTreeMap, path::Path};

use agora_e2e::{
    cluster::{CHILDREN, Cluster, EVENT, MARKETPLACE, POD, SECRET, name, text},
    report,
    world::{OPERATOR_NAMESPACE, World},
};
use anyhow::{Context, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Keys of Secrets whose values are public.
const PUBLIC: [&str; 5] = ["username", "ca.crt", "tls.crt", "type", "rotated-at"];
/// Minimum length of a value to search for; a shorter one can occur by chance.
const SECRET_BYTES_MIN: usize = 12;
/// Common prefix of all access tokens: the encoded header.
const TOKEN: &str = "eyJ0eXAiOiJKV1Qi";
/// Common prefix of the passwords of the tests' shoppers, in JSON.
const PASSWORD: &str = "\"pass-";
/// Larger files are not searched.
const FILE_BYTES_MAX: u64 = 64 << 20;

pub async fn no_secret_appears_in_objects_logs_or_files(world: &World) -> anyhow::Result<()> {
    let mut secrets = BTreeMap::new();
    collect(&world.cluster, &mut secrets).await?;
    let kept = secrets.len();
    ensure!(kept > 0, "there is no secret to search for");
    secrets.insert("an access token".to_owned(), TOKEN.to_owned());
    secrets.insert("a shopper's password".to_owned(), PASSWORD.to_owned());
    let mut search = LeakSearch { secrets, searched: BTreeMap::new(), leaks: Vec::new() };
    for cluster in [world.cluster.clone(), world.cluster.of(OPERATOR_NAMESPACE)] {
        search.objects(&cluster).await?;
        search.logs(&cluster).await?;
    }
    search.processes()?;
    search.files(&world.settings.state.join("log"))?;
    ensure!(search.leaks.is_empty(), "secrets found: {:#?}", search.leaks);
    println!("    searched for {kept} values in: {:?}", search.searched);
    Ok(())
}

/// Secret values of a namespace, by Secret and key; of a multi-line value the longest line.
async fn collect(cluster: &Cluster, secrets: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for secret in cluster.list(SECRET, "").await? {
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let bytes = STANDARD.decode(text(value)).context("a Secret's value is base64")?;
            let whole = String::from_utf8_lossy(&bytes);
            let line = whole.lines().max_by_key(|line| line.len()).unwrap_or_default();
            if !PUBLIC.contains(&key.as_str()) && line.len() >= SECRET_BYTES_MIN {
                secrets.insert(format!("{} {key}", name(&secret)), line.to_owned());
                secrets.insert(format!("{} {key} in base64", name(&secret)), text(value).to_owned());
            }
        }
    }
    Ok(())
}

struct LeakSearch {
    secrets: BTreeMap<String, String>,
    /// Number of searched items by kind.
    searched: BTreeMap<&'static str, usize>,
    leaks: Vec<String>,
}

impl LeakSearch {
    fn look(&mut self, kind: &'static str, place: &str, content: &str) {
        *self.searched.entry(kind).or_default() += 1;
        let leaks = self.secrets.iter().filter(|(_, value)| content.contains(value.as_str()));
        self.leaks.extend(leaks.map(|(secret, _)| format!("{kind} {place} contains {secret}")));
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

    /// Searches the command lines of all processes, which every user of the machine can read.
    fn processes(&mut self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(line) = std::fs::read_to_string(entry.path().join("cmdline")) else { continue };
            self.look("command line", &name, &line);
        }
        Ok(())
    }

    /// Searches the logs of the cluster's processes and of the data services.
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
