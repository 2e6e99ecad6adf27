//! Other programs: run, read, feed. Knows nothing of what they are for.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Lines of a log or of an error output that a failure shows.
const LINES_SHOWN_MAX: usize = 15;
const POLL: Duration = Duration::from_millis(100);

pub fn command<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Runs to the end, quietly; a failure shows the last lines of what it said.
pub fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// What the program prints, without the last line break.
pub fn output(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("starting `{name}`"))?;
    if !done.status.success() {
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        bail!("`{name}` ended with {}:\n{}", done.status, last_lines(&said));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

/// Whether the program ends well; what it says is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs with the terminal of the caller.
pub fn stream(command: &mut Command) -> Result<()> {
    let name = describe(command);
    let status = command.status().with_context(|| format!("starting `{name}`"))?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(())
}

/// Gives `input` to the program and returns what it prints.
pub fn feed(command: &mut Command, input: &str) -> Result<String> {
    let name = describe(command);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().with_context(|| format!("starting `{name}`"))?;
    let mut stdin = child.stdin.take().context("a piped child has an input")?;
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let done = child.wait_with_output()?;
    let written = writer.join();
    if !done.status.success() {
        bail!("`{name}` ended with {}:\n{}", done.status, last_lines(&String::from_utf8_lossy(&done.stderr)));
    }
    if !matches!(written, Ok(Ok(()))) {
        bail!("`{name}` did not read its input to the end");
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

/// Asks `probe` until it says yes; false when `limit` has passed.
pub fn until(limit: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if probe() {
            return true;
        }
        if begun.elapsed() > limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// One sha256 over the contents of these files, in this order.
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

/// The last lines of a log file, indented; says so where there is none.
pub fn tail(file: &Path) -> String {
    match std::fs::read_to_string(file) {
        Ok(text) => last_lines(&text),
        Err(_) => format!("  (no log at {})", file.display()),
    }
}

/// Writes a file and its folder; true when its content is new.
pub fn write(file: &Path, content: &str) -> Result<bool> {
    if std::fs::read_to_string(file).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    std::fs::write(file, content).with_context(|| format!("writing {}", file.display()))?;
    Ok(true)
}

pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(LINES_SHOWN_MAX);
    format!("  {}\n", lines[from..].join("\n  "))
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let text: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    text.join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_what_the_program_said() {
        let error = run(&mut command("sh", ["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains('3'), "{error}");
    }

    #[test]
    fn what_is_fed_comes_back() {
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
    fn writing_the_same_again_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b");
        assert!(write(&file, "one").unwrap());
        assert!(!write(&file, "one").unwrap());
    }
}
