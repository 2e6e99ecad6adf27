//! Runs other programs and writes files. Must not depend on any command of xtask.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Last lines of a log or of an error output that an error message contains.
const LINES_SHOWN_MAX: usize = 15;
const POLL: Duration = Duration::from_millis(100);

pub fn command<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs a program to its end without showing its output. The error contains the last lines of the output.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Standard output of the program without trailing white space. The error contains the last lines of the output.
pub fn output(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("starting `{name}`"))?;
    if !done.status.success() {
        let output_text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        bail!("`{name}` ended with {}:\n{}", done.status, last_lines(&output_text));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

/// Whether the program exits with status 0; its output is discarded.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs a program that inherits the terminal of the caller.
pub fn stream(command: &mut Command) -> Result<()> {
    let name = describe(command);
    let status = command.status().with_context(|| format!("starting `{name}`"))?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(())
}

/// Writes `input` to the program's standard input and returns its standard output.
pub fn feed(command: &mut Command, input: &str) -> Result<String> {
    let name = describe(command);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("starting `{name}`"))?;
    let mut stdin = child.stdin.take().context("the child process has no standard input")?;
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let done = child.wait_with_output()?;
    let written = writer.join();
    if !done.status.success() {
        bail!("`{name}` ended with {}:\n{}", done.status, last_lines(&String::from_utf8_lossy(&done.stderr)));
    }
    if !matches!(written, Ok(Ok(()))) {
        bail!("`{name}` did not read all of its standard input");
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

/// Polls `probe` until it returns true; returns false when `limit` has passed.
pub fn until(limit: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if probe() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// SHA-256 in hexadecimal over the names and contents of these files, in this order.
pub fn digest(files: impl IntoIterator<Item = PathBuf>) -> Result<String> {
    let mut all = String::new();
    for file in files {
        let line = output(command("sha256sum", ["--"]).arg(&file))?;
        let sum = line.split_whitespace().next().unwrap_or_default().trim_start_matches('\\');
        writeln!(all, "{sum} {}", file.file_name().unwrap_or_default().to_string_lossy())?;
    }
    let sum = feed(&mut command("sha256sum", ["-"]), &all)?;
    Ok(sum.split_whitespace().next().unwrap_or_default().to_owned())
}

/// The last lines of a log file, indented, or a note that the file cannot be read.
pub fn tail(file: &Path) -> String {
    match std::fs::read_to_string(file) {
        Ok(text) => last_lines(&text),
        Err(_) => format!("  (no log at {})", file.display()),
    }
}

/// Writes a file and creates its folder; returns whether the content changed.
pub fn write(file: &Path, content: &str) -> Result<bool> {
    if std::fs::read_to_string(file).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    std::fs::write(file, content).with_context(|| format!("writing {}", file.display()))?;
    Ok(true)
}

pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(LINES_SHOWN_MAX);
    format!("  {}\n", lines[from..].join("\n  "))
}

/// The command line, shortened, for messages.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let text: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    text.join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_contains_the_output_of_the_program() {
        let error = run(&mut command("sh", ["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains('3'), "{error}");
    }

    #[test]
    fn input_is_written_to_the_program() {
        assert_eq!(feed(&mut Command::new("cat"), "a\nb\n").unwrap(), "a\nb");
    }

    #[test]
    fn the_digest_depends_on_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        write(&file, "one").unwrap();
        let one = digest([file.clone()]).unwrap();
        write(&file, "two").unwrap();
        assert_eq!(one.len(), 64);
        assert_ne!(one, digest([file]).unwrap());
    }

    #[test]
    fn writing_the_same_content_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b");
        assert!(write(&file, "one").unwrap());
        assert!(!write(&file, "one").unwrap());
    }
}
