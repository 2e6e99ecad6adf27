//! The cluster that a command uses: the local one, or a context of the user's kubeconfig. Never uses the current
//! context implicitly.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cluster::tools::{self, Need};
use crate::command::{command, output};
use crate::environment::{Paths, variable, which};
use crate::image;

#[derive(Debug)]
pub struct Target {
    kubectl: PathBuf,
    helm: PathBuf,
    /// Kubeconfig file that contains cluster and credentials.
    kubeconfig: PathBuf,
    /// Context in the kubeconfig; None for the local cluster.
    pub context: Option<String>,
}

impl Target {
    pub fn local(paths: &Paths) -> Self {
        Self {
            kubectl: paths.bin.join("kubectl"),
            helm: paths.bin.join("helm"),
            kubeconfig: paths.kubeconfig("admin"),
            context: None,
        }
    }

    /// An existing cluster. Without `consent` it is an error if the API server is not on this machine. Does not require
    /// root; root installs missing Debian packages.
    pub fn existing(paths: &Paths, context: &str, consent: bool) -> Result<Self> {
        let find = |name: &str| Some(paths.bin.join(name)).filter(|cached| cached.exists()).or_else(|| which(name));
        let needs = needs(tools::is_root());
        let faults = absent(context, &needs, tools::may_install(), |file| tools::exists(file) || find(file).is_some());
        if !faults.is_empty() {
            bail!("context `{context}` cannot be used from this machine:\n- {}", faults.join("\n- "));
        }
        tools::install(&needs)?;
        let home = variable("HOME").unwrap_or_default();
        let kubeconfig = variable("KUBECONFIG").unwrap_or_else(|| format!("{home}/.kube/config"));
        let target = Self {
            kubectl: find("kubectl").context("kubectl is not on the PATH")?,
            helm: find("helm").context("helm is not on the PATH")?,
            kubeconfig: PathBuf::from(kubeconfig),
            context: Some(context.to_owned()),
        };
        let view = ["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"];
        let server = output(&mut target.kubectl(view)).with_context(|| {
            format!(
                "context `{context}` in {} cannot be used; list all contexts: kubectl config get-contexts",
                target.kubeconfig.display()
            )
        })?;
        eprintln!("  using context {context} ({server})");
        if !consent && !is_local(context, &server) {
            bail!("context {context} ({server}) is not on this machine; to use it anyway add --yes");
        }
        Ok(target)
    }

    pub fn kubectl<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut kubectl = command(&self.kubectl, ["--kubeconfig"]);
        kubectl.arg(&self.kubeconfig);
        if let Some(context) = &self.context {
            kubectl.args(["--context", context]);
        }
        kubectl.args(arguments);
        kubectl
    }

    pub fn helm<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut helm = command(&self.helm, ["--kubeconfig"]);
        helm.arg(&self.kubeconfig);
        if let Some(context) = &self.context {
            helm.args(["--kube-context", context]);
        }
        helm.args(arguments);
        helm
    }

    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }
}

/// Debian packages that an existing cluster requires on this machine.
fn needs(root: bool) -> Vec<Need> {
    let rootless: &[Need] = if root { &[] } else { &tools::ROOTLESS_NEEDS };
    [&tools::BUILD_NEEDS[..], &tools::IMAGE_NEEDS, rootless].concat()
}

/// One line per program that `existing` requires and that this machine lacks; packages that can be installed do not
/// count.
fn absent(context: &str, needs: &[Need], may_install: bool, has: impl Fn(&str) -> bool) -> Vec<String> {
    let packages = needs.iter().filter(|(file, _)| !may_install && !has(file));
    let packages = packages.map(|(file, package)| format!("{file} is missing; install the package {package}"));
    let clients = ["kubectl", "helm"].into_iter().chain(image::loader(context)).filter(|name| !has(name));
    packages.chain(clients.map(|name| format!("{name} is not on the PATH; install it"))).collect()
}

/// Whether the API server is on this machine: a loopback address, or a context of kind, k3d or minikube.
fn is_local(context: &str, server: &str) -> bool {
    let host = server.split("://").nth(1).unwrap_or(server);
    let host = host.strip_prefix('[').map_or_else(|| host.split([':', '/']).next(), |rest| rest.split(']').next());
    let host = host.unwrap_or_default();
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    loopback || image::loader(context).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_and_local_tools_are_local() {
        assert!(is_local("any", "https://127.0.0.1:6443"));
        assert!(is_local("any", "https://localhost:6443/x"));
        assert!(is_local("any", "https://[::1]:6443"));
        assert!(is_local("minikube", "https://192.168.49.2:8443"));
    }

    #[test]
    fn an_existing_cluster_requires_no_root() {
        assert_eq!(absent("kind-agora", &needs(false), false, |_| true), Vec::<String>::new());
        let without = |missing: &'static str| absent("kind-agora", &needs(false), false, move |file| file != missing);
        assert_eq!(without("newuidmap"), ["newuidmap is missing; install the package uidmap"]);
        assert_eq!(without("kind"), ["kind is not on the PATH; install it"]);
        assert_eq!(without("k3d"), Vec::<String>::new());
    }

    #[test]
    fn root_installs_packages_but_not_the_clients_of_the_cluster() {
        let faults = absent("kind-agora", &needs(true), true, |_| false);
        assert_eq!(faults, ["kubectl", "helm", "kind"].map(|name| format!("{name} is not on the PATH; install it")));
    }

    #[test]
    fn other_addresses_are_remote() {
        assert!(!is_local("prod", "https://10.0.0.1:6443"));
        assert!(!is_local("prod", "https://127.example.com"));
        assert!(!is_local("kindred", "https://localhost.example.com:6443"));
    }
}
