//! The two container images: compiles the binaries, copies them with their libraries into a folder, builds images with
//! buildah and loads them into a cluster. buildah, docker and Tilt use the same `Dockerfile`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cluster::node;
use crate::command::{command, digest, output, run, stream, write};
use crate::environment::Paths;
use crate::progress::{stage, step};
use crate::workspace;

pub const REGISTRY: &str = "agora.local";
const NAMES: [&str; 2] = ["agora", "agora-operator"];
const CA_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
const PASSWD: &str = "agora:x:65532:65532::/:/sbin/nologin\n";
/// Archives kept per image; each build of changed code adds one of about 40 MB.
const ARCHIVES_KEPT: usize = 3;

/// Cargo profile of the binaries.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Profile {
    /// The profile of the tests: short build time
    Ci,
    /// Optimised
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

/// Result of a build.
#[derive(Debug)]
pub struct Images {
    /// Tag of both images: `<version>-dev.<12 hex digits of a digest of their content>`.
    pub tag: String,
    pub archives: Vec<(String, PathBuf)>,
}

/// Arguments of a buildah run.
pub struct Build<'a> {
    pub file: &'a Path,
    pub target: Option<&'a str>,
    pub context: &'a Path,
    pub name: &'a str,
    pub archive: &'a Path,
}

/// Compiles and builds both images. An archive with the same content is reused.
pub fn build_all(paths: &Paths, profile: Profile) -> Result<Images> {
    compile(paths, profile)?;
    build_compiled(paths, profile)
}

/// Builds both images of the binaries that were compiled last.
pub fn build_compiled(paths: &Paths, profile: Profile) -> Result<Images> {
    let folder = paths.cache.join("image");
    let context = folder.join("stage");
    copy_into(paths, profile, &context)?;
    let file = paths.repo.join("Dockerfile");
    let mut files = files_below(&context)?;
    files.push(file.clone());
    let tag = format!("{}-dev.{}", version(paths)?, &digest(files)?[..12]);
    let archives = archives(paths, &tag);
    for (name, (image, archive)) in NAMES.iter().zip(&archives) {
        if !archive.exists() {
            let build = Build { file: &file, target: Some(name), context: &context, name: image, archive };
            step(&format!("build image {image}"), || self::build(paths, &build))?;
        }
    }
    remove_old_archives(&folder.join("archives"), NAMES.len() * ARCHIVES_KEPT)?;
    Ok(Images { tag, archives })
}

/// Names of the images with this tag, and the path of each archive.
pub fn archives(paths: &Paths, tag: &str) -> Vec<(String, PathBuf)> {
    let folder = paths.cache.join("image/archives");
    let archive = |name: &&str| (format!("{REGISTRY}/{name}:{tag}"), folder.join(format!("{name}_{tag}.tar")));
    NAMES.iter().map(archive).collect()
}

/// Compiles the binaries and fills one folder per image, from which the `Dockerfile` copies.
pub fn stage_into(paths: &Paths, profile: Profile, folder: &Path) -> Result<()> {
    compile(paths, profile)?;
    copy_into(paths, profile, folder)
}

fn copy_into(paths: &Paths, profile: Profile, folder: &Path) -> Result<()> {
    step("copy binaries and their libraries", || {
        NAMES.iter().try_for_each(|name| stage_binary(paths, profile, name, &folder.join(name)))
    })
}

pub fn import_all(paths: &Paths, images: &Images) -> Result<()> {
    for (name, archive) in &images.archives {
        if !node::has_image(paths, name) {
            step(&format!("import {name}"), || node::import(paths, name, archive))?;
        }
    }
    Ok(())
}

/// Builds an image into an OCI archive. The archive is renamed into place, so it is never incomplete.
pub fn build(paths: &Paths, build: &Build) -> Result<()> {
    std::fs::create_dir_all(build.archive.parent().context("the archive has no parent folder")?)?;
    let storage = tempfile::tempdir_in(&paths.cache)?;
    let part = build.archive.with_extension("part");
    let result = build_in(storage.path(), build, &part);
    // Folders of image layers are read-only; only root could delete them.
    run(command("chmod", ["-R", "u+w"]).arg(storage.path()))?;
    storage.close().context("deleting the storage of buildah")?;
    result?;
    std::fs::rename(part, build.archive)?;
    Ok(())
}

fn build_in(storage: &Path, build: &Build, archive: &Path) -> Result<()> {
    let buildah = || {
        let mut buildah = command("buildah", ["--storage-driver", "vfs", "--root"]);
        buildah.arg(storage.join("root")).arg("--runroot").arg(storage.join("run"));
        buildah
    };
    let mut bud = buildah();
    bud.args(["bud", "-q", "--isolation", "chroot", "-t", build.name, "-f"]).arg(build.file);
    if let Some(target) = build.target {
        bud.args(["--target", target]);
    }
    run(bud.arg(build.context))?;
    let _ = std::fs::remove_file(archive);
    run(buildah().args(["push", "-q", build.name]).arg(format!("oci-archive:{}:{}", archive.display(), build.name)))
}

