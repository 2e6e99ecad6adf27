//! The cluster that a command uses: the local one, or a context of the user's kubeconfig. Never uses the current
//! context implicitly.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

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

    /// An existing cluster. Without `consent` it is an error if the API server is not on this machine.
    pub fn existing(paths: &Paths, context: &str, consent: bool) -> Result<Self> {
        let find = |name: &str| {
            let cached = paths.bin.join(name);
            if cached.exists() {
                Ok(cached)
            } else {
                which(name).with_context(|| format!("{name} is not on the PATH; install it"))
            }
        };
        let home = variable("HOME").unwrap_or_default();
        let kubeconfig = variable("KUBECONFIG").unwrap_or_else(|| format!("{home}/.kube/config"));
        let target = Self {
            kubectl: find("kubectl")?,
            helm: find("helm")?,
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
    fn other_addresses_are_remote() {
        assert!(!is_local("prod", "https://10.0.0.1:6443"));
        assert!(!is_local("prod", "https://127.example.com"));
        assert!(!is_local("kindred", "https://localhost.example.com:6443"));
    }
}
