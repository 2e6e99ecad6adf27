//! `cargo xtask rows`: which capabilities of `docs/CAPABILITIES.md` have no test. A test belongs to a capability if its
//! name begins with the capability's code, `ct8_…` for CT8. Reads text only; runs no test.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::Args;

use crate::environment::Paths;
use crate::tidy;

const CAPABILITIES: &str = "docs/CAPABILITIES.md";

#[derive(Debug, Args)]
pub struct Options {
    /// Groups to look at, such as `CT OR`; all if none is given
    groups: Vec<String>,
    /// Print the tests of each capability too
    #[arg(long)]
    tests: bool,
}

/// A row of the table of capabilities.
#[derive(Debug, PartialEq, Eq)]
struct Capability<'a> {
    code: &'a str,
    title: &'a str,
}

impl Capability<'_> {
    /// Two letters that name the group.
    fn group(&self) -> &str {
        self.code.trim_end_matches(|letter: char| letter.is_ascii_digit())
    }

    fn is_shown_by(&self, test: &str) -> bool {
        test.split_once('_').is_some_and(|(code, _)| code.eq_ignore_ascii_case(self.code))
    }
}

/// Prints the capabilities without a test and a line with the counts of each group. Fails if a named group does not exist.
pub fn rows(paths: &Paths, options: &Options) -> Result<()> {
    let table = std::fs::read_to_string(paths.repo.join(CAPABILITIES))?;
    let capabilities = chosen(&table, &options.groups)?;
    let tests = tidy::test_names(paths)?;
    let mut counts = BTreeMap::<&str, (usize, usize)>::new();
    for capability in &capabilities {
        let its_tests: Vec<_> = tests.iter().filter(|test| capability.is_shown_by(test)).collect();
        let (all, missing) = counts.entry(capability.group()).or_default();
        *all += 1;
        if its_tests.is_empty() {
            *missing += 1;
            println!("{:<5} has no test: {}", capability.code, capability.title);
        }
        for test in its_tests.iter().filter(|_| options.tests) {
            println!("{:<5} {test}", capability.code);
        }
    }
    for (group, (all, missing)) in &counts {
        println!("{group}: {missing} of {all} missing");
    }
    println!("{} missing", counts.values().map(|(_, missing)| missing).sum::<usize>());
    Ok(())
}

fn chosen<'a>(table: &'a str, groups: &[String]) -> Result<Vec<Capability<'a>>> {
    let mut all: Vec<_> = table.lines().filter_map(capability).collect();
    if let Some(unknown) = groups.iter().find(|name| !all.iter().any(|row| row.group().eq_ignore_ascii_case(name))) {
        bail!("{CAPABILITIES} has no group `{unknown}`");
    }
    all.retain(|row| groups.is_empty() || groups.iter().any(|name| row.group().eq_ignore_ascii_case(name)));
    Ok(all)
}

fn capability(line: &str) -> Option<Capability<'_>> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (code, title) = (cells.next()?, cells.next()?);
    let number = code.strip_prefix(|letter: char| letter.is_ascii_uppercase())?;
    let number = number.strip_prefix(|letter: char| letter.is_ascii_uppercase())?;
    number.parse::<u16>().ok().map(|_| Capability { code, title })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "| code | capability | in Agora |\n|---|---|---|\n| CT8 | Refresh | consumer |\n\n| OR11 | Address | id |\n";

    #[test]
    fn the_rows_of_a_table_are_those_with_a_code() {
        let all = chosen(TABLE, &[]).unwrap();
        assert_eq!(all, [Capability { code: "CT8", title: "Refresh" }, Capability { code: "OR11", title: "Address" }]);
        assert_eq!(chosen(TABLE, &["or".to_owned()]).unwrap(), all[1..]);
        assert!(chosen(TABLE, &["XX".to_owned()]).is_err());
    }

    #[test]
    fn a_test_shows_only_the_capability_whose_whole_code_its_name_begins_with() {
        let row = Capability { code: "CT1", title: "Add" };
        assert!(row.is_shown_by("ct1_a_line_is_added"));
        assert!(!row.is_shown_by("ct11_a_price_is_shown"));
        assert!(!row.is_shown_by("a_ct1_line"));
    }
}