/// The version of the workspace.
fn version(paths: &Paths) -> Result<String> {
    let manifest = std::fs::read_to_string(paths.repo.join("Cargo.toml"))?;
    let package =
        manifest.split("[workspace.package]").nth(1).context("no [workspace.package] in the root Cargo.toml")?;
    let line = package
        .lines()
        .find_map(|line| line.strip_prefix("version = \""))
        .context("no version in [workspace.package] of the root Cargo.toml")?;
    Ok(line.trim_end_matches('"').to_owned())
}

pub fn binary(paths: &Paths, profile: Profile, name: &str) -> PathBuf {
    paths.target.join(profile.name()).join(name)
}

fn compile(paths: &Paths, profile: Profile) -> Result<()> {
    stage(&format!("compile ({})", profile.name()), || stream(cargo_build(paths, profile).arg("--bins")))
}

/// Compiles one program with the packages and profile of the images; up to date if they were built before.
pub fn compile_one(paths: &Paths, profile: Profile, name: &str) -> Result<()> {
    stream(cargo_build(paths, profile).args(["--bin", name]))
}

fn cargo_build(paths: &Paths, profile: Profile) -> Command {
    let packages = match profile {
        // The packages of the tests: for fewer packages Cargo unifies features differently and compiles again.
        Profile::Ci => &[workspace::ALL_PACKAGES][..],
        Profile::Release => &["-p", "agora", "-p", "agora-operator", "-p", "agora-shopper"],
    };
    let mut cargo = command("cargo", ["build", "--quiet", "--profile", profile.name()]);
    cargo.args(packages).current_dir(&paths.repo).env("CARGO_TARGET_DIR", &paths.target);
    cargo
}

/// Creates a root file system: the binary in /bin, its libraries at their original paths, CA certificates and a passwd
/// file.
fn stage_binary(paths: &Paths, profile: Profile, name: &str, folder: &Path) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    let binary = binary(paths, profile, name);
    copy(&binary, &folder.join("bin").join(name))?;
    for library in libraries(&binary)? {
        copy(&library, &folder.join(library.strip_prefix("/")?))?;
    }
    let Some(roots) = CA_ROOTS.iter().map(Path::new).find(|file| file.exists()) else {
        bail!("no CA certificates at {}; install the package ca-certificates", CA_ROOTS.join(" or "));
    };
    copy(roots, &folder.join("etc/ssl/certs/ca-certificates.crt"))?;
    write(&folder.join("etc/passwd"), PASSWD)?;
    Ok(())
}

/// Libraries in the output of `ldd`: lines like `libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x…)`, and the
/// loader.
fn libraries(binary: &Path) -> Result<BTreeSet<PathBuf>> {
    let text = output(&mut command("ldd", [binary]))?;
    if text.contains("not found") {
        bail!("a library of {} is not installed:\n{text}", binary.display());
    }
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().context("the file has no parent folder")?)?;
    std::fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let text = output(&mut command("find", [folder.as_os_str(), "-type".as_ref(), "f".as_ref()]))?;
    let mut files: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    files.sort();
    Ok(files)
}

fn remove_old_archives(folder: &Path, kept: usize) -> Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?.flatten().collect();
    files.sort_by_key(|entry| std::cmp::Reverse(entry.metadata().and_then(|data| data.modified()).ok()));
    for old in files.iter().skip(kept) {
        std::fs::remove_file(old.path())?;
    }
    Ok(())
}

/// The tool that loads images into the cluster of this context, derived from the context's name.
pub fn loader(context: &str) -> Option<&'static str> {
    ["kind", "k3d", "minikube"].into_iter().find(|tool| context == *tool || context.starts_with(&format!("{tool}-")))
}

/// Loads the images into an existing kind, k3d or minikube cluster; an error for any other context.
pub fn load_into_context(context: &str, images: &Images) -> Result<()> {
    let Some(tool) = loader(context) else {
        bail!(
            "context `{context}` is not a kind, k3d or minikube cluster; push the images with tag {} to its registry",
            images.tag
        );
    };
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
    fn the_name_of_the_context_selects_the_loader() {
        assert_eq!(loader("kind-kind"), Some("kind"));
        assert_eq!(loader("minikube"), Some("minikube"));
        assert_eq!(loader("production"), None);
        assert_eq!(loader("kindly"), None);
    }
}
