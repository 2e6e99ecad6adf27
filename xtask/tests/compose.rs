//! Loads `compose.yaml` with the library of Docker Compose, which checks it against the JSON schema of the Compose
//! specification, and compares it with the table of services, the Dockerfile and the data services of a cluster.
//!
//! Requires Go; must not start a container. The database tests of `agora` start the shop with the settings of the file.

#![expect(clippy::expect_used, reason = "an unexpected value fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use agora_topology::{ALL, GATEWAY, all_topics, service};
use serde_json::Value;

/// The only password of the file.
const PASSWORD: &str = "development-only";
/// Services without a profile: what services that run outside of Docker need.
const DATA: [&str; 5] = ["postgres", "databases", "kafka", "topics", "redis"];

static PROJECT: LazyLock<Value> = LazyLock::new(|| load(&root().join("compose.yaml")).expect("a valid Compose file"));

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The project with all profiles, or what Compose says against the file.
fn load(file: &Path) -> Result<Value, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tools-compose");
    let output = Command::new("go").args(["run", "."]).arg(file).current_dir(folder).output().expect("running go");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn services() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let services = PROJECT["services"].as_object().expect("services");
    services.iter().map(|(name, service)| (name.as_str(), service))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn environment(service: &Value) -> BTreeMap<&str, &str> {
    let pairs = service["environment"].as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.as_str(), text(value))).collect()
}

fn of_shop() -> BTreeMap<&'static str, &'static str> {
    environment(&PROJECT["services"]["shop"])
}

/// What the loop over `variable` in the shell command of a service lists.
fn listed(service: &str, variable: &str) -> BTreeSet<&'static str> {
    let command = text(&PROJECT["services"][service]["command"][0]);
    let (_, rest) = command.split_once(&format!("for {variable} in ")).expect("a loop");
    let (list, _) = rest.split_once("do\n").expect("the end of the list");
    list.split([' ', '\n', ';', '\\']).filter(|word| !word.is_empty()).collect()
}

/// Whether a service reads this variable: by its own name, for one service alone, or from a file.
fn is_read(variable: &str) -> bool {
    let names = [Some(variable), variable.strip_suffix("_FILE")];
    names.into_iter().flatten().any(|name| {
        ALL.iter().any(|row| {
            let prefix = format!("{}_", row.name.to_ascii_uppercase());
            row.reads(name) || name.strip_prefix(&prefix).is_some_and(|own| row.reads(own))
        })
    })
}

