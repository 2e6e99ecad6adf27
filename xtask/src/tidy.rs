//! Source rules that the compiler and clippy do not check: one pass over the text of every manifest and source file.
//! Must not execute anything of the workspace.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::command::{command, output};
use crate::environment::Paths;
use crate::layers;

const LINES_MAX: usize = 400;
const SPDX: &str = "# SPDX-License-Identifier: Apache-2.0";
/// File names that do not describe the contents.
const EMPTY_NAMES: [&str; 6] = ["mod", "common", "utils", "util", "helpers", "manager"];
/// Forbidden text and the reason. Each text is split, so that this file does not violate the rule.
const BANNED: [(&str, &str); 5] = [
    (concat!("#[al", "low("), "write an exception as `#[expect(lint, reason = …)]`"),
    (concat!("#![al", "low("), "write an exception as `#[expect(lint, reason = …)]`"),
    (concat!("#[ig", "nore"), "put a test that needs a server behind a Cargo feature"),
    (concat!("/ro", "ot/"), "an absolute path of one machine"),
    (concat!("/ho", "me/"), "an absolute path of one machine"),
];

/// Documents whose tables name tests that must exist, and in which column.
const NAMED_TESTS: [(&str, usize); 2] = [("docs/DEFECTS.md", 2), ("docs/ARCHITECTURE.md", 3)];
/// Document whose table names, in its last column, a test that produces the reason in the first column.
const CONDITIONS: &str = "docs/CONDITIONS.md";

pub fn faults(paths: &Paths) -> Result<Vec<String>> {
    let (mut faults, mut existing) = (Vec::new(), HashSet::new());
    let (mut conditions, mut bodies) = (String::new(), HashMap::new());
    for file in tracked(paths)? {
        let Ok(text) = std::fs::read_to_string(paths.repo.join(&file)) else { continue };
        match file.extension().and_then(|end| end.to_str()) {
            Some("rs") => {
                for name in tests(&text) {
                    bodies.insert(name.to_owned(), body(&text, name).to_owned());
                    existing.insert(name.to_owned());
                }
                faults.extend(source_faults(&file, &text));
                faults.extend(layers::module_faults(&file, &text));
            }
            Some("toml") if file.ends_with("Cargo.toml") && file != Path::new("Cargo.toml") => {
                faults.extend(manifest_faults(&file, &text));
            }
            _ if file == Path::new(CONDITIONS) => conditions = text,
            _ => {}
        }
    }
    for (document, column) in NAMED_TESTS {
        let text = std::fs::read_to_string(paths.repo.join(document))?;
        faults.extend(absent_tests(document, &text, column, &existing));
    }
    faults.extend(unproduced_reasons(&conditions, &bodies));
    Ok(faults)
}

/// Names of all tests of the workspace, sorted.
pub fn test_names(paths: &Paths) -> Result<Vec<String>> {
    let sources = tracked(paths)?.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let texts = sources.filter_map(|file| std::fs::read_to_string(paths.repo.join(file)).ok());
    let mut names: Vec<_> =
        texts.flat_map(|text| tests(&text).into_iter().map(str::to_owned).collect::<Vec<_>>()).collect();
    names.sort();
    Ok(names)
}

/// Names of the tests of a source file: functions with a test attribute, and the scenarios that the end-to-end tests run.
fn tests(text: &str) -> Vec<&str> {
    let (mut names, mut is_test, mut in_scenarios) = (Vec::new(), false, false);
    for line in text.lines().map(str::trim) {
        if in_scenarios {
            in_scenarios = line != ")";
            names.extend(line.strip_suffix(',').and_then(|path| path.rsplit_once("::")).map(|(_, name)| name));
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else {
            names.extend(function(line).filter(|_| is_test));
            is_test = false;
            in_scenarios = line == "scenarios!(";
        }
    }
    names
}

/// The name of the function that is declared on this line.
fn function(line: &str) -> Option<&str> {
    let words = line.strip_prefix("pub ").unwrap_or(line);
    let name = words.strip_prefix("async ").unwrap_or(words).strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

/// The text of a function, up to the first line that closes it.
fn body<'a>(text: &'a str, name: &str) -> &'a str {
    let begin = text.find(&format!("fn {name}")).unwrap_or(text.len());
    let from = text.get(begin..).unwrap_or_default();
    from.get(..from.find("\n}\n").unwrap_or(from.len())).unwrap_or_default()
}

