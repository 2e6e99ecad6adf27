//! CoreDNS and metrics-server, and the three images that the node itself needs (they are built into the cache once).

use std::path::PathBuf;

use anyhow::Result;

use crate::cluster::{kubectl, node};
use crate::command::{feed, run, write};
use crate::environment::Places;
use crate::image;

const MANIFEST: &str = include_str!("addons.yaml");

/// Image name, the binary within, the whole entry point.
const IMAGES: [(&str, &str, &str); 3] = [
    ("agora.local/pause:1", "/bin/busybox", r#"["/busybox", "sleep", "2147483647"]"#),
    ("agora.local/coredns:1", "coredns", r#"["/coredns"]"#),
    ("agora.local/metrics-server:1", "metrics-server", r#"["/metrics-server"]"#),
];

pub fn load_images(places: &Places) -> Result<()> {
    for (name, binary, entry) in IMAGES {
        if !node::has_image(places, name) {
            let archive = archive(places, name, binary, entry)?;
            node::import(places, name, &archive)?;
        }
    }
    Ok(())
}

pub fn apply(places: &Places) -> Result<()> {
    feed(&mut kubectl(places, ["apply", "-f", "-"]), MANIFEST).map(drop)
}

pub fn wait(places: &Places) -> Result<()> {
    run(&mut kubectl(
        places,
        ["-n", "kube-system", "wait", "--for=condition=Available", "deploy", "--all", "--timeout=120s"],
    ))
}

fn archive(places: &Places, name: &str, binary: &str, entry: &str) -> Result<PathBuf> {
    // `join` with an absolute path is that path: busybox is the host's, the others are ours.
    let source = places.bin.join(binary);
    let short = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let archive = places.bin.join("images").join(format!("{short}.tar"));
    if !archive.exists() {
        let stage = tempfile::tempdir()?;
        std::fs::copy(&source, stage.path().join(&short))?;
        let file = stage.path().with_extension("Dockerfile");
        write(&file, &format!("FROM scratch\nCOPY . /\nENTRYPOINT {entry}\n"))?;
        let built = image::build(
            places,
            &image::Build { file: &file, target: None, context: stage.path(), name, archive: &archive },
        );
        let _ = std::fs::remove_file(&file);
        built?;
    }
    Ok(archive)
}
