//! The shop with the settings of `compose.yaml`, whose addresses are replaced by those of test servers: it starts, and its
//! admin fills the catalog.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use agora_testkit::{MailServer, TestDatabase, free_port};
use reqwest::Client;
use serde_json::{Value, json};

/// Timeout of every wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compose() -> Value {
    serde_yaml::from_str(include_str!("../../../compose.yaml")).unwrap()
}

/// Runs the script of the container `keys` in a folder.
fn create_keys(compose: &Value, folder: &Path) {
    let script = compose["services"]["keys"]["command"][0].as_str().unwrap().replace("$$", "$");
    let owner = Command::new("id").arg("-u").output().unwrap().stdout;
    let owner = String::from_utf8(owner).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("KEYS", folder).env("OWNER", owner.trim());
    assert!(shell.status().unwrap().success());
}

/// The settings of the container `shop`; the volume with the keys is `keys`.
fn settings(compose: &Value, keys: &Path) -> BTreeMap<String, String> {
    let pairs = compose["x-agora"]["environment"].as_object().unwrap();
    let within = |value: &str| match value.strip_prefix("/keys/") {
        Some(file) => keys.join(file).display().to_string(),
        None => value.to_owned(),
    };
    pairs.iter().map(|(name, value)| (name.clone(), within(value.as_str().unwrap()))).collect()
}

/// Replaces the addresses in the settings. The servers live as long as what is returned.
async fn use_test_servers(settings: &mut BTreeMap<String, String>) -> (Vec<TestDatabase>, MailServer) {
    let mut databases = Vec::new();
    for row in agora_topology::ALL {
        let name = row.name.to_uppercase();
        let (public, internal) = (free_port(), free_port());
        settings.insert(format!("{name}_PORT"), public.to_string());
        settings.insert(format!("{name}_INTERNAL_PORT"), internal.to_string());
        for (url, port) in [(format!("{name}_URL"), public), (format!("{name}_INTERNAL_URL"), internal)] {
            settings.entry(url).and_modify(|value| *value = format!("http://127.0.0.1:{port}"));
        }
        if row.database {
            let database = agora_testkit::postgres().await;
            // A setting that the file does not have stays missing.
            settings.entry(format!("{name}_DATABASE_URL")).and_modify(|value| *value = database.url());
            databases.push(database);
        }
    }
    let (brokers, mail) = (agora_testkit::kafka().await, agora_testkit::mail_server().await);
    let kafka = agora_kafka::Config::plain(&brokers, &settings["ISOLATION_KEY"]);
    agora_kafka::ensure_topics(&kafka, &agora_topology::all_topics(), 3).await.unwrap();
    let servers = [
        ("KAFKA_BROKERS", brokers),
        ("REDIS_URL", agora_testkit::redis().await),
        ("SMTP_HOST", "127.0.0.1".to_owned()),
        ("SMTP_PORT", mail.port().to_string()),
    ];
    for (name, address) in servers {
        settings.entry(name.to_owned()).and_modify(|value| *value = address);
    }
    (databases, mail)
}

#[tokio::test]
async fn de2_the_shop_runs_with_the_settings_of_the_compose_file_alone() {
    let (compose, keys) = (compose(), tempfile::tempdir().unwrap());
    create_keys(&compose, keys.path());
    let mut settings = settings(&compose, keys.path());
    let _servers = use_test_servers(&mut settings).await;
    let agora = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_agora"));
        // Coverage's files of a process without its environment go to the working directory.
        command.args(arguments).env_clear().envs(&settings).current_dir(keys.path()).stdout(Stdio::null());
        command
    };
    assert!(agora(&["migrate", "all"]).status().unwrap().success());

    let admin_port = free_port().to_string();
    let mut serve = agora(&["serve", "all"]);
    let mut shop = Process(serve.env("ADMIN_PORT", &admin_port).env("RUST_LOG", "error").spawn().unwrap());
    let ready = format!("http://127.0.0.1:{admin_port}/readyz");
    let begun = Instant::now();
    while !agora(&["probe", &ready]).stderr(Stdio::null()).status().unwrap().success() {
        assert!(shop.0.try_wait().unwrap().is_none(), "the shop ended");
        assert!(begun.elapsed() < PATIENCE, "the shop is not ready within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let gateway = format!("http://127.0.0.1:{}", settings["GATEWAY_PORT"]);
    assert!(agora(&["seed", "--url", &gateway]).status().unwrap().success(), "the admin of the file adds products");
    let http = Client::builder().timeout(Duration::from_secs(15)).no_proxy().build().unwrap();
    let products: Value =
        http.get(format!("{gateway}/api/v1/products?limit=1")).send().await.unwrap().json().await.unwrap();
    assert_eq!(products["items"].as_array().unwrap().len(), 1, "{products}");
    let schema = json!({ "query": "{ __schema { queryType { name } } }" });
    let answer: Value =
        http.post(format!("{gateway}/graphql")).json(&schema).send().await.unwrap().json().await.unwrap();
    assert!(answer["data"]["__schema"]["queryType"]["name"].is_string(), "{answer}");

    drop(shop);
    let refused = agora(&["probe", &ready]).stderr(Stdio::null()).status().unwrap();
    assert!(!refused.success(), "a container whose process ended is not healthy");
}
