//! The two images: binaries with the libraries that they load, staged in a folder, packed by buildah, loaded into a
//! cluster. One `Dockerfile` for buildah, docker and Tilt.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cluster::node;
use crate::command::{command, digest, output, run, stream, write};
use crate::environment::{Places, which};
use crate::progress::{stage, step};
use crate::workspace;

pub const REGISTRY: &str = "agora.local";
const NAMES: [&str; 2] = ["agora", "agora-operator"];
const CA_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const PASSWD: &str = "agora:x:65532:65532::/:/sbin/nologin\n";
/// Images of one name that stay in the archive folder: every edit makes a new one of some 40 MB.
const ARCHIVES_KEPT: usize = 3;

/// How the binaries are compiled.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Profile {
    /// As the tests are: quick to build.
    Ci,
    /// Optimised.
    Release,
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ci => "ci",
            Self::Release => "release",
        }
    }
}

/// What was built.
#[derive(Debug)]
pub struct Images {
    /// `<version>-dev.<12 hex digits of both images' content>`, the tag of both.
    pub tag: String,
    pub archives: Vec<(String, PathBuf)>,
}

/// One call of buildah.
pub struct Build<'a> {
    pub file: &'a Path,
    pub target: Option<&'a str>,
    pub context: &'a Path,
    pub name: &'a str,
    pub archive: &'a Path,
}

/// Compiles, stages and packs both images; an image with this content that was packed before is not packed again.
pub fn build_all(places: &Places, profile: Profile) -> Result<Images> {
    let folder = places.cache.join("image");
    let context = folder.join("stage");
    stage_into(places, profile, &context)?;
    let file = places.repo.join("Dockerfile");
    let mut files = files_below(&context)?;
    files.push(file.clone());
    let tag = format!("{}-dev.{}", version(places)?, &digest(files)?[..12]);
    let archives = archives(places, &tag);
    for (name, (image, archive)) in NAMES.iter().zip(&archives) {
        if !archive.exists() {
            let build = Build { file: &file, target: Some(name), context: &context, name: image, archive };
            step(&format!("pack {image}"), || self::build(places, &build))?;
        }
    }
    forget_old(&folder.join("archives"), NAMES.len() * ARCHIVES_KEPT)?;
    Ok(Images { tag, archives })
}

/// Names of the images of a tag, and where each is packed.
pub fn archives(places: &Places, tag: &str) -> Vec<(String, PathBuf)> {
    let folder = places.cache.join("image/archives");
    let archive = |name: &&str| (format!("{REGISTRY}/{name}:{tag}"), folder.join(format!("{name}_{tag}.tar")));
    NAMES.iter().map(archive).collect()
}

/// Compiles, and lays out a folder per image, as the `Dockerfile` copies them.
pub fn stage_into(places: &Places, profile: Profile, folder: &Path) -> Result<()> {
    stage(&format!("compile ({})", profile.name()), || compile(places, profile))?;
    step("stage binaries and their libraries", || {
        NAMES.iter().try_for_each(|name| stage_binary(places, profile, name, &folder.join(name)))
    })
}

pub fn import_all(places: &Places, images: &Images) -> Result<()> {
    for (name, archive) in &images.archives {
        if !node::has_image(places, name) {
            step(&format!("import {name}"), || node::import(places, name, archive))?;
        }
    }
    Ok(())
}

/// Packs one image into an OCI archive that appears whole or not at all.
pub fn build(places: &Places, build: &Build) -> Result<()> {
    std::fs::create_dir_all(build.archive.parent().context("an archive lies in a folder")?)?;
    let storage = tempfile::tempdir_in(&places.cache)?;
    let buildah = || {
        let mut buildah = command("buildah", ["--storage-driver", "vfs", "--root"]);
        buildah.arg(storage.path().join("root")).arg("--runroot").arg(storage.path().join("run"));
        buildah
    };
    let mut bud = buildah();
    bud.args(["bud", "-q", "--isolation", "chroot", "-t", build.name, "-f"]).arg(build.file);
    if let Some(target) = build.target {
        bud.args(["--target", target]);
    }
    run(bud.arg(build.context))?;
    let part = build.archive.with_extension("part");
    let _ = std::fs::remove_file(&part);
    run(buildah().args(["push", "-q", build.name]).arg(format!("oci-archive:{}:{}", part.display(), build.name)))?;
    std::fs::rename(part, build.archive)?;
    Ok(())
}

