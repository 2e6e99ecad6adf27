//! Licences and sources of everything that is compiled in. Knows SPDX expressions, nothing of the code.

use crate::workspace::{Package, Workspace};

/// What may stand beside Apache-2.0 in a product that others ship.
const FINE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub fn faults(whole: &Workspace) -> Vec<String> {
    whole.packages.iter().filter_map(fault).collect()
}

fn fault(package: &Package) -> Option<String> {
    let name = &package.name;
    if package.source.as_deref().is_some_and(|source| source != CRATES_IO) {
        return Some(format!(
            "{name} comes from {}, not from crates.io",
            package.source.as_deref().unwrap_or_default()
        ));
    }
    match package.license.as_deref() {
        None => Some(format!("{name} names no licence")),
        Some(licence) if !is_fine(licence) => {
            Some(format!("{name} is under `{licence}`, which is not in the list of xtask/src/licences.rs"))
        }
        Some(_) => None,
    }
}

/// Whether an SPDX expression can be fulfilled with the list; `/` is the old way to write OR.
fn is_fine(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let parts = split_outside(&expression, " OR ");
    if parts.len() > 1 {
        return parts.iter().any(|part| is_fine(part));
    }
    let parts = split_outside(&expression, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| is_fine(part));
    }
    let plain = expression.trim();
    match plain.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_fine(inner),
        None => FINE.contains(&plain),
    }
}

/// Splits at the word where no bracket is open.
fn split_outside<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut begin, mut depth) = (0, 0_i32);
    for (index, letter) in text.char_indices() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        if depth == 0 && index >= begin && text[index..].starts_with(word) {
            parts.push(&text[begin..index]);
            begin = index + word.len();
        }
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_fine_when_a_choice_is() {
        assert!(is_fine("MIT OR GPL-3.0"));
        assert!(is_fine("MIT/Apache-2.0"));
        assert!(is_fine("(MIT OR GPL-2.0) AND Unicode-3.0"));
        assert!(is_fine("Apache-2.0 WITH LLVM-exception OR MIT"));
    }

    #[test]
    fn it_is_not_when_a_part_is_not() {
        assert!(!is_fine("GPL-3.0"));
        assert!(!is_fine("MIT AND AGPL-3.0"));
        assert!(!is_fine("(MIT AND GPL-2.0) OR LGPL-3.0"));
    }
}
