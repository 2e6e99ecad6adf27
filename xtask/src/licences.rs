//! Checks licence and source of every dependency. Evaluates SPDX expressions; must not depend on source code.

use crate::workspace::{Package, Workspace};

/// Licences that are compatible with distributing the product under Apache-2.0.
const ALLOWED: &[&str] = &[
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
        None => Some(format!("{name} has no licence in its manifest")),
        Some(licence) if !is_allowed(licence) => {
            Some(format!("{name} has licence `{licence}`, which xtask/src/licences.rs does not allow"))
        }
        Some(_) => None,
    }
}

/// Whether `ALLOWED` satisfies an SPDX expression; `/` is the deprecated form of OR.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let parts = split_outside(&expression, " OR ");
    if parts.len() > 1 {
        return parts.iter().any(|part| is_allowed(part));
    }
    let parts = split_outside(&expression, " AND ");
    if parts.len() > 1 {
        return parts.iter().all(|part| is_allowed(part));
    }
    let plain = expression.trim();
    match plain.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_allowed(inner),
        None => ALLOWED.contains(&plain),
    }
}

/// Splits at `word` outside of parentheses.
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
    fn an_or_expression_is_allowed_if_one_part_is() {
        assert!(is_allowed("MIT OR GPL-3.0"));
        assert!(is_allowed("MIT/Apache-2.0"));
        assert!(is_allowed("(MIT OR GPL-2.0) AND Unicode-3.0"));
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR MIT"));
    }

    #[test]
    fn an_and_expression_is_rejected_if_one_part_is() {
        assert!(!is_allowed("GPL-3.0"));
        assert!(!is_allowed("MIT AND AGPL-3.0"));
        assert!(!is_allowed("(MIT AND GPL-2.0) OR LGPL-3.0"));
    }
}
