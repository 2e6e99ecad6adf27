//! Programs of the local cluster: installs missing Debian packages and builds the Go binaries, once per machine, into
//! the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cluster::versions;
use crate::command::{command, output, run, succeeds};
use crate::environment::{Paths, which};
use crate::progress::{note, step};

pub const ETCD: &str = "etcd";
const HELM: &str = "helm";
/// The module of Kubernetes itself.
const KUBERNETES_MODULE: &str = "k8s.io/kubernetes";
const KUBERNETES: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];
/// Binary, package, wrapper module.
const OTHERS: [(&str, &str, &str); 4] = [
    (ETCD, "go.etcd.io/etcd/server/v3", "tools"),
    (HELM, "helm.sh/helm/v4/cmd/helm", "tools"),
    ("coredns", "./dns", "tools"),
    ("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server", "tools"),
];
/// The flags of the linker remove debug information; a compiler that makes none takes about a tenth less time.
const WITHOUT_DEBUG_INFORMATION: &str = "-gcflags=all=-dwarf=false";
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// A required file and the Debian package that contains it. A name without `/` is searched on the PATH.
pub type Need = (&'static str, &'static str);

pub const CLUSTER_NEEDS: [Need; 18] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("buildah", "buildah"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ipset", "ipset"),
    ("busybox", "busybox-static"),
    ("redis-server", "redis-server"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("curl", "curl"),
    ("sysctl", "procps"),
    ("setpriv", "util-linux"),
    ("xz", "xz-utils"),
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
];
/// Required to compile the images; rdkafka links the system's OpenSSL.
pub const BUILD_NEEDS: [Need; 4] =
    [("cc", "gcc"), ("make", "make"), ("pkg-config", "pkg-config"), ("/usr/include/openssl/ssl.h", "libssl-dev")];
/// Required to run the database tests. PostgreSQL and Kafka come from Maven.
pub const DATABASE_NEEDS: [Need; 7] = [
    ("redis-server", "redis-server"),
    ("openssl", "openssl"),
    ("xz", "xz-utils"),
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
    ("setpriv", "util-linux"),
    ("pip3", "python3-pip"),
];

/// Required to build the images and to load them into an existing cluster, besides `BUILD_NEEDS`.
pub const IMAGE_NEEDS: [Need; 3] = [("buildah", "buildah"), ("curl", "curl"), ("openssl", "openssl")];
/// Required to install and run the scanners of manifests that are no Go modules.
pub const SCAN_NEEDS: [Need; 2] = [("python3", "python3"), ("pip3", "python3-pip")];
/// Required for buildah without root: it runs in a user namespace.
pub const ROOTLESS_NEEDS: [Need; 1] = [("newuidmap", "uidmap")];

pub fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().filter(|(file, _)| !exists(file)).copied().collect()
}

/// Whether a file of a `Need` exists.
pub fn exists(file: &str) -> bool {
    if file.contains('/') { Path::new(file).exists() } else { which(file).is_some() }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    output(&mut command("id", ["-u"])).is_ok_and(|id| id == "0")
}

/// Whether this process can install packages: apt-get exists and the user is root.
pub fn may_install() -> bool {
    which("apt-get").is_some() && is_root()
}

/// Installs missing packages without starting their servers, now or at the next boot. Idempotent.
pub fn install(needs: &[Need]) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    if !may_install() {
        bail!(
            "missing: {}; install them (as root, on Debian or Ubuntu: apt-get install {})",
            packages.join(", "),
            packages.join(" ")
        );
    }
    step(&format!("install {}", packages.join(" ")), || {
        let policy = Policy::forbid_starts()?;
        let result = install_packages(&packages);
        policy.restore()?;
        result
    })?;
    match self::missing(needs).first() {
        None => Ok(()),
        Some((file, package)) => bail!("{file} is missing although {package} is installed; install the file manually"),
    }
}

