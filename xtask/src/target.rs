//! The cluster that a verb talks to: the local one, or one of the developer's kubeconfig. Never the current context
//! unasked.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{command, output};
use crate::environment::{Places, variable, which};
use crate::image;

#[derive(Debug)]
pub struct Target {
    kubectl: PathBuf,
    helm: PathBuf,
    /// The flags that choose cluster and credentials.
    kubeconfig: PathBuf,
    /// None: the local cluster.
    pub context: Option<String>,
}

impl Target {
    pub fn local(places: &Places) -> Self {
        Self {
            kubectl: places.bin.join("kubectl"),
            helm: places.bin.join("helm"),
            kubeconfig: places.kubeconfig("admin"),
            context: None,
        }
    }

    /// An existing cluster; one that is not on this machine only with the developer's consent.
    pub fn existing(places: &Places, context: &str, consent: bool) -> Result<Self> {
        let find = |name: &str| {
            let cached = places.bin.join(name);
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
                "no usable context `{context}` in {}; list them: kubectl config get-contexts",
                target.kubeconfig.display()
            )
        })?;
        eprintln!("  using context {context} ({server})");
        if !consent && !is_local(context, &server) {
            bail!("{context} ({server}) is not on this machine; if you mean it, add --yes");
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

/// Whether the API server is on this machine: at a loopback address, or of a tool that makes clusters here.
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
    fn loopback_and_clusters_of_local_tools_are_local() {
        assert!(is_local("any", "https://127.0.0.1:6443"));
        assert!(is_local("any", "https://localhost:6443/x"));
        assert!(is_local("any", "https://[::1]:6443"));
        assert!(is_local("minikube", "https://192.168.49.2:8443"));
    }

    #[test]
    fn everything_else_is_remote() {
        assert!(!is_local("prod", "https://10.0.0.1:6443"));
        assert!(!is_local("prod", "https://127.example.com"));
        assert!(!is_local("kindred", "https://localhost.example.com:6443"));
    }
}
