//! The chart's dashboards and rules, asked of a real Prometheus that scrapes a real shop.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use agora_testkit::{free_port, location};
use reqwest::Url;
use serde_json::Value;
use tempfile::TempDir;

use super::{FOUR_PROCESSES, Process, Shop, buys_from_the_cart, comes_true};

/// Range of a rate in a dashboard: longer than a few scrapes of this test.
const RATE_INTERVAL: &str = "30s";

fn repo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn monitoring(file: &str) -> PathBuf {
    repo().join("charts/agora-operator/monitoring").join(file)
}

/// A Prometheus that scrapes the processes of a shop every second.
struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    fn start(shop: &Shop) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let targets: String =
            shop.layout.iter().zip(&shop.admins).map(|(services, admin)| target(services[0], admin)).collect();
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 2s}}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: agora\n  static_configs:\n{targets}",
            monitoring("rules.yaml").canonicalize().unwrap().display()
        );
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, settings).unwrap();
        let process = Command::new(location("AGORA_PROMETHEUS").join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}/api/v1");
        Self { url, http: shop.http.clone(), _process: Process(process), _folder: folder }
    }

    /// The data of an answer; `Null` while there is none.
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&format!("{}{path}", self.url), parameters).unwrap();
        let Ok(answer) = self.http.get(url).send().await else { return Value::Null };
        let body: Value = answer.json().await.unwrap_or_default();
        assert_ne!(body["status"], "error", "{path} {parameters:?}: {body}");
        body["data"].clone()
    }

    /// Whether a query has an answer; it fails if it is not valid.
    async fn answers(&self, query: &str) -> bool {
        self.get("/query", &[("query", query)]).await["result"].as_array().is_some_and(|found| !found.is_empty())
    }
}

fn target(component: &str, admin: &str) -> String {
    format!("  - {{targets: [\"{admin}\"], labels: {{marketplace: main, component: {component}, pod: {component}}}}}\n")
}

fn promtool(arguments: &[&str]) {
    let output = Command::new(location("AGORA_PROMETHEUS").join("promtool"))
        .args(arguments)
        .current_dir(repo())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Panels of all dashboards, with their queries as Grafana sends them.
fn panels() -> Vec<(Value, Vec<String>)> {
    let text = std::fs::read_to_string(monitoring("dashboards.yaml")).unwrap();
    let declared: Value = serde_yaml::from_str(&text).unwrap();
    let dashboards = declared["dashboards"].as_array().unwrap();
    let panels = dashboards.iter().flat_map(|dashboard| dashboard["panels"].as_array().unwrap());
    let sent = |query: &Value| {
        query["expr"].as_str().unwrap().replace("$marketplace", "main").replace("$__rate_interval", RATE_INTERVAL)
    };
    panels.map(|panel| (panel.clone(), panel["queries"].as_array().unwrap().iter().map(sent).collect())).collect()
}

#[test]
fn de13_every_alert_is_silent_before_its_time_and_fires_after_it() {
    promtool(&["check", "rules", "--lint-fatal", monitoring("rules.yaml").to_str().unwrap()]);
    promtool(&["test", "rules", "tests/observability/alerts.yaml"]);
}

#[tokio::test]
async fn de12_every_panel_of_every_dashboard_shows_something_of_a_shop_that_sells() {
    let shop = Shop::open_as(FOUR_PROCESSES).await;
    let prometheus = Prometheus::start(&shop);
    comes_true("every process is scraped", async || prometheus.answers("count(up{job=\"agora\"} == 1) == 4").await)
        .await;
    buys_from_the_cart(&shop).await;

    for (panel, queries) in panels() {
        for query in queries {
            let may_be_empty = panel["when"].is_string() || panel["source"].is_string();
            let shown = async || prometheus.answers(&query).await || may_be_empty;
            comes_true(&format!("{} has an answer: {query}", panel["title"]), shown).await;
        }
    }
    let rules = prometheus.get("/rules", &[]).await;
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 30, "{rules:?}");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let firing = prometheus.get("/alerts", &[]).await;
    let firing = firing["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
    assert_eq!(firing.count(), 0, "a healthy shop raises no alert");
}