/// Reasons whose test does not exist or does not mention them.
fn unproduced_reasons(conditions: &str, bodies: &HashMap<String, String>) -> Vec<String> {
    let rows = conditions.lines().filter(|line| line.starts_with("| `"));
    let produces = |reason: &str, test: &str| bodies.get(test).is_some_and(|body| body.contains(reason));
    rows.filter_map(|row| {
        let mut names = row.split('`').skip(1).step_by(2);
        let (reason, test) = (names.next()?, names.last()?);
        (!produces(reason, test)).then(|| format!("{CONDITIONS}: test `{test}` does not produce reason {reason}"))
    })
    .collect()
}

/// Tests that a column of a document's tables names and that do not exist.
fn absent_tests(document: &str, text: &str, column: usize, existing: &HashSet<String>) -> Vec<String> {
    let tests = text.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(column));
    let names = tests.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names
        .filter(|name| !existing.contains(*name))
        .map(|name| format!("{document}: test `{name}` does not exist"))
        .collect()
}

/// Files that git tracks or would add, so that new files are checked before they are committed.
pub fn tracked(paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut git = command("git", ["ls-files", "--cached", "--others", "--exclude-standard"]);
    Ok(output(git.current_dir(&paths.repo))?.lines().map(PathBuf::from).collect())
}

fn source_faults(path: &Path, text: &str) -> Vec<String> {
    let at = |line: usize, fault: &str| format!("{}:{line}: {fault}", path.display());
    let mut faults = Vec::new();
    if path.file_stem().is_some_and(|name| EMPTY_NAMES.iter().any(|empty| name == *empty)) {
        faults.push(at(1, "name the file after its contents"));
    }
    if !text.starts_with("//!") {
        faults.push(at(1, "begin the file with `//!`: what it contains and what it must not depend on"));
    }
    let length = text.lines().take_while(|line| !line.starts_with("mod tests")).count();
    // Files that contain only tests have no limit.
    let tests_alone = path.to_string_lossy().contains("/tests/");
    if length > LINES_MAX && !tests_alone {
        faults.push(at(length, &format!("{length} lines before `mod tests`; the limit is {LINES_MAX}")));
    }
    faults
        .extend(short_docs(text).into_iter().map(|line| at(line, "say what the name does not, or delete the comment")));
    for (number, line) in text.lines().enumerate() {
        if let Some((_, why)) = BANNED.iter().find(|(word, _)| line.contains(word)) {
            faults.push(at(number + 1, why));
        }
    }
    faults
}

/// Doc comments of one or two words that end with a full stop: such a comment repeats the name. Descriptions in the command
/// line's help have no full stop.
fn short_docs(text: &str) -> Vec<usize> {
    let (mut found, mut words, mut begun) = (Vec::new(), Vec::new(), 0);
    for (number, line) in text.lines().chain([""]).enumerate() {
        if let Some(doc) = line.trim_start().strip_prefix("///") {
            begun = if words.is_empty() { number + 1 } else { begun };
            words.extend(doc.split_whitespace());
            continue;
        }
        if matches!(words.as_slice(), [last] | [_, last] if last.ends_with('.')) {
            found.push(begun);
        }
        words.clear();
    }
    found
}

