//! A line per step with the time it took, on standard error: results alone go to standard output.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;

const LABEL_WIDTH: usize = 58;

/// A short, quiet step: label, then seconds on the same line.
pub fn step<T>(label: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprint!("  {label:LABEL_WIDTH$}");
    let _ = std::io::stderr().flush();
    let begun = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "" } else { "  FAILED" };
    eprintln!("{:>7.1} s{outcome}", begun.elapsed().as_secs_f64());
    result
}

/// A long step that prints lines of its own: announced first, timed at its end.
pub fn stage<T>(label: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("▸ {label}");
    let begun = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    eprintln!("  {:LABEL_WIDTH$}{:>7.1} s", format!("{label}: {outcome}"), begun.elapsed().as_secs_f64());
    result
}

pub fn note(text: &str) {
    eprintln!("  {text}");
}
