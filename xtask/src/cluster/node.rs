//! The one node: containerd with folders of its own, kubelet, kube-proxy, and how images come into it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cluster::kubectl;
use crate::cluster::processes::{self, Daemon};
use crate::command::{command, run, succeeds, write};
use crate::environment::Places;

/// Of the CNI network; also names its files under /var/lib/cni.
pub const CNI_NETWORK: &str = "agora-local";
const READY_SECONDS_MAX: u64 = 90;

pub fn containerd(places: &Places) -> Result<()> {
    let config = places.state.join("containerd.toml");
    let changed = write(&config, &containerd_config(places))?
        | write(&places.state.join("cni/10-local.conflist"), &cni_config(places))?;
    let daemon = Daemon::parse("containerd", Path::new("/usr/bin/containerd"), &format!("-c {}", config.display()));
    processes::ensure(places, &Daemon { changed, ..daemon })?;
    processes::wait_for(places, "containerd", 30, || succeeds(ctr(places).arg("version")))
}

/// Starts kubelet and kube-proxy and waits until the API server knows the node.
pub fn join(places: &Places) -> Result<()> {
    write(&places.state.join("resolv.conf"), "nameserver 10.244.0.1\n")?;
    let config = places.state.join("kubelet.yaml");
    let changed = write(&config, &kubelet_config(places))?;
    let arguments = format!(
        "--config {} --kubeconfig {} --hostname-override node1 --node-ip 10.244.0.1 --root-dir {}",
        config.display(),
        places.kubeconfig("kubelet").display(),
        places.state.join("kubelet").display()
    );
    processes::ensure(
        places,
        &Daemon { changed, ..Daemon::parse("kubelet", &places.bin.join("kubelet"), &arguments) },
    )?;
    let config = places.state.join("proxy.yaml");
    let changed = write(&config, &proxy_config(places))?;
    let arguments = format!("--config {}", config.display());
    processes::ensure(
        places,
        &Daemon { changed, ..Daemon::parse("proxy", &places.bin.join("kube-proxy"), &arguments) },
    )?;
    let ready = ["wait", "--for=condition=Ready", "node/node1", "--timeout=2s"];
    processes::wait_for(places, "kubelet", READY_SECONDS_MAX, || succeeds(&mut kubectl(places, ready)))
}

/// Loads an archive, unless an image of that name is there already.
pub fn import(places: &Places, name: &str, archive: &Path) -> Result<()> {
    if has_image(places, name) {
        return Ok(());
    }
    run(ctr(places).args(["images", "import"]).arg(archive))
}

pub fn has_image(places: &Places, name: &str) -> bool {
    let filter = format!("name=={name}");
    crate::command::output(ctr(places).args(["images", "ls", "-q", &filter]))
        .is_ok_and(|found| found.lines().any(|line| line == name))
}

pub fn ctr(places: &Places) -> Command {
    let mut command = command("ctr", ["-a"]);
    command.arg(places.containerd_socket()).args(["-n", "k8s.io"]);
    command
}

fn containerd_config(places: &Places) -> String {
    let (state, socket) = (places.state.display(), places.containerd_socket().display().to_string());
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

fn cni_config(places: &Places) -> String {
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "{CNI_NETWORK}", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "10.244.0.0/24", "gateway": "10.244.0.1"}}]],
            "routes": [{{"dst": "0.0.0.0/0"}}], "dataDir": "{}"}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#,
        places.state.join("ipam").display()
    )
}

fn kubelet_config(places: &Places) -> String {
    let (state, pki, socket) =
        (places.state.display(), places.pki().display().to_string(), places.containerd_socket().display().to_string());
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

fn proxy_config(places: &Places) -> String {
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
        places.kubeconfig("proxy").display()
    )
}