fn manifest_faults(path: &Path, text: &str) -> Vec<String> {
    let at = |line: usize, fault: &str| format!("{}:{line}: {fault}", path.display());
    let mut faults = Vec::new();
    if !text.starts_with(SPDX) {
        faults.push(at(1, &format!("the first line must be `{SPDX}`")));
    }
    if !text.contains("[lints]\nworkspace = true") {
        faults.push(at(1, "the lints of the workspace are missing; add `[lints]`, `workspace = true`"));
    }
    let mut in_dependencies = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies
            && line.contains('=')
            && !line.contains("workspace = true")
            && !line.contains("path = \".\"")
        {
            faults.push(at(number + 1, "write versions only in the root Cargo.toml, here `name.workspace = true`"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doc_comment_of_two_words_is_a_violation_and_the_end_of_a_longer_one_is_not() {
        let text = "/// The product.\nproduct: u8,\n/// Seconds until the\n/// next try.\nn: u8,\n/// The shell\n/// Units.\nx: u8";
        assert_eq!(short_docs(text), [1]);
        assert_eq!(short_docs("struct A {\n    /// Units.\n}"), [2]);
    }

    fn source(text: &str) -> usize {
        source_faults(Path::new("libs/x/src/y.rs"), text).len()
    }

    #[test]
    fn a_conforming_file_has_no_violations() {
        assert_eq!(source("//! Why.\nfn f() {}\n"), 0);
    }

    #[test]
    fn each_rule_finds_a_violation() {
        assert_eq!(source("fn f() {}\n"), 1);
        assert_eq!(source(concat!("//! Why.\n#[al", "low(dead_code)]\n")), 1);
        assert_eq!(source(concat!("//! Why.\n#[ig", "nore]\n")), 1);
        assert_eq!(source(concat!("//! Why.\nconst A: &str = \"/ro", "ot/x\";\n")), 1);
        assert_eq!(source_faults(Path::new("a/utils.rs"), "//! Why.\n").len(), 1);
    }

    #[test]
    fn tests_do_not_count_as_length() {
        let code = "x\n".repeat(LINES_MAX - 1);
        assert_eq!(source(&format!("//! Why.\n{code}mod tests {{\n{code}{code}")), 0);
        assert_eq!(source(&format!("//! Why.\n{code}{code}")), 1);
        assert_eq!(source_faults(Path::new("libs/x/tests/y.rs"), &format!("//! Why.\n{code}{code}")).len(), 0);
    }

    #[test]
    fn a_test_that_a_column_of_a_document_names_must_exist() {
        let existing = HashSet::from(["stock_falls".to_owned(), "y".to_owned()]);
        assert!(absent_tests("a.md", "| stock never fell | `stock_falls`, `y` |", 2, &existing).is_empty());
        let faults = absent_tests("a.md", "| `stock` | 14 days | `stock_rises` |", 3, &existing);
        assert_eq!(faults, ["a.md: test `stock_rises` does not exist"]);
    }

    #[test]
    fn a_test_has_an_attribute_or_is_a_scenario_that_runs() {
        let source = "\
            fn helper() {}\n\
            #[test]\n#[expect(lint)]\nfn plain() {}\n\
            fn after_a_test() {}\n\
            #[tokio::test(flavor = \"multi_thread\")]\n    async fn with_a_runtime() {}\n\
            #[cfg(test)]\nfn helper_of_tests() {}\n\
            pub async fn not_listed(world: &World) {}\n\
            scenarios!(\nworld,\nwanted,\noutage::listed,\n)\n\
            outage::after_the_list,\n";
        assert_eq!(tests(source), ["plain", "with_a_runtime", "listed"]);
    }

    #[test]
    fn a_reason_without_a_test_that_mentions_it_is_found() {
        let source = "#[test]\nfn stops() {\n    check(\"Paused\");\n}\n";
        let bodies = HashMap::from([("stops".to_owned(), body(source, "stops").to_owned())]);
        let page =
            "| reason | test |\n| `Paused` | seen | `stops` |\n| `Scaled` | seen | `stops` |\n| `Ready` | `absent` |\n";
        let faults = unproduced_reasons(page, &bodies);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("Scaled") && faults[1].contains("absent"));
    }

    #[test]
    fn a_manifest_takes_lints_and_versions_from_the_workspace() {
        let good = format!(
            "{SPDX}\n[package]\nname = \"x\"\n[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n"
        );
        let path = Path::new("libs/x/Cargo.toml");
        assert_eq!(manifest_faults(path, &good).len(), 0);
        assert_eq!(manifest_faults(path, &good.replace("serde.workspace = true", "serde = \"1\"")).len(), 1);
        assert_eq!(manifest_faults(path, &good.replace("[lints]\nworkspace = true\n", "")).len(), 1);
        assert_eq!(manifest_faults(path, good.trim_start_matches(SPDX)).len(), 1);
    }
}
