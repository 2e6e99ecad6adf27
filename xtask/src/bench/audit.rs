//! Reads the API server's audit log: user, request and time. Must not depend on the operator's own logs or metrics.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::environment::Paths;

pub const OPERATOR: &str = "system:serviceaccount:agora-system:agora-operator";

/// A position in the log.
#[derive(Debug)]
pub struct LogPosition {
    file: PathBuf,
    offset: u64,
}

/// One answered request.
#[derive(Debug, Clone)]
pub struct Entry {
    pub user: String,
    pub verb: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    /// Time of arrival, in seconds of the day.
    pub received: f64,
    /// Time of the response, in seconds of the day.
    pub at: f64,
}

impl Entry {
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// The current end of the log.
pub fn position(paths: &Paths) -> Result<LogPosition> {
    let file = paths.log("audit");
    let offset = std::fs::metadata(&file).with_context(|| format!("reading {}", file.display()))?.len();
    Ok(LogPosition { file, offset })
}

/// Requests answered after the position, in the order of their responses.
pub fn since(position: &LogPosition) -> Result<Vec<Entry>> {
    let mut file = std::fs::File::open(&position.file)?;
    // A shorter file means that the log was rotated.
    let from = if file.metadata()?.len() < position.offset { 0 } else { position.offset };
    file.seek(SeekFrom::Start(from))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let mut entries: Vec<Entry> = text.lines().filter_map(entry).collect();
    entries.sort_by(|a, b| a.at.total_cmp(&b.at));
    Ok(entries)
}

fn entry(line: &str) -> Option<Entry> {
    let value: Value = serde_json::from_str(line).ok()?;
    if value["stage"] != "ResponseComplete" {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &value["objectRef"];
    Some(Entry {
        user: text(&value["user"]["username"]),
        verb: text(&value["verb"]),
        resource: text(&object["resource"]),
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        received: second_of_day(value["requestReceivedTimestamp"].as_str()?)?,
        at: second_of_day(value["stageTimestamp"].as_str()?)?,
    })
}

/// Seconds of the day of a timestamp like `2026-11-21T12:34:56.789012Z`.
fn second_of_day(text: &str) -> Option<f64> {
    let clock = text.split_once('T')?.1.trim_end_matches('Z');
    let mut parts = clock.split(':').map(str::parse::<f64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(hours * 3600.0 + minutes * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answered_requests_are_read() {
        let line = r#"{"stage":"ResponseComplete","verb":"patch","user":{"username":"u"},"objectRef":{"resource":"services","namespace":"shop","name":"shop-cart"},"requestReceivedTimestamp":"2026-11-21T01:00:01.400000Z","stageTimestamp":"2026-11-21T01:00:01.500000Z"}"#;
        let read = entry(line).unwrap();
        assert_eq!((read.user.as_str(), read.resource.as_str(), read.name.as_str()), ("u", "services", "shop-cart"));
        assert!((read.at - 3601.5).abs() < 1e-6 && read.is_write());
        assert!(entry(&line.replace("ResponseComplete", "ResponseStarted")).is_none());
    }
}
