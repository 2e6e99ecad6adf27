//! Files that a test generates and compares with the committed ones.

use std::{collections::BTreeMap, path::Path};

/// Asserts that the files of `folder` whose names begin with `prefix` are exactly these, by name. With `AGORA_UPDATE=1` it
/// writes them first.
#[expect(clippy::disallowed_methods, reason = "the variable selects the mode of a test; it is no setting of a service")]
pub fn assert_generated(folder: &Path, prefix: &str, files: &BTreeMap<String, String>) {
    if std::env::var_os("AGORA_UPDATE").is_some() {
        std::fs::create_dir_all(folder).expect("creating a folder");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("writing a generated file");
        }
    }
    let committed: BTreeMap<String, String> = std::fs::read_dir(folder)
        .expect("reading a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with(prefix))
        .map(|name| (name.clone(), std::fs::read_to_string(folder.join(name)).expect("reading a file")))
        .collect();
    assert!(committed == *files, "the files {prefix}* are stale; run: cargo xtask codegen");
}
