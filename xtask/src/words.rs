//! Words that may not come back: searches every tracked text file for the words of the table in docs/STYLE.md that are
//! in code font. Must not contain a list of its own.

use std::path::Path;

use anyhow::{Result, bail};

use crate::environment::Paths;
use crate::tidy;

const LIST: &str = "docs/STYLE.md";
/// Files that may contain the words: the list, the tests below, decisions that quote former names, names of packages, and what
/// users typed.
const EXEMPT: [&str; 6] =
    [LIST, "xtask/src/words.rs", "docs/adr/", "Cargo.lock", "xtask/tools", "services/user/passwords/breached.txt"];
/// Applied migrations, which cannot change.
const MIGRATIONS: &str = "/migrations/";

/// A row of the table.
#[derive(Debug)]
struct Word<'a> {
    /// A whole word `bury`, a macro `told!`, or a call `unacceptable()`.
    text: &'a str,
    instead: &'a str,
}

/// One line per occurrence: file, line, word, and what to write instead.
pub fn faults(paths: &Paths) -> Result<Vec<String>> {
    let style = std::fs::read_to_string(paths.repo.join(LIST))?;
    let words = words(&style);
    if words.is_empty() {
        bail!("{LIST} contains no row of the form | `word` | replacement |");
    }
    let mut faults = Vec::new();
    for file in tidy::tracked(paths)?.into_iter().filter(|file| !is_exempt(file)) {
        // A file that is not UTF-8 is not text.
        if let Ok(text) = std::fs::read_to_string(paths.repo.join(&file)) {
            faults.extend(occurrences(&file, &text, &words));
        }
    }
    Ok(faults)
}

fn is_exempt(file: &Path) -> bool {
    let file = file.to_string_lossy();
    EXEMPT.iter().any(|exempt| file.starts_with(exempt)) || file.contains(MIGRATIONS)
}

/// Rows whose first cell is in code font. A word in plain font also has permitted meanings, and is not searched.
fn words(style: &str) -> Vec<Word<'_>> {
    let rows = style.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    rows.map(|(text, instead)| Word { text, instead }).collect()
}

fn occurrences(file: &Path, text: &str, words: &[Word]) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for Word { text, instead } in words.iter().filter(|word| contains(line, word.text)) {
            let at = format!("{}:{}", file.display(), number + 1);
            faults.push(format!("{at}: `{text}`; write instead: {instead} ({LIST})"));
        }
    }
    faults
}

/// Whether the line contains the word, its plural, or an identifier with the word as a part, such as `bury_letter` or
/// `TroubleKind`. The case of letters counts only for a word with capitals.
fn contains(line: &str, word: &str) -> bool {
    let word = word.strip_suffix(')').unwrap_or(word);
    let lower;
    let searched = if word.bytes().any(|letter| letter.is_ascii_uppercase()) {
        line
    } else {
        lower = line.to_ascii_lowercase();
        &lower
    };
    searched.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        let plural = after.strip_prefix('s').unwrap_or(after);
        begins_a_word(before, &line[start..]) && (ends_a_word(word, after) || ends_a_word(word, plural))
    })
}

fn begins_a_word(before: &str, rest: &str) -> bool {
    let lower_before = match before.chars().next_back() {
        Some(letter) if letter.is_alphanumeric() => letter.is_lowercase(),
        _ => return true,
    };
    lower_before && rest.starts_with(char::is_uppercase)
}

fn ends_a_word(word: &str, after: &str) -> bool {
    let in_word = word.ends_with(char::is_alphanumeric);
    !in_word || after.chars().next().is_none_or(|letter| !letter.is_alphanumeric() || letter.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = include_str!("../../docs/STYLE.md");

    #[test]
    fn the_list_contains_the_words_of_the_first_version() {
        let listed: Vec<_> = words(STYLE).iter().map(|word| word.text).collect();
        for macros in ["told!", "remembered!", "so_far!", "settled!", "claimed!", "unheard!"] {
            assert!(listed.contains(&macros), "{macros}");
        }
        let names = ["Trouble", "Tended", "REQUEST_RUNNING", "unacceptable()"];
        let prose = ["bury", "twin", "whoever", "somebody", "quiesce", "catalogue", "judge", "residue", "footprint"];
        for word in [&names[..], &prose].concat() {
            assert!(listed.contains(&word), "{word}");
        }
    }

    #[test]
    fn only_rows_in_code_font_are_searched() {
        let table = "| word | write instead |\n|---|---|\n| fact | event |\n| `twin` | concurrent duplicate |\n";
        let words = words(table);
        assert_eq!(words.len(), 1);
        assert_eq!((words[0].text, words[0].instead), ("twin", "concurrent duplicate"));
    }

    #[test]
    fn a_word_is_found_alone_in_plural_and_in_identifiers() {
        for line in ["Whoever asks", "(whoever)", "a whoever's row"] {
            assert!(contains(line, "whoever"), "{line}");
        }
        assert!(contains("both twins wait", "twin"));
        assert!(contains("fn a_twin_waits()", "twin"));
        assert!(contains("struct TroubleKind", "Trouble") && contains("ApplyTrouble", "Trouble"));
        assert!(contains("Code::REQUEST_RUNNING", "REQUEST_RUNNING"));
        assert!(contains("concat!(told!(\"$5\"))", "told!") && contains("so_far! {", "so_far!"));
        assert!(contains("Err(unacceptable(\"x\"))", "unacceptable()"));
    }

    #[test]
    fn a_part_of_another_word_is_not_found() {
        assert!(!contains("a between and a twine", "twin"));
        assert!(!contains("intwined", "twin"));
        assert!(!contains("no trouble", "Trouble"));
        assert!(!contains("extended", "Tended"));
        assert!(!contains("it told the caller!", "told!") && !contains("untold!", "told!"));
        assert!(!contains("an unacceptable value", "unacceptable()"));
    }

    #[test]
    fn a_fault_names_file_line_word_and_replacement() {
        let words = [Word { text: "catalogue", instead: "catalog" }];
        let faults = occurrences(Path::new("a/b.md"), "The shop.\nIts Catalogue.\n", &words);
        assert_eq!(faults, ["a/b.md:2: `catalogue`; write instead: catalog (docs/STYLE.md)"]);
    }

    #[test]
    fn applied_migrations_and_decisions_are_exempt() {
        for file in ["services/cart/migrations/0001_outbox.sql", "docs/adr/0006-x.md", "docs/STYLE.md"] {
            assert!(is_exempt(Path::new(file)), "{file}");
        }
        for file in ["docs/GLOSSARY.md", "services/cart/sql/write.sql", "xtask/src/tidy.rs"] {
            assert!(!is_exempt(Path::new(file)), "{file}");
        }
    }
}