#[test]
fn de2_the_compose_file_conforms_to_the_compose_specification() {
    let data: BTreeSet<&str> =
        services().filter(|(_, service)| service["profiles"].is_null()).map(|(name, _)| name).collect();
    assert_eq!(data, BTreeSet::from(DATA));
    for (name, service) in services().filter(|(name, _)| !data.contains(name)) {
        assert_eq!(service["profiles"], serde_json::json!(["shop"]), "{name}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("compose.yaml");
    let misspelled = read("compose.yaml").replace("healthcheck:", "healthchek:");
    std::fs::write(&file, misspelled).expect("a file");
    let refused = load(&file).expect_err("a property that the schema does not have");
    assert!(refused.contains("healthchek"), "{refused}");
}

#[test]
fn de2_every_container_is_healthy_or_done_before_others_use_it_and_is_reached_from_this_machine_alone() {
    let mut done = BTreeSet::new();
    for (name, service) in services() {
        for (needed, how) in service["depends_on"].as_object().into_iter().flatten() {
            match text(&how["condition"]) {
                "service_completed_successfully" => {
                    done.insert(needed.as_str());
                }
                condition => assert_eq!(condition, "service_healthy", "{name} needs {needed}"),
            }
        }
    }
    let mut published = BTreeMap::new();
    for (name, service) in services() {
        let checks = service["healthcheck"]["test"].as_array().map_or(0, Vec::len);
        assert_eq!(checks > 1, !done.contains(name), "{name}: a health check, or another waits for its end");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: the passwords are known");
            published.insert(text(&port["published"]), (name, port["target"].as_u64().expect("a port")));
        }
    }
    let expected = [
        ("3000", ("shop", u64::from(GATEWAY.port))),
        ("5432", ("postgres", 5432)),
        ("6379", ("redis", 6379)),
        ("8025", ("mail", 8025)),
        ("9092", ("kafka", 9092)),
    ];
    assert_eq!(published, BTreeMap::from(expected));
}

#[test]
fn de2_the_images_are_those_of_the_dockerfile_and_of_a_cluster() {
    let cluster = read("manifests/dev/data-in-cluster.yaml");
    let of_cluster: BTreeSet<&str> = cluster.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    let images: BTreeSet<&str> = services().map(|(_, service)| text(&service["image"])).collect();
    let own: BTreeSet<&str> = images.difference(&of_cluster).copied().collect();
    assert_eq!(own, BTreeSet::from(["agora.local/agora:development"]));
    assert!(images.is_superset(&of_cluster), "{of_cluster:?}");

    let dockerfile = read("Dockerfile");
    for (name, service) in services().filter(|(_, service)| own.contains(text(&service["image"]))) {
        let build = &service["build"];
        // The folder that the first lines tell people to create, which git ignores.
        assert!(text(&build["context"]).ends_with("/.agora/image"), "{name}: {build}");
        assert!(text(&build["dockerfile"]).ends_with("../../Dockerfile"), "{name}: {build}");
        assert!(dockerfile.contains(&format!("FROM scratch AS {}\n", text(&build["target"]))), "{name}: {build}");
        assert_eq!(service["read_only"], true, "{name}");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/.agora"));
    assert!(read("compose.yaml").contains("cargo xtask image --stage .agora/image"));
    let owner = environment(&PROJECT["services"]["keys"])["OWNER"];
    assert!(dockerfile.contains(&format!("\nUSER {owner}\n")), "the shop reads the keys");
}

#[test]
fn de2_the_shop_has_the_settings_databases_and_topics_that_the_table_of_services_asks_for() {
    let settings = of_shop();
    for name in settings.keys() {
        assert!(is_read(name), "no service reads {name}");
    }
    let prefix = settings["ISOLATION_KEY"];
    for row in ALL {
        for name in row.environment() {
            let (of_url, internal) = match name.strip_suffix("_INTERNAL_URL") {
                Some(callee) => (Some(callee), true),
                None => (name.strip_suffix("_URL"), false),
            };
            if let Some(callee) = of_url.and_then(|callee| service(&callee.to_lowercase())) {
                let port = if internal { callee.internal_port } else { Some(callee.port) };
                let url = format!("http://127.0.0.1:{}", port.expect("a port"));
                assert_eq!(settings.get(name), Some(&url.as_str()), "{}: {name}", row.name);
            }
        }
        for secret in ["INTERNAL_SECRET", "ENCRYPTION_KEY"] {
            assert!(!row.reads(secret) || settings.contains_key(format!("{secret}_FILE").as_str()), "{secret}");
        }
        if row.database {
            let url = settings[format!("{}_DATABASE_URL", row.name.to_ascii_uppercase()).as_str()];
            assert!(url.ends_with(&format!("@postgres:5432/{prefix}_{}", row.name)), "{}", row.name);
        }
    }
    let databases: BTreeSet<&str> = ALL.iter().filter(|row| row.database).map(|row| row.name).collect();
    assert_eq!(listed("databases", "service"), databases);
    assert!(text(&PROJECT["services"]["databases"]["command"][0]).contains(&format!("createdb \"{prefix}_$service\"")));
    let topics = all_topics();
    assert_eq!(listed("topics", "topic"), topics.iter().map(|topic| topic.name()).collect::<BTreeSet<_>>());
    assert!(text(&PROJECT["services"]["topics"]["command"][0]).contains(&format!("--topic \"{prefix}.$topic\"")));
    let kafka = environment(&PROJECT["services"]["kafka"]);
    assert!(kafka["KAFKA_ADVERTISED_LISTENERS"].contains(&format!("SHOP://{}", settings["KAFKA_BROKERS"])));
    for host in [settings["SMTP_HOST"], settings["REDIS_URL"].trim_start_matches("redis://")] {
        let host = host.split(':').next().expect("a host");
        assert!(services().any(|(name, _)| name == host), "no container is called {host}");
    }
}

#[test]
fn de2_the_file_contains_no_secret_but_the_password_of_development() {
    let mut passwords = 0;
    for (container, service) in services() {
        for (name, value) in environment(service) {
            let in_url = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')).map(|(login, _)| login);
            let password = in_url.and_then(|login| login.split_once(':')).map(|(_, password)| password);
            let password = password.or_else(|| name.contains("PASSWORD").then_some(value));
            assert!(password.is_none_or(|password| password == PASSWORD), "{container}: {name}");
            passwords += usize::from(password.is_some());
            let is_key = name.ends_with("_KEY") || name.ends_with("_SECRET") || name.ends_with("_TOKEN");
            assert!(!is_key || name == "ISOLATION_KEY", "{container}: {name} belongs into the volume `keys`");
        }
    }
    assert!(passwords > 8, "{passwords} were found");
}