/// The workspace's version.
fn version(places: &Places) -> Result<String> {
    let manifest = std::fs::read_to_string(places.repo.join("Cargo.toml"))?;
    let package = manifest.split("[workspace.package]").nth(1).context("the root manifest has [workspace.package]")?;
    let line = package.lines().find_map(|line| line.strip_prefix("version = \"")).context("it names a version")?;
    Ok(line.trim_end_matches('"').to_owned())
}

pub fn binary(places: &Places, profile: Profile, name: &str) -> PathBuf {
    places.target.join(profile.name()).join(name)
}

fn compile(places: &Places, profile: Profile) -> Result<()> {
    stream(cargo_build(places, profile).arg("--bins"))
}

/// Compiles one program as the images are compiled: nothing to do where it was built with them.
pub fn compile_one(places: &Places, profile: Profile, name: &str) -> Result<()> {
    stream(cargo_build(places, profile).args(["--bin", name]))
}

fn cargo_build(places: &Places, profile: Profile) -> Command {
    let packages = match profile {
        // The tests were compiled for the whole workspace; for fewer packages Cargo would unify features anew.
        Profile::Ci => &workspace::WITHOUT_E2E[..],
        Profile::Release => &["-p", "agora", "-p", "agora-operator", "-p", "agora-shopper"],
    };
    let mut cargo = command("cargo", ["build", "--quiet", "--profile", profile.name()]);
    cargo.args(packages).current_dir(&places.repo).env("CARGO_TARGET_DIR", &places.target);
    cargo
}

/// A root file system: the binary under /bin, the libraries where the loader looks, CA roots and a passwd file.
fn stage_binary(places: &Places, profile: Profile, name: &str, folder: &Path) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    let binary = binary(places, profile, name);
    copy(&binary, &folder.join("bin").join(name))?;
    for library in libraries(&binary)? {
        copy(&library, &folder.join(library.strip_prefix("/")?))?;
    }
    let Some(roots) = CA_ROOTS.iter().map(Path::new).find(|file| file.exists()) else {
        bail!("no CA roots at {}; install the package ca-certificates", CA_ROOTS.join(" or "));
    };
    copy(roots, &folder.join("etc/ssl/certs/ca-certificates.crt"))?;
    write(&folder.join("etc/passwd"), PASSWD)?;
    Ok(())
}

/// What `ldd` names: lines like `libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x…)` and the loader itself.
fn libraries(binary: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = output(&mut command("ldd", [binary]))?;
    if text.contains("not found") {
        bail!("{} misses a library:\n{text}", binary.display());
    }
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    std::fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let text = output(&mut command("find", [folder.as_os_str(), "-type".as_ref(), "f".as_ref()]))?;
    let mut files: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    files.sort();
    Ok(files)
}

fn forget_old(folder: &Path, kept: usize) -> Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?.flatten().collect();
    files.sort_by_key(|entry| std::cmp::Reverse(entry.metadata().and_then(|data| data.modified()).ok()));
    for old in files.iter().skip(kept) {
        std::fs::remove_file(old.path())?;
    }
    Ok(())
}

/// Which tool loads images into the cluster of this context, by the context's name.
pub fn loader(context: &str) -> Option<&'static str> {
    ["kind", "k3d", "minikube"].into_iter().find(|tool| context == *tool || context.starts_with(&format!("{tool}-")))
}

/// Loads the images into the cluster of an existing context, where it is one that has no registry.
pub fn load_into_context(context: &str, images: &Images) -> Result<()> {
    let Some(tool) = loader(context) else {
        bail!("do not know how to load images into `{context}`; push {} to a registry that it reads", images.tag);
    };
    if which(tool).is_none() {
        bail!("context `{context}` is one of {tool}, but {tool} is not on the PATH; install it");
    }
    let cluster = context.strip_prefix(tool).unwrap_or_default().trim_start_matches('-');
    for (name, archive) in &images.archives {
        let mut load = match tool {
            "kind" => command("kind", ["load", "image-archive", "--name", cluster]),
            "k3d" => command("k3d", ["image", "import", "--cluster", cluster]),
            _ => command("minikube", ["image", "load"]),
        };
        step(&format!("load {name}"), || run(load.arg(archive)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_is_known_by_the_name_of_the_context() {
        assert_eq!(loader("kind-kind"), Some("kind"));
        assert_eq!(loader("minikube"), Some("minikube"));
        assert_eq!(loader("production"), None);
        assert_eq!(loader("kindly"), None);
    }
}
