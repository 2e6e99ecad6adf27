//! Kafka and PostgreSQL from Maven, unpacked into the cache once per machine. Must not start them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{command, run, succeeds};
use crate::environment::Paths;
use crate::progress::step;

const POM: &str = include_str!("../../data/pom.xml");
const POSTGRES_GROUP: &str = "io.zonky.test.postgres";
/// System user of the data services; PostgreSQL does not run as root.
pub const USER: &str = "agora-data";
/// Folder of PostgreSQL's programs if `USER` has no access to the cache folder, for example in a private home folder.
const SHARED_CACHE: &str = "/var/cache/agora";

/// Folders of the unpacked programs.
#[derive(Debug, Clone)]
pub struct Jars {
    /// Folder of Kafka's jars.
    pub kafka: PathBuf,
    /// Folder of `initdb`, `pg_ctl` and `postgres`.
    pub postgres: PathBuf,
}

/// Fetches what is not in the cache. Idempotent.
pub fn ensure(paths: &Paths) -> Result<Jars> {
    ensure_user()?;
    let home = kafka_home(paths)?;
    let kafka = home.join("lib");
    if !kafka.is_dir() {
        step("fetch Kafka from Maven", || fetch_kafka(paths, &home))?;
    }
    anyhow::ensure!(kafka.is_dir(), "{} is missing; delete the folder around it and repeat", kafka.display());
    Ok(Jars { kafka, postgres: ensure_postgres(paths, property("postgres")?)? })
}

/// Fetches what is not in the cache, for all tests. Prints nothing. Idempotent.
pub fn fetch(paths: &Paths) -> Result<()> {
    ensure_user()?;
    let kafka = kafka_home(paths)?;
    if !kafka.join("lib").is_dir() {
        fetch_kafka(paths, &kafka)?;
    }
    for version in [property("postgres")?, property("postgres15")?] {
        let home = postgres_home(paths, version)?;
        if !home.join("bin/postgres").exists() {
            fetch_postgres(paths, version, &home)?;
        }
    }
    Ok(())
}

fn kafka_home(paths: &Paths) -> Result<PathBuf> {
    Ok(paths.cache.join("maven").join(format!("kafka-{}", property("kafka")?)))
}

/// The folder of the programs of the oldest supported PostgreSQL, for tests. Idempotent.
pub fn ensure_postgres_15(paths: &Paths) -> Result<PathBuf> {
    ensure_user()?;
    ensure_postgres(paths, property("postgres15")?)
}

fn ensure_postgres(paths: &Paths, version: &str) -> Result<PathBuf> {
    let home = postgres_home(paths, version)?;
    if !home.join("bin/postgres").exists() {
        step(&format!("fetch PostgreSQL {version} from Maven"), || fetch_postgres(paths, version, &home))?;
    }
    anyhow::ensure!(home.join("bin/postgres").exists(), "{} is incomplete; delete it and repeat", home.display());
    Ok(home.join("bin"))
}

/// Words of a command line that runs a program as the data user. The capability lets it read in private folders; it can
/// write only its own files.
pub fn as_user() -> Vec<String> {
    let words = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"];
    let capabilities = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"];
    words.into_iter().chain(capabilities).map(str::to_owned).collect()
}

fn ensure_user() -> Result<()> {
    if succeeds(&mut command("id", [USER])) {
        return Ok(());
    }
    run(&mut command("useradd", ["--system", "--no-create-home", "--user-group", "--shell", "/usr/sbin/nologin", USER]))
        .context("creating the system user of the data services; run as root")
}

fn postgres_home(paths: &Paths, version: &str) -> Result<PathBuf> {
    let name = format!("postgres-{version}");
    std::fs::create_dir_all(&paths.cache)?;
    let mut enter = command("setpriv", ["--reuid", USER, "--regid", USER, "--clear-groups", "test", "-x"]);
    let open = succeeds(enter.arg(&paths.cache));
    Ok(if open { paths.cache.join("maven").join(name) } else { Path::new(SHARED_CACHE).join(name) })
}

