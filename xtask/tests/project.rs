//! What the project promises about its own files: images, CI, documents, tests of every crate, SQL of the services. Reads
//! text; runs nothing of the project.

#![expect(clippy::expect_used, reason = "an unexpected value fails the test")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Files below a folder with this ending, by path from the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder == "." { name.clone() } else { format!("{folder}/{name}") };
        let is_folder = entry.file_type().expect("a type").is_dir();
        if is_folder && !name.starts_with(".git") && name != "target" {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// Folders of the crates of the workspace.
fn crates() -> Vec<String> {
    let manifests = files(".", "Cargo.toml");
    manifests.iter().filter_map(|file| file.strip_suffix("/Cargo.toml")).map(str::to_owned).collect()
}

/// The code of a source file before its tests.
fn code(file: &str) -> String {
    let text = read(file);
    text.split("\nmod tests").next().unwrap_or_default().to_owned()
}

#[test]
fn de1_each_image_is_one_program_that_runs_as_no_ones_user_and_has_no_shell() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").skip(1).collect();
    let names: Vec<&str> =
        stages.iter().filter_map(|stage| stage.lines().next()?.strip_prefix("scratch AS ")).collect();
    assert_eq!(names, ["agora", "agora-operator"], "every stage begins with an empty image");
    for (name, stage) in names.iter().zip(&stages) {
        let lines: Vec<&str> = stage.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
        assert!(lines.contains(&format!("COPY {name}/ /").as_str()), "{name}");
        assert!(lines.contains(&format!("ENTRYPOINT [\"/bin/{name}\"]").as_str()), "{name}");
        let user = lines.iter().find_map(|line| line.strip_prefix("USER "));
        let user: u32 = user.expect("a user").parse().expect("a number, which Kubernetes can compare with 0");
        assert_ne!(user, 0, "{name}");
        assert!(!lines.iter().any(|line| line.starts_with("RUN ")), "an empty image has no shell to run");
    }
    for name in names {
        let is_package =
            |folder: &String| read(&format!("{folder}/Cargo.toml")).contains(&format!("\nname = \"{name}\"\n"));
        let folder = crates().into_iter().find(is_package).expect("a crate with the name of the program");
        assert!(root().join(&folder).join("src/main.rs").exists(), "{folder}");
    }
}

#[test]
fn de18_ci_runs_the_stages_that_a_developer_runs() {
    let stages = read("xtask/src/test.rs");
    let (_, all) = stages.split_once("const ALL: [Stage; 3] = [").expect("the default stages");
    let all = all.split(']').next().expect("the end of the list");
    let all: Vec<String> = all.split(',').map(|stage| stage.trim().replace("Stage::", "").to_lowercase()).collect();
    let ci = read(".github/workflows/ci.yml");
    let (_, matrix) = ci.split_once("stage: [").expect("the stages of CI");
    let matrix: Vec<&str> = matrix.split(']').next().expect("the end of the list").split(", ").collect();
    assert_eq!(matrix, all);
    for run in [".ci/run check", ".ci/run ${{ matrix.stage }}", "pull_request:", "push: {branches: [main]}"] {
        assert!(ci.contains(run), "{run}");
    }
    assert!(read(".ci/run").contains("exec cargo xtask test \"$@\""));
    let check = read("xtask/src/check.rs");
    for step in
        ["\"fmt\", \"--all\", \"--check\"", "\"clippy\"", "\"-D\", \"warnings\"", "licences::faults", "layers::faults"]
    {
        assert!(check.contains(step), "{step}");
    }
    for stage in &all {
        assert!(read("docs/CI.md").contains(&format!("| `{stage}` |")), "docs/CI.md does not describe {stage}");
    }
}

#[test]
fn de18_ci_scans_what_is_rendered_in_a_job_of_its_own() {
    let ci = read(".github/workflows/ci.yml");
    let (_, job) = ci.split_once("\n  manifests:\n").expect("the job");
    let job = job.split("\n  advisories:\n").next().expect("a first part");
    assert!(job.contains("run: cargo xtask scan\n"), "{job}");
    // It takes long, and is not one of the stages.
    assert!(!read("xtask/src/test.rs").contains("scan::"));
    assert!(read("docs/CI.md").contains("| `manifests` | `cargo xtask scan` |"));
}

