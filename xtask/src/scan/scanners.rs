//! The three scanners: builds or installs them once, runs them, and translates what they print. Knows no accepted finding.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::findings::Finding;
use super::objects::ObjectSet;
use super::schemas::Schemas;
use crate::cluster::tools;
use crate::command::{command, describe, last_lines};
use crate::environment::Paths;
use crate::go_module::GoModule;
use crate::pypi;

const KUBECONFORM: &str = "kubeconform";
const KUBE_SCORE: &str = "kube-score";
const CHECKOV: &str = "checkov";
/// The set of findings against the images.
const DOCKERFILE: &str = "Dockerfile";

const OF_SCANNERS: GoModule = GoModule {
    folder: "tools-manifests",
    packages: &["github.com/yannh/kubeconform/cmd/kubeconform", "github.com/zegl/kube-score/cmd/kube-score"],
    tags: "",
};
/// kube-score's grade of a warning; that of a critical finding is less.
const GRADE_WARNING: u64 = 5;
/// Checks that kube-score leaves out unless they are named.
const OPTIONAL_CHECKS: &str = "container-seccomp-profile";

/// Programs, and what they compare with.
pub struct Scanners {
    /// Folder of kubeconform and kube-score.
    programs: PathBuf,
    /// Folder of checkov's packages.
    checkov: PathBuf,
    /// The version of Kubernetes: `1.35.4`.
    kubernetes: String,
    schemas: Schemas,
}

impl Scanners {
    /// Builds and installs what is not in the cache. Idempotent.
    pub fn ensure(paths: &Paths) -> Result<Self> {
        let (kubernetes, sources) = tools::kubernetes_sources(paths)?;
        let schemas = Schemas::read(&sources, &paths.repo.join("crds/marketplaces.yaml"))?;
        let (programs, checkov) = (OF_SCANNERS.build(paths)?, pypi::CHECKOV.ensure(paths)?);
        Ok(Self { programs, checkov, kubernetes, schemas })
    }

    /// What all scanners say against a set, whose files are written below `folder`.
    pub fn scan(&self, set: &ObjectSet, folder: &Path) -> Result<Vec<Finding>> {
        let file = set.write(folder)?;
        let mut findings = self.kubeconform(set, &file, &folder.join("schemas"))?;
        findings.extend(self.kube_score(set, &file)?);
        let report = self.checkov("kubernetes", "--directory", file.parent().unwrap_or(folder))?;
        findings.extend(of_checkov(set.name, &report)?);
        Ok(findings)
    }

    /// What checkov says against the Dockerfile.
    pub fn scan_dockerfile(&self, paths: &Paths) -> Result<Vec<Finding>> {
        let report = self.checkov("dockerfile", "--file", &paths.repo.join(DOCKERFILE))?;
        of_checkov(DOCKERFILE, &report)
    }

    fn kubeconform(&self, set: &ObjectSet, file: &Path, schemas: &Path) -> Result<Vec<Finding>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kinds: BTreeSet<(String, String)> =
            set.objects.iter().map(|object| (text(&object["apiVersion"]), text(&object["kind"]))).collect();
        self.schemas.write(&kinds, schemas)?;
        let location = format!("{}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", schemas.display());
        let mut kubeconform = command(self.programs.join(KUBECONFORM), ["-strict", "-output", "json", "-summary"]);
        let report = report(kubeconform.args(["-verbose", "-schema-location", &location]).arg(file))?;
        of_kubeconform(set.name, &report, set.objects.len())
    }

    fn kube_score(&self, set: &ObjectSet, file: &Path) -> Result<Vec<Finding>> {
        let minor = self.kubernetes.rsplit_once('.').map_or(self.kubernetes.as_str(), |(minor, _)| minor);
        let mut kube_score = command(self.programs.join(KUBE_SCORE), ["score", "--output-format", "json"]);
        kube_score.args(["--disable-ignore-checks-annotations", "--kubernetes-version", &format!("v{minor}")]);
        let report = report(kube_score.args(["--enable-optional-test", OPTIONAL_CHECKS]).arg(file))?;
        of_kube_score(set.name, &report)
    }

    fn checkov(&self, framework: &str, option: &str, path: &Path) -> Result<Value> {
        let mut python = command("python3", ["-m", "checkov.main", "--output", "json", "--quiet", "--skip-download"]);
        python.env("PYTHONPATH", &self.checkov).env("LOG_LEVEL", "ERROR");
        report(python.args(["--framework", framework, option]).arg(path))
    }
}

/// What a scanner prints; it may end with a status other than 0 where it finds anything.
fn report(command: &mut Command) -> Result<Value> {
    let name = describe(command);
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("starting `{name}`"))?;
    serde_json::from_slice(&done.stdout).with_context(|| {
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        format!("`{name}` ended with {} and printed no JSON:\n{}", done.status, last_lines(&errors))
    })
}