fn fetch_kafka(paths: &Paths, home: &Path) -> Result<()> {
    let work = scratch(paths)?;
    run(maven(work.path())
        .args(["dependency:copy-dependencies", "-DoutputDirectory=kafka/lib", "-DincludeScope=runtime"])
        .arg(format!("-DexcludeGroupIds={POSTGRES_GROUP}")))?;
    move_into_place(&work.path().join("kafka"), home)
}

fn fetch_postgres(paths: &Paths, version: &str, home: &Path) -> Result<()> {
    let work = scratch(paths)?;
    run(maven(work.path())
        .args(["dependency:unpack-dependencies", "-DoutputDirectory=jar"])
        .arg(format!("-Dpostgres={version}"))
        .arg(format!("-DincludeGroupIds={POSTGRES_GROUP}")))?;
    let jar = std::fs::read_dir(work.path().join("jar"))?.flatten().map(|entry| entry.path());
    let Some(archive) = jar.into_iter().find(|file| file.extension().is_some_and(|end| end == "txz")) else {
        bail!("the jar of PostgreSQL contains no .txz archive; check its version in xtask/data/pom.xml");
    };
    let unpacked = work.path().join("postgres");
    std::fs::create_dir(&unpacked)?;
    run(command("tar", ["xf"]).arg(archive).arg("-C").arg(&unpacked))?;
    run(command("chmod", ["-R", "a+rX"]).arg(&unpacked))?;
    move_into_place(&unpacked, home)
}

fn scratch(paths: &Paths) -> Result<tempfile::TempDir> {
    let folder = paths.cache.join("maven");
    std::fs::create_dir_all(&folder)?;
    let work = tempfile::tempdir_in(folder)?;
    std::fs::write(work.path().join("pom.xml"), POM)?;
    Ok(work)
}

fn maven(folder: &Path) -> Command {
    let mut maven = command("mvn", ["-q", "-B", "--no-transfer-progress"]);
    let architecture = if std::env::consts::ARCH == "aarch64" { "arm64v8" } else { "amd64" };
    maven.arg(format!("-Darchitecture={architecture}")).current_dir(folder);
    maven
}

/// Copies a folder next to its destination and renames it, so that the destination is never incomplete. No error if
/// another process has moved the same folder there first.
fn move_into_place(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("the destination has no parent folder")?;
    std::fs::create_dir_all(parent)?;
    let near = tempfile::tempdir_in(parent)?;
    let copy = near.path().join("copy");
    run(command("cp", ["-a"]).arg(from).arg(&copy))?;
    match std::fs::rename(&copy, to) {
        Err(_) if to.is_dir() => Ok(()),
        result => result.with_context(|| format!("moving {} to {}", copy.display(), to.display())),
    }
}

/// The value of a property in pom.xml; the versions are properties.
fn property(name: &str) -> Result<&'static str> {
    let (opening, closing) = (format!("<{name}>"), format!("</{name}>"));
    let value = POM.split_once(&opening).and_then(|(_, rest)| Some(rest.split_once(&closing)?.0));
    value.with_context(|| format!("no property {name} in xtask/data/pom.xml"))
}

/// A random password: 24 letters and digits.
pub fn password() -> Result<String> {
    let random = crate::command::output(&mut command("openssl", ["rand", "-base64", "48"]))?;
    let plain: String = random.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    anyhow::ensure!(plain.len() == 24, "openssl rand returned too few characters");
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_moved_into_place_once() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("below/to"));
        crate::command::write(&from.join("bin/postgres"), "first").unwrap();
        move_into_place(&from, &to).unwrap();
        crate::command::write(&from.join("bin/postgres"), "second").unwrap();
        move_into_place(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("bin/postgres")).unwrap(), "first");
        assert_eq!(std::fs::read_dir(folder.path().join("below")).unwrap().count(), 1);
    }

    #[test]
    fn the_versions_come_from_the_pom() {
        let major = |name: &str| property(name).unwrap().split('.').next().unwrap().to_owned();
        assert_eq!((major("kafka"), major("postgres"), major("postgres15")), ("4".into(), "18".into(), "15".into()));
        assert!(property("architectures").is_err());
    }
}
