//! The API server's audit log: who asked for what, and when. The judge of what the operator did.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::environment::Places;

pub const OPERATOR: &str = "system:serviceaccount:agora-system:agora-operator";

/// A place in the log, to read on from.
#[derive(Debug)]
pub struct Mark {
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
    /// When it came, seconds of the day.
    pub received: f64,
    /// When it was answered, seconds of the day.
    pub at: f64,
}

impl Entry {
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// The end of the log as it is now.
pub fn mark(places: &Places) -> Result<Mark> {
    let file = places.log("audit");
    let offset = std::fs::metadata(&file).with_context(|| format!("reading {}", file.display()))?.len();
    Ok(Mark { file, offset })
}

/// Everything answered since then, in order of the answers.
pub fn since(mark: &Mark) -> Result<Vec<Entry>> {
    let mut file = std::fs::File::open(&mark.file)?;
    // A shorter file is a new one: the log was rotated.
    let from = if file.metadata()?.len() < mark.offset { 0 } else { mark.offset };
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

/// Of a time like `2026-11-21T12:34:56.789012Z`.
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
    fn an_answered_request_is_read_and_one_under_way_is_not() {
        let line = r#"{"stage":"ResponseComplete","verb":"patch","user":{"username":"u"},"objectRef":{"resource":"services","namespace":"shop","name":"shop-cart"},"requestReceivedTimestamp":"2026-11-21T01:00:01.400000Z","stageTimestamp":"2026-11-21T01:00:01.500000Z"}"#;
        let read = entry(line).unwrap();
        assert_eq!((read.user.as_str(), read.resource.as_str(), read.name.as_str()), ("u", "services", "shop-cart"));
        assert!((read.at - 3601.5).abs() < 1e-6 && read.is_write());
        assert!(entry(&line.replace("ResponseComplete", "ResponseStarted")).is_none());
    }
}
