//! etcd, API server, controller-manager and scheduler as processes of the host. Must not depend on the node.

use anyhow::Result;

use crate::cluster::processes::{self, Daemon};
use crate::cluster::{kubectl, tools};
use crate::command::{succeeds, write};
use crate::environment::Paths;

const AUDIT_POLICY: &str =
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";
/// Benchmarks read the audit log; the limits keep it below 600 MB.
const AUDIT_LIMITS: &str = "--audit-log-maxsize 200 --audit-log-maxbackup 2";
const READY_SECONDS_MAX: u64 = 90;

/// Starts etcd and the API server unless they run.
pub fn start(paths: &Paths) -> Result<()> {
    processes::ensure(paths, &etcd(paths))?;
    processes::ensure(paths, &api_server(paths)?)
}

/// Waits until the API server is ready.
pub fn wait(paths: &Paths) -> Result<()> {
    processes::wait_for(paths, "apiserver", READY_SECONDS_MAX, || {
        succeeds(&mut kubectl(paths, ["get", "--raw", "/readyz"]))
    })
}

/// Starts controller-manager and scheduler. The API server must be ready: controllers exit while the bootstrap roles do
/// not exist.
pub fn control(paths: &Paths) -> Result<()> {
    let (bin, pki, conf) =
        (&paths.bin, paths.pki().display().to_string(), paths.kubeconfig("controller-manager").display().to_string());
    let controllers = format!(
        "--kubeconfig {conf} --authentication-kubeconfig {conf} --authorization-kubeconfig {conf} \
         --service-account-private-key-file {pki}/sa.key --root-ca-file {pki}/ca.crt \
         --cluster-signing-cert-file {pki}/ca.crt --cluster-signing-key-file {pki}/ca.key \
         --use-service-account-credentials --leader-elect=false \
         --controllers *,-node-ipam-controller,-cloud-node-lifecycle-controller --bind-address 127.0.0.1"
    );
    processes::ensure(paths, &Daemon::parse("controller-manager", &bin.join("kube-controller-manager"), &controllers))?;
    let scheduling = format!(
        "--kubeconfig {} --leader-elect=false --bind-address 127.0.0.1",
        paths.kubeconfig("scheduler").display()
    );
    processes::ensure(paths, &Daemon::parse("scheduler", &bin.join("kube-scheduler"), &scheduling))
}

fn etcd(paths: &Paths) -> Daemon {
    let data = paths.state.join("etcd");
    let arguments = format!(
        "--data-dir {} --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
         --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
         --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380",
        data.display()
    );
    Daemon::parse("etcd", &paths.bin.join(tools::ETCD), &arguments)
}

fn api_server(paths: &Paths) -> Result<Daemon> {
    let policy = paths.state.join("audit.yaml");
    let changed = write(&policy, AUDIT_POLICY)?;
    let (pki, policy, audit) =
        (paths.pki().display().to_string(), policy.display().to_string(), paths.log("audit").display().to_string());
    let arguments = format!(
        "--etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --advertise-address 10.244.0.1 --secure-port 6443 \
         --service-cluster-ip-range 10.96.0.0/16 --tls-cert-file {pki}/apiserver.crt --tls-private-key-file {pki}/apiserver.key \
         --client-ca-file {pki}/ca.crt --service-account-issuer https://kubernetes.default.svc \
         --service-account-signing-key-file {pki}/sa.key --service-account-key-file {pki}/sa.pub \
         --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
         --kubelet-client-certificate {pki}/admin.crt --kubelet-client-key {pki}/admin.key \
         --kubelet-certificate-authority {pki}/ca.crt --kubelet-preferred-address-types InternalIP \
         --enable-aggregator-routing --requestheader-client-ca-file {pki}/front-proxy-ca.crt \
         --requestheader-allowed-names front-proxy-client --requestheader-extra-headers-prefix X-Remote-Extra- \
         --requestheader-group-headers X-Remote-Group --requestheader-username-headers X-Remote-User \
         --proxy-client-cert-file {pki}/front-proxy-client.crt --proxy-client-key-file {pki}/front-proxy-client.key \
         --audit-policy-file {policy} --audit-log-path {audit} {AUDIT_LIMITS}"
    );
    let daemon = Daemon::parse("apiserver", &paths.bin.join("kube-apiserver"), &arguments);
    Ok(Daemon { changed, ..daemon })
}
