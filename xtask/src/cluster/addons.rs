//! CoreDNS and metrics-server, and the images of the node: pause, CoreDNS and metrics-server. The images are built once
//! per machine and cached.

use std::path::PathBuf;

use anyhow::Result;

use crate::cluster::{kubectl, node};
use crate::command::{feed, run, write};
use crate::environment::Paths;
use crate::image;

const MANIFEST: &str = include_str!("addons.yaml");

/// Image name, binary, entry point.
const IMAGES: [(&str, &str, &str); 3] = [
    ("agora.local/pause:1", "/bin/busybox", r#"["/busybox", "sleep", "2147483647"]"#),
    ("agora.local/coredns:1", "coredns", r#"["/coredns"]"#),
    ("agora.local/metrics-server:1", "metrics-server", r#"["/metrics-server"]"#),
];

pub fn load_images(paths: &Paths) -> Result<()> {
    for (name, binary, entry) in IMAGES {
        if !node::has_image(paths, name) {
            let archive = archive(paths, name, binary, entry)?;
            node::import(paths, name, &archive)?;
        }
    }
    Ok(())
}

pub fn apply(paths: &Paths) -> Result<()> {
    feed(&mut kubectl(paths, ["apply", "-f", "-"]), MANIFEST).map(drop)
}

pub fn wait(paths: &Paths) -> Result<()> {
    run(&mut kubectl(
        paths,
        ["-n", "kube-system", "wait", "--for=condition=Available", "deploy", "--all", "--timeout=120s"],
    ))
}

fn archive(paths: &Paths, name: &str, binary: &str, entry: &str) -> Result<PathBuf> {
    // `join` returns an absolute path unchanged: busybox comes from the host, the other binaries from the cache.
    let source = paths.bin.join(binary);
    let short = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let archive = paths.bin.join("images").join(format!("{short}.tar"));
    if !archive.exists() {
        let stage = tempfile::tempdir()?;
        std::fs::copy(&source, stage.path().join(&short))?;
        let file = stage.path().with_extension("Dockerfile");
        write(&file, &format!("FROM scratch\nCOPY . /\nENTRYPOINT {entry}\n"))?;
        let built = image::build(
            paths,
            &image::Build { file: &file, target: None, context: stage.path(), name, archive: &archive },
        );
        let _ = std::fs::remove_file(&file);
        built?;
    }
    Ok(archive)
}