#[test]
fn te4_ci_measures_coverage_in_a_job_of_its_own_and_the_readme_has_one_line_for_the_figure() {
    let ci = read(".github/workflows/ci.yml");
    let (_, job) = ci.split_once("\n  coverage:\n").expect("the job");
    let job = job.split("\n  manifests:\n").next().expect("a first part");
    for step in [
        "tool: cargo-llvm-cov",
        "rustup component add llvm-tools",
        "cargo xtask coverage --servers",
        "GITHUB_STEP_SUMMARY",
    ] {
        assert!(job.contains(step), "{step}");
    }
    assert!(read("docs/CI.md").contains("| `coverage` | `cargo xtask coverage --servers` |"));
    assert_eq!(read("README.md").lines().filter(|line| line.starts_with("Line coverage: ")).count(), 1);
}

#[test]
fn de20_every_crate_is_described_and_no_link_between_documents_is_broken() {
    const WORDS_MIN: usize = 15;
    let architecture = read("docs/ARCHITECTURE.md");
    for folder in crates().into_iter().filter(|folder| folder.starts_with("libs/") || folder.starts_with("services/")) {
        let words = read(&format!("{folder}/README.md")).split_whitespace().count();
        assert!(words >= WORDS_MIN, "{folder}/README.md has {words} words");
        assert!(
            !folder.starts_with("libs/") || architecture.contains(&format!("`{folder}`")),
            "{folder}: docs/ARCHITECTURE.md"
        );
    }
    for row in agora_topology::ALL {
        let readme = read(&format!("services/{}/README.md", row.name));
        assert!(readme.contains(&row.port.to_string()), "services/{}/README.md does not name the port", row.name);
    }
    for document in files(".", ".md") {
        let text = read(&document);
        let folder = Path::new(&document).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
            let is_file = !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:");
            assert!(!is_file || root().join(&folder).join(link).exists(), "{document}: {link} does not exist");
        }
    }
}

#[test]
fn te1_every_crate_has_tests_of_its_own() {
    for folder in crates().into_iter().filter(|folder| !folder.starts_with("tests/")) {
        let sources = files(&folder, ".rs");
        let tests = sources
            .iter()
            .map(|file| read(file).matches("#[test]").count() + read(file).matches("#[tokio::test").count());
        assert!(tests.sum::<usize>() > 0, "{folder} has no test");
    }
}

#[test]
fn te3_every_request_of_the_earlier_apis_is_in_the_collection_that_the_tests_run() {
    let (table, collection) = (read("services/gateway/src/http/compat/table.rs"), read("docs/api/compatibility.http"));
    let documents = ["umarketplace", "gateway_demo", "graphql_demo", "reference"];
    let modules = documents.map(|name| format!("services/gateway/src/http/compat/{name}.rs"));
    assert!(
        documents.iter().all(|name| table.contains(name) || read("services/gateway/src/http/compat.rs").contains(name))
    );
    let mut paths = BTreeSet::new();
    for module in &modules {
        let code = code(module);
        let quoted = code.split('"').skip(1).step_by(2);
        paths.extend(quoted.filter(|text| text.starts_with('/') && !text.starts_with("/api/v1")).map(str::to_owned));
    }
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths {
        let fixed = path.split('{').next().unwrap_or_default().to_owned();
        assert!(collection.contains(&fixed), "{path} is not in docs/api/compatibility.http");
    }
}

#[test]
fn rs9_no_service_makes_a_statement_of_values() {
    let services = files("services", ".rs").into_iter().filter(|file| file.contains("/src/"));
    let mut statements = 0;
    for file in services {
        let code = code(&file);
        // The type that lets sqlx run a text that is no constant.
        assert!(!code.contains("AssertSqlSafe"), "{file} runs a statement that is made at run time");
        statements += code.matches("sqlx::query").count();
    }
    assert!(statements > 100, "{statements} statements were found");
    for file in files("services", ".sql") {
        let text = read(&file);
        assert!(!text.contains("execute format(") || file.contains("/migrations/"), "{file} runs a text");
    }
}
