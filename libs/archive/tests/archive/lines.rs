//! The lines of a folder as they are in its files, repeated ones included.

use std::{collections::BTreeMap, path::Path};

use agora_archive::Record;

/// How often each message is there, by its partition and offset.
pub fn counts(folder: &Path) -> BTreeMap<(i32, i64), usize> {
    let mut counts = BTreeMap::new();
    for record in records(folder) {
        *counts.entry((record.partition, record.offset)).or_default() += 1;
    }
    counts
}

/// The number of files.
pub fn files(folder: &Path) -> usize {
    paths(folder).len()
}

fn records(folder: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    for path in paths(folder) {
        // A file that is being replaced may be gone.
        let Ok(compressed) = std::fs::read(path) else { continue };
        let text = zstd::decode_all(&*compressed).unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        records.extend(lines.map(|line| serde_json::from_slice::<Record>(line).unwrap()));
    }
    records
}

fn paths(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(paths(&path));
        } else if path.to_string_lossy().ends_with(".ndjson.zst") {
            found.push(path);
        }
    }
    found
}
