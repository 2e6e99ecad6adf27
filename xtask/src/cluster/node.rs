//! The single node: containerd with its own folders, kubelet, kube-proxy, and the import of images.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cluster::kubectl;
use crate::cluster::processes::{self, Daemon};
use crate::command::{command, run, succeeds, write};
use crate::environment::Paths;

/// Name of the CNI network and prefix of its files in /var/lib/cni.
pub const CNI_NETWORK: &str = "agora-local";
const READY_SECONDS_MAX: u64 = 90;

pub fn containerd(paths: &Paths) -> Result<()> {
    let config = paths.state.join("containerd.toml");
    let changed = write(&config, &containerd_config(paths))?
        | write(&paths.state.join("cni/10-local.conflist"), &cni_config(paths))?;
    let daemon = Daemon::parse("containerd", Path::new("/usr/bin/containerd"), &format!("-c {}", config.display()));
    processes::ensure(paths, &Daemon { changed, ..daemon })?;
    processes::wait_for(paths, "containerd", 30, || succeeds(ctr(paths).arg("version")))
}

/// Starts kubelet and kube-proxy and waits until the node is Ready.
pub fn join(paths: &Paths) -> Result<()> {
    write(&paths.state.join("resolv.conf"), "nameserver 10.244.0.1\n")?;
    let config = paths.state.join("kubelet.yaml");
    let changed = write(&config, &kubelet_config(paths))?;
    let arguments = format!(
        "--config {} --kubeconfig {} --hostname-override node1 --node-ip 10.244.0.1 --root-dir {}",
        config.display(),
        paths.kubeconfig("kubelet").display(),
        paths.state.join("kubelet").display()
    );
    processes::ensure(paths, &Daemon { changed, ..Daemon::parse("kubelet", &paths.bin.join("kubelet"), &arguments) })?;
    let config = paths.state.join("proxy.yaml");
    let changed = write(&config, &proxy_config(paths))?;
    let arguments = format!("--config {}", config.display());
    processes::ensure(paths, &Daemon { changed, ..Daemon::parse("proxy", &paths.bin.join("kube-proxy"), &arguments) })?;
    let ready = ["wait", "--for=condition=Ready", "node/node1", "--timeout=2s"];
    processes::wait_for(paths, "kubelet", READY_SECONDS_MAX, || succeeds(&mut kubectl(paths, ready)))
}

/// Imports an archive unless an image with that name exists.
pub fn import(paths: &Paths, name: &str, archive: &Path) -> Result<()> {
    if has_image(paths, name) {
        return Ok(());
    }
    run(ctr(paths).args(["images", "import"]).arg(archive))
}

pub fn has_image(paths: &Paths, name: &str) -> bool {
    let filter = format!("name=={name}");
    crate::command::output(ctr(paths).args(["images", "ls", "-q", &filter]))
        .is_ok_and(|found| found.lines().any(|line| line == name))
}

pub fn ctr(paths: &Paths) -> Command {
    let mut command = command("ctr", ["-a"]);
    command.arg(paths.containerd_socket()).args(["-n", "k8s.io"]);
    command
}

fn containerd_config(paths: &Paths) -> String {
    let (state, socket) = (paths.state.display(), paths.containerd_socket().display().to_string());
    format!(
        r#"version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE every sandbox fails otherwise.
  restrict_oom_score_adj = true
  sandbox_image = "agora.local/pause:1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"#
    )
}

fn cni_config(paths: &Paths) -> String {
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "{CNI_NETWORK}", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "10.244.0.0/24", "gateway": "10.244.0.1"}}]],
            "routes": [{{"dst": "0.0.0.0/0"}}], "dataDir": "{}"}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#,
        paths.state.join("ipam").display()
    )
}

fn kubelet_config(paths: &Paths) -> String {
    let (state, pki, socket) =
        (paths.state.display(), paths.pki().display().to_string(), paths.containerd_socket().display().to_string());
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://{socket}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {pki}/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/kubelet.crt
tlsPrivateKeyFile: {pki}/kubelet.key
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: {state}/resolv.conf
podLogsDir: {state}/pods
volumePluginDir: {state}/kubelet/volume-plugins
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
maxPods: 200
serializeImagePulls: false
"
    )
}

fn proxy_config(paths: &Paths) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {}}}
clusterCIDR: 10.244.0.0/24
hostnameOverride: node1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {{maxPerCore: 0}}
# A NodePort answers on loopback: http://127.0.0.1:30080.
nodePortAddresses: [\"127.0.0.0/8\", \"10.244.0.0/24\"]
",
        paths.kubeconfig("proxy").display()
    )
}
