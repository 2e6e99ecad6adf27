//! Progress lines on standard error: label and duration of each step. Standard output is reserved for results.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;

const LABEL_WIDTH: usize = 58;

/// Runs a step that prints nothing, and prints its label and duration on one line.
pub fn step<T>(label: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprint!("  {label:LABEL_WIDTH$}");
    let _ = std::io::stderr().flush();
    let started = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "" } else { "  FAILED" };
    eprintln!("{:>7.1} s{outcome}", started.elapsed().as_secs_f64());
    result
}

/// Runs a step that prints its own output: prints the label before it, and label and duration after it.
pub fn stage<T>(label: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("▸ {label}");
    let started = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "done" } else { "FAILED" };
    eprintln!("  {:LABEL_WIDTH$}{:>7.1} s", format!("{label}: {outcome}"), started.elapsed().as_secs_f64());
    result
}

pub fn note(text: &str) {
    eprintln!("  {text}");
}