fn of_kubeconform(set: &'static str, report: &Value, objects: usize) -> Result<Vec<Finding>> {
    let resources = report["resources"].as_array().context("kubeconform printed no resources")?;
    ensure!(resources.len() == objects, "kubeconform read {} of {objects} objects of {set}", resources.len());
    let against = |resource: &Value| match resource["status"].as_str() {
        Some("statusValid") => None,
        status => Some(Finding {
            set,
            scanner: KUBECONFORM,
            check: status.unwrap_or_default().trim_start_matches("status").to_lowercase(),
            text: words(&resource["msg"]),
            object: format!("{}/{}", words(&resource["kind"]), words(&resource["name"])),
        }),
    };
    Ok(resources.iter().filter_map(against).collect())
}

fn of_kube_score(set: &'static str, report: &Value) -> Result<Vec<Finding>> {
    // An empty list is printed as null.
    let objects = report.as_array().context("kube-score read no object")?;
    let mut findings = Vec::new();
    for object in objects {
        let name = format!("{}/{}", words(&object["type_meta"]["kind"]), words(&object["object_meta"]["name"]));
        for score in object["checks"].as_array().into_iter().flatten() {
            if score["skipped"] == true || score["grade"].as_u64().is_none_or(|grade| grade > GRADE_WARNING) {
                continue;
            }
            let check = words(&score["check"]["id"]);
            let comments = score["comments"].as_array().into_iter().flatten();
            let mut texts: BTreeSet<String> = comments.map(|comment| words(&comment["summary"])).collect();
            if texts.is_empty() {
                texts.insert(words(&score["check"]["name"]));
            }
            let finding = |text| Finding { set, scanner: KUBE_SCORE, check: check.clone(), text, object: name.clone() };
            findings.extend(texts.into_iter().map(finding));
        }
    }
    Ok(findings)
}

fn of_checkov(set: &'static str, report: &Value) -> Result<Vec<Finding>> {
    let failed =
        report["results"]["failed_checks"].as_array().with_context(|| format!("checkov read nothing of {set}"))?;
    if report["summary"]["parsing_errors"].as_u64().is_some_and(|errors| errors > 0) {
        bail!("checkov could not parse {set}");
    }
    let against = |check: &Value| Finding {
        set,
        scanner: CHECKOV,
        check: words(&check["check_id"]),
        text: words(&check["check_name"]),
        object: object_of(&words(&check["resource"])),
    };
    Ok(failed.iter().map(against).collect())
}

/// `Deployment/shop-order` of `Deployment.shop.shop-order`. Of the Dockerfile it is the instruction.
fn object_of(resource: &str) -> String {
    let mut parts = resource.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(kind), Some(_), Some(name)) => format!("{kind}/{name}"),
        (Some(_), Some(instruction), None) => instruction.to_owned(),
        _ => resource.to_owned(),
    }
}

/// A text, or the JSON of another value; empty for null.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kubeconform_must_have_read_every_object() {
        let report = json!({"resources": [
            {"kind": "Service", "name": "a", "status": "statusValid", "msg": ""},
            {"kind": "PodMonitor", "name": "b", "status": "statusError", "msg": "could not find schema for PodMonitor"},
        ]});
        let findings = of_kubeconform("chart", &report, 2).unwrap();
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.check.as_str(), finding.object.as_str()), ("error", "PodMonitor/b"));
        assert!(of_kubeconform("chart", &report, 3).is_err());
    }

    #[test]
    fn each_comment_of_kube_score_is_a_finding_and_what_it_skips_or_passes_is_none() {
        let check = |id: &str, grade: u8, skipped: bool, comments: Value| {
            let named = json!({"id": id, "name": id});
            json!({"check": named, "grade": grade, "skipped": skipped, "comments": comments})
        };
        let report = json!([{"type_meta": {"kind": "Job"}, "object_meta": {"name": "a"}, "checks": [
            check("resources", 1, false, json!([{"summary": "CPU"}, {"summary": "memory"}, {"summary": "CPU"}])),
            check("probes", 0, true, json!([{"summary": "skipped"}])),
            check("tag", 7, false, Value::Null),
            check("labels", 5, false, Value::Null),
        ]}]);
        let findings = of_kube_score("chart", &report).unwrap();
        let found: Vec<_> = findings.iter().map(|finding| (finding.check.as_str(), finding.text.as_str())).collect();
        assert_eq!(found, [("resources", "CPU"), ("resources", "memory"), ("labels", "labels")]);
        assert!(findings.iter().all(|finding| finding.object == "Job/a"));
        assert!(of_kube_score("chart", &Value::Null).is_err());
    }

    #[test]
    fn checkov_must_have_parsed_all() {
        let failed =
            json!([{"check_id": "CKV_K8S_43", "check_name": "digest", "resource": "Deployment.shop.shop-a.b"}]);
        let report =
            |errors: u8| json!({"results": {"failed_checks": failed.clone()}, "summary": {"parsing_errors": errors}});
        let findings = of_checkov("chart", &report(0)).unwrap();
        assert_eq!((findings[0].object.as_str(), findings[0].text.as_str()), ("Deployment/shop-a.b", "digest"));
        assert!(of_checkov("chart", &report(1)).is_err());
        assert!(of_checkov("chart", &json!({"passed": 0, "failed": 0})).is_err());
        assert_eq!(object_of("/Dockerfile.USER"), "USER");
    }
}
