//! `cargo xtask coverage`: the lines that the tests execute, by crate, as cargo-llvm-cov counts them. Lines of unit tests
//! count, as they are in the same files; those of folders named `tests` do not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;

use crate::cluster::tools;
use crate::command::{command, output, stream, write};
use crate::environment::{Paths, which};
use crate::progress::{note, stage};
use crate::test;
use crate::workspace::{self, Workspace};

const PROGRAM: &str = "cargo-llvm-cov";
const REMEDY: &str = "cargo install cargo-llvm-cov --locked && rustup component add llvm-tools";
const README: &str = "README.md";
/// Begins the line of the README that contains the figure.
const FIGURE: &str = "Line coverage: ";

#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// Run also the tests that start PostgreSQL, Kafka, Redis, etcd and a Kubernetes API server; requires root
    #[arg(long)]
    servers: bool,
    /// Write the total into the README
    #[arg(long)]
    readme: bool,
}

/// What `llvm-cov export --summary-only` prints; one entry of `data`.
#[derive(Debug, Deserialize)]
struct Report {
    data: Vec<Export>,
}

#[derive(Debug, Deserialize)]
struct Export {
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    filename: String,
    summary: Summary,
}

#[derive(Debug, Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    const fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, covered: self.covered + other.covered }
    }

    /// The share that was executed, rounded down to a tenth.
    fn percent(self) -> String {
        let tenths = (self.covered * 1000).checked_div(self.count).unwrap_or_default();
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// Runs the tests with instrumented code and prints a table in Markdown. Fails if a test fails.
pub fn coverage(paths: &Paths, options: Options) -> Result<()> {
    if which(PROGRAM).is_none() {
        bail!("{PROGRAM} is not on the PATH; install it: {REMEDY}");
    }
    tools::install(&tools::BUILD_NEEDS)?;
    std::fs::create_dir_all(&paths.cache).with_context(|| format!("creating {}", paths.cache.display()))?;
    let file = paths.cache.join("coverage.json");
    let mut tests = instrumented_tests(paths, options.servers, &file)?;
    stage("run the tests with instrumented code", || stream(&mut tests))?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let report: Report = serde_json::from_str(&text).with_context(|| format!("parsing {}", file.display()))?;
    let crates = by_crate(&report, &paths.repo);
    println!("{}", table(&crates));
    if options.readme {
        write_figure(paths, total(&crates), options.servers)?;
    }
    Ok(())
}

/// Compiles into a folder of its own; tests are run one program at a time.
fn instrumented_tests(paths: &Paths, with_servers: bool, file: &Path) -> Result<Command> {
    let mut cargo = command("cargo", ["llvm-cov", "test", "--profile", "ci", workspace::ALL_PACKAGES]);
    cargo.args(["--json", "--summary-only", "--output-path"]).arg(file);
    if with_servers {
        cargo.args(["--features", &Workspace::members(paths)?.server_features().join(",")]);
        cargo.envs(test::environment(paths)?);
        tools::build(paths)?;
        cargo.env("AGORA_BIN", &paths.bin);
    }
    cargo.current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target);
    Ok(cargo)
}

/// Lines of each crate, by its folder in the checkout.
fn by_crate(report: &Report, repo: &Path) -> BTreeMap<String, Lines> {
    let mut crates = BTreeMap::<String, Lines>::new();
    for File { filename, summary } in report.data.iter().flat_map(|export| &export.files) {
        let Ok(path) = Path::new(filename).strip_prefix(repo) else { continue };
        let path = path.to_string_lossy();
        let Some((folder, _)) = path.split_once("/src/") else { continue };
        let lines = crates.entry(folder.to_owned()).or_default();
        *lines = lines.plus(summary.lines);
    }
    crates
}

fn total(crates: &BTreeMap<String, Lines>) -> Lines {
    crates.values().fold(Lines::default(), |sum, lines| sum.plus(*lines))
}

fn table(crates: &BTreeMap<String, Lines>) -> String {
    let row =
        |name: &str, lines: Lines| format!("| {name} | {} | {} | {} |", lines.count, lines.covered, lines.percent());
    let head = ["| crate | lines | executed | % |", "|---|---|---|---|"].map(str::to_owned);
    let rows = crates.iter().map(|(folder, lines)| row(&format!("`{folder}`"), *lines));
    head.into_iter().chain(rows).chain([row("total", total(crates))]).collect::<Vec<_>>().join("\n")
}

fn write_figure(paths: &Paths, lines: Lines, with_servers: bool) -> Result<()> {
    let commit = output(command("git", ["rev-parse", "--short", "HEAD"]).current_dir(&paths.repo))?;
    let option = if with_servers { " --servers" } else { "" };
    let Lines { count, .. } = lines;
    let figure = format!("{} % of {count} lines at commit {commit} (`cargo xtask coverage{option}`).", lines.percent());
    let readme = paths.repo.join(README);
    let text = std::fs::read_to_string(&readme).with_context(|| format!("reading {README}"))?;
    if write(&readme, &with_figure(&text, &figure)?)? {
        note(&format!("wrote {README}"));
    }
    Ok(())
}

/// The text with another figure.
fn with_figure(text: &str, figure: &str) -> Result<String> {
    let Some(old) = text.lines().find(|line| line.starts_with(FIGURE)) else {
        bail!("{README} has no line that begins with `{FIGURE}`");
    };
    Ok(text.replacen(old, &format!("{FIGURE}{figure}"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"data": [{"files": [
        {"filename": "/r/libs/a/src/lib.rs", "summary": {"lines": {"count": 10, "covered": 9, "percent": 90}}},
        {"filename": "/r/libs/a/src/b/c.rs", "summary": {"lines": {"count": 5, "covered": 1, "percent": 20}}},
        {"filename": "/r/xtask/src/main.rs", "summary": {"lines": {"count": 1, "covered": 0, "percent": 0}}},
        {"filename": "/elsewhere/src/lib.rs", "summary": {"lines": {"count": 7, "covered": 7, "percent": 100}}}
    ], "totals": {}}], "type": "llvm.coverage.json.export", "version": "2.0.1"}"#;

    #[test]
    fn te4_lines_are_summed_by_crate_and_those_of_other_folders_do_not_count() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        let crates = by_crate(&report, Path::new("/r"));
        assert_eq!(crates["libs/a"], Lines { count: 15, covered: 10 });
        assert_eq!(total(&crates), Lines { count: 16, covered: 10 });
        let table = table(&crates);
        assert!(table.contains("| `libs/a` | 15 | 10 | 66.6 |\n"), "{table}");
        assert!(table.ends_with("| total | 16 | 10 | 62.5 |"), "{table}");
    }

    #[test]
    fn te4_the_figure_replaces_the_line_of_the_readme_and_is_not_written_elsewhere() {
        let readme = include_str!("../../README.md");
        let changed = with_figure(readme, "81.0 % of 9 lines.").unwrap();
        assert!(changed.contains("\nLine coverage: 81.0 % of 9 lines.\n"));
        assert_eq!(changed.lines().count(), readme.lines().count());
        assert!(with_figure("# Agora\n", "1 %").unwrap_err().to_string().contains("Line coverage"));
    }
}
