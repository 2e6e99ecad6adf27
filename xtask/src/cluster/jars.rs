//! Kafka and PostgreSQL from Maven, unpacked into the cache once a machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{command, run, succeeds};
use crate::environment::Places;
use crate::progress::step;

const POM: &str = include_str!("../../data/pom.xml");
const POSTGRES_GROUP: &str = "io.zonky.test.postgres";
/// PostgreSQL refuses to run as root: data services run as this user.
pub const USER: &str = "agora-data";
/// Where PostgreSQL's programs lie when the user above may not enter the cache folder (a home that is closed to others).
const SHARED_CACHE: &str = "/var/cache/agora";

/// Where the programs lie.
#[derive(Debug, Clone)]
pub struct Jars {
    /// The folder that holds Kafka's jars.
    pub kafka: PathBuf,
    /// The folder that holds `initdb`, `pg_ctl` and `postgres`.
    pub postgres: PathBuf,
}

pub fn ensure(places: &Places) -> Result<Jars> {
    ensure_user()?;
    let kafka = places.cache.join("maven").join(format!("kafka-{}", version("kafka_2.13")?)).join("lib");
    let postgres = postgres_home(places)?;
    if !kafka.is_dir() {
        step("fetch Kafka from Maven", || fetch_kafka(places, kafka.parent().context("lib has a parent")?))?;
    }
    if !postgres.join("bin/postgres").exists() {
        step("fetch PostgreSQL from Maven", || fetch_postgres(places, &postgres))?;
    }
    Ok(Jars { kafka, postgres: postgres.join("bin") })
}

/// Runs a program as the data user, who may read through closed folders, but write only what is its own.
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
        .context("PostgreSQL refuses to run as root and needs a system user; run as root")
}

fn postgres_home(places: &Places) -> Result<PathBuf> {
    let name = format!("postgres-{}", version("embedded-postgres-binaries-linux")?);
    std::fs::create_dir_all(&places.cache)?;
    let mut enter = command("setpriv", ["--reuid", USER, "--regid", USER, "--clear-groups", "test", "-x"]);
    let open = succeeds(enter.arg(&places.cache));
    Ok(if open { places.cache.join("maven").join(name) } else { Path::new(SHARED_CACHE).join(name) })
}

fn fetch_kafka(places: &Places, home: &Path) -> Result<()> {
    let work = scratch(places)?;
    run(maven(work.path())
        .args(["dependency:copy-dependencies", "-DoutputDirectory=kafka/lib", "-DincludeScope=runtime"])
        .arg(format!("-DexcludeGroupIds={POSTGRES_GROUP}")))?;
    settle(&work.path().join("kafka"), home)
}

fn fetch_postgres(places: &Places, home: &Path) -> Result<()> {
    let work = scratch(places)?;
    run(maven(work.path())
        .args(["dependency:unpack-dependencies", "-DoutputDirectory=jar"])
        .arg(format!("-DincludeGroupIds={POSTGRES_GROUP}")))?;
    let jar = std::fs::read_dir(work.path().join("jar"))?.flatten().map(|entry| entry.path());
    let Some(archive) = jar.into_iter().find(|file| file.extension().is_some_and(|end| end == "txz")) else {
        bail!("the jar of PostgreSQL holds no .txz; look at xtask/data/pom.xml");
    };
    let unpacked = work.path().join("postgres");
    std::fs::create_dir(&unpacked)?;
    run(command("tar", ["xf"]).arg(archive).arg("-C").arg(&unpacked))?;
    run(command("chmod", ["-R", "a+rX"]).arg(&unpacked))?;
    settle(&unpacked, home)
}

fn scratch(places: &Places) -> Result<tempfile::TempDir> {
    let folder = places.cache.join("maven");
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

/// Moves a finished folder to its place, so that a half one is never taken for whole; across file systems by a copy.
fn settle(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().context("a home lies in a folder")?)?;
    let near = to.with_extension("part");
    let _ = std::fs::remove_dir_all(&near);
    run(command("cp", ["-a"]).arg(from).arg(&near))?;
    std::fs::rename(&near, to).with_context(|| format!("moving {} to {}", near.display(), to.display()))
}

/// The version in the pom, which is its only place.
fn version(artifact: &str) -> Result<&'static str> {
    let line = POM.lines().find(|line| line.contains(&format!("<artifactId>{artifact}")));
    let version = line.and_then(|line| line.split_once("<version>")?.1.split_once('<'));
    version.map(|(version, _)| version).with_context(|| format!("xtask/data/pom.xml names no {artifact}"))
}

/// A random password: 24 letters and digits.
pub fn password() -> Result<String> {
    let random = crate::command::output(&mut command("openssl", ["rand", "-base64", "48"]))?;
    let plain: String = random.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    anyhow::ensure!(plain.len() == 24, "openssl gave too few random characters");
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_come_from_the_pom() {
        assert_eq!(version("kafka_2.13").unwrap(), "4.1.0");
        assert_eq!(version("embedded-postgres-binaries-linux").unwrap(), "18.0.0");
    }
}