fn install_packages(packages: &[&str]) -> Result<()> {
    if !succeeds(&mut apt(&["--simulate"], packages)) {
        run(command("apt-get", ["update", "-qq"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    run(&mut apt(&[], packages))?;
    if Path::new("/run/systemd/system").exists() {
        for unit in ["containerd", "redis-server"].iter().filter(|unit| packages.contains(unit)) {
            let _ = run(&mut command("systemctl", ["disable", unit]));
        }
    }
    Ok(())
}

fn apt(options: &[&str], packages: &[&str]) -> std::process::Command {
    let mut apt = command("apt-get", ["install", "-y", "-qq", "--no-install-recommends"]);
    apt.args(options).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// Debian runs the program policy-rc.d before a package starts its server; exit status 101 forbids the start.
struct Policy {
    before: Option<(Vec<u8>, std::fs::Permissions)>,
}

impl Policy {
    fn forbid_starts() -> Result<Self> {
        let before = match std::fs::read(POLICY) {
            Ok(content) => Some((content, std::fs::metadata(POLICY)?.permissions())),
            Err(_) => None,
        };
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
        run(&mut command("chmod", ["755", POLICY]))?;
        Ok(Self { before })
    }

    fn restore(self) -> Result<()> {
        match self.before {
            None => std::fs::remove_file(POLICY)?,
            Some((content, permissions)) => {
                std::fs::write(POLICY, content)?;
                std::fs::set_permissions(POLICY, permissions)?;
            }
        }
        Ok(())
    }
}

/// Builds the binaries that are not in the cache: those of Kubernetes with one command, so that one is linked while others
/// are compiled, then the rest.
pub fn build(paths: &Paths) -> Result<()> {
    if absent(paths).is_empty() {
        return Ok(());
    }
    if let Some(fault) = versions::go_fault(paths) {
        bail!(fault);
    }
    note("building Kubernetes from its Go modules; needed once per machine, takes 8 to 14 minutes on 2 cores");
    std::fs::create_dir_all(&paths.bin)?;
    for tools in absent(paths).chunk_by(Tool::is_built_with) {
        let names: Vec<_> = tools.iter().map(|tool| tool.binary).collect();
        let label = format!("build {}", names.join(", "));
        step(&label, || build_together(paths, tools)).with_context(|| label.clone())?;
    }
    Ok(())
}

/// Helm, without the other programs. Builds it if it is not in the cache.
pub fn helm(paths: &Paths) -> Result<PathBuf> {
    let helm: Vec<Tool> = absent(paths).into_iter().filter(|tool| tool.binary == HELM).collect();
    if !helm.is_empty() {
        if let Some(fault) = versions::go_fault(paths) {
            bail!(fault);
        }
        std::fs::create_dir_all(&paths.bin)?;
        step("build helm", || build_together(paths, &helm))?;
    }
    Ok(paths.bin.join(HELM))
}

/// The version of Kubernetes that the local cluster runs, and the folder of its sources, which are downloaded if they are
/// missing.
pub fn kubernetes_sources(paths: &Paths) -> Result<(String, PathBuf)> {
    let module = paths.repo.join("xtask/tools");
    let version = kubernetes_version(&std::fs::read_to_string(module.join("go.mod"))?);
    let mut go = command("go", ["mod", "download", "-json", KUBERNETES_MODULE]);
    let answer: serde_json::Value = serde_json::from_str(&output(go.current_dir(module))?)?;
    let folder = answer["Dir"].as_str().with_context(|| format!("go names no folder of {KUBERNETES_MODULE}"))?;
    Ok((version, PathBuf::from(folder)))
}

struct Tool {
    binary: &'static str,
    package: String,
    module: PathBuf,
    flags: String,
}

impl Tool {
    fn is_built_with(&self, other: &Self) -> bool {
        self.module == other.module && self.flags == other.flags
    }

    /// A command of Go in the module of the tool.
    fn go(&self, verb: &str) -> Command {
        let mut go = command("go", [verb]);
        go.current_dir(&self.module).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
        go
    }
}

fn absent(paths: &Paths) -> Vec<Tool> {
    let module = |name: &str| paths.repo.join("xtask").join(name);
    let version = kubernetes_version(&std::fs::read_to_string(module("tools").join("go.mod")).unwrap_or_default());
    let kubernetes = KUBERNETES.iter().map(|name| Tool {
        binary: name,
        package: format!("k8s.io/kubernetes/cmd/{name}"),
        module: module("tools"),
        flags: kubernetes_flags(&version),
    });
    let others = OTHERS.iter().map(|(binary, package, folder)| Tool {
        binary,
        package: (*package).to_owned(),
        module: module(folder),
        flags: "-s -w".to_owned(),
    });
    kubernetes.chain(others).filter(|tool| !paths.bin.join(tool.binary).exists()).collect()
}

/// Builds programs of one module with the same flags.
fn build_together(paths: &Paths, tools: &[Tool]) -> Result<()> {
    let Some(first) = tools.first() else { return Ok(()) };
    let parts = tempfile::tempdir_in(&paths.bin)?;
    let mut build = first.go("build");
    build.args(["-trimpath", WITHOUT_DEBUG_INFORMATION, "-ldflags", &first.flags, "-o"]).arg(parts.path());
    run(build.args(tools.iter().map(|tool| &tool.package)))?;
    for tool in tools {
        std::fs::rename(parts.path().join(program_name(&tool.package)), paths.bin.join(tool.binary))?;
    }
    Ok(())
}

/// How `go build` names the program of a package: its last element that is no version.
fn program_name(package: &str) -> &str {
    let version = |element: &&str| element.strip_prefix('v').is_some_and(|rest| rest.parse::<u8>().is_ok());
    package.rsplit('/').find(|element| !version(element)).unwrap_or(package)
}

/// Downloads the sources of the binaries that are not in the cache. Prints nothing.
pub fn fetch_sources(paths: &Paths) -> Result<()> {
    absent(paths).iter().try_for_each(|tool| run(tool.go("list").args(["-deps", &tool.package])))
}

/// Linker flags that set the version; without them the API server reports v0.0.0 and clients fail.
fn kubernetes_flags(version: &str) -> String {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    format!("-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}")
}

/// The Kubernetes version in go.mod of the wrapper module.
fn kubernetes_version(module: &str) -> String {
    let line =
        module.lines().find_map(|line| line.trim().trim_start_matches("require ").strip_prefix("k8s.io/kubernetes v"));
    line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("0.0.0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_wrapper_module() {
        assert_eq!(kubernetes_version("module m\n\nrequire k8s.io/kubernetes v1.35.4\n"), "1.35.4");
        assert_eq!(kubernetes_version("require (\n\tk8s.io/kubernetes v1.36.0\n)\n"), "1.36.0");
        assert!(kubernetes_flags("1.35.4").ends_with("gitMajor=1 -X k8s.io/component-base/version.gitMinor=35"));
    }

    #[test]
    fn a_program_is_named_as_go_names_it() {
        assert_eq!(program_name("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(program_name("./dns"), "dns");
        assert_eq!(program_name("sigs.k8s.io/metrics-server/cmd/metrics-server"), "metrics-server");
    }

    #[test]
    fn a_program_on_the_path_is_not_missing() {
        assert_eq!(missing(&[("sh", "dash"), ("no-such-program", "nothing"), ("/no/such/file", "none")]).len(), 2);
    }
}
