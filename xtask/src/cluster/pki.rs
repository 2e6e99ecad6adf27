//! Certificate authorities, certificates and kubeconfigs of the local cluster, created with openssl. They stay as long
//! as the state folder exists.

use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::command::{command, run, write};
use crate::environment::Paths;

/// Validity of certificates; `up` recreates all of them when less than `RENEW_SECONDS` remain.
const DAYS: &str = "365";
const RENEW_SECONDS: &str = "2592000";

const API_SERVER_NAMES: &str = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,\
                                IP:127.0.0.1,IP:10.96.0.1,IP:10.244.0.1";

const DATA_NAMES: &str = "DNS:postgres.data.svc,DNS:postgres.data.svc.cluster.local,DNS:kafka.data.svc,\
                          DNS:kafka.data.svc.cluster.local,DNS:redis.data.svc,DNS:redis.data.svc.cluster.local,\
                          DNS:localhost,IP:127.0.0.1,IP:10.244.0.1";

/// Certificates: file name, subject, authority, subject alternative names.
const CERTIFICATES: [(&str, &str, &str, &str); 8] = [
    ("apiserver", "/CN=kube-apiserver", "ca", API_SERVER_NAMES),
    ("admin", "/O=system:masters/CN=admin", "ca", ""),
    ("controller-manager", "/CN=system:kube-controller-manager", "ca", ""),
    ("scheduler", "/CN=system:kube-scheduler", "ca", ""),
    ("kubelet", "/O=system:nodes/CN=system:node:node1", "ca", "DNS:node1,IP:10.244.0.1,IP:127.0.0.1"),
    ("proxy", "/CN=system:kube-proxy", "ca", ""),
    ("front-proxy-client", "/CN=front-proxy-client", "front-proxy-ca", ""),
    ("data", "/CN=data", "data-ca", DATA_NAMES),
];

const KUBECONFIGS: [&str; 5] = ["admin", "controller-manager", "scheduler", "kubelet", "proxy"];

pub fn ensure(paths: &Paths) -> Result<()> {
    let pki = paths.pki();
    if fresh(&pki) {
        return Ok(());
    }
    std::fs::create_dir_all(&pki)?;
    authority(&pki, "ca", "kubernetes")?;
    authority(&pki, "front-proxy-ca", "front-proxy")?;
    authority(&pki, "data-ca", "data services")?;
    for (name, subject, signer, names) in CERTIFICATES {
        certificate(&pki, name, subject, signer, names)?;
    }
    openssl(&pki, &["genrsa", "-out", "sa.key", "2048"])?;
    openssl(&pki, &["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"])?;
    for user in KUBECONFIGS {
        kubeconfig(paths, user)?;
    }
    close(&pki)?;
    write(&pki.join("complete"), "")?;
    Ok(())
}

fn fresh(pki: &Path) -> bool {
    let check = ["x509", "-checkend", RENEW_SECONDS, "-noout", "-in", "apiserver.crt"];
    pki.join("complete").exists() && openssl(pki, &check).is_ok()
}

fn authority(pki: &Path, name: &str, subject: &str) -> Result<()> {
    key(pki, name)?;
    let (file, out, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={subject}"));
    openssl(pki, &["req", "-x509", "-new", "-key", &file, "-subj", &subject, "-days", DAYS, "-out", &out])
}

fn certificate(pki: &Path, name: &str, subject: &str, signer: &str, names: &str) -> Result<()> {
    key(pki, name)?;
    let [key, request, extensions, out] = ["key", "csr", "ext", "crt"].map(|end| format!("{name}.{end}"));
    openssl(pki, &["req", "-new", "-key", &key, "-subj", subject, "-out", &request])?;
    let names = if names.is_empty() { String::new() } else { format!("subjectAltName={names}\n") };
    let usage = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n";
    write(&pki.join(&extensions), &format!("{usage}{names}"))?;
    let (ca, ca_key) = (format!("{signer}.crt"), format!("{signer}.key"));
    let sign = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", DAYS];
    openssl(pki, &[&sign[..], &["-extfile", &extensions, "-out", &out]].concat())
}

/// Creates a private key in PKCS #8, the only form that Java reads.
fn key(pki: &Path, name: &str) -> Result<()> {
    let curve = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    openssl(pki, &[&curve[..], &["-out", &format!("{name}.key")]].concat())
}

fn kubeconfig(paths: &Paths, user: &str) -> Result<()> {
    let read = |file: PathBuf| -> Result<String> { Ok(STANDARD.encode(std::fs::read(file)?)) };
    let pki = paths.pki();
    let ca = read(pki.join("ca.crt"))?;
    let certificate = read(pki.join(format!("{user}.crt")))?;
    let key = read(pki.join(format!("{user}.key")))?;
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: agora-local\n\
         contexts:\n- name: agora-local\n  context: {{cluster: agora-local, user: {user}}}\n\
         clusters:\n- name: agora-local\n  cluster: {{server: \"https://127.0.0.1:6443\", certificate-authority-data: {ca}}}\n\
         users:\n- name: {user}\n  user: {{client-certificate-data: {certificate}, client-key-data: {key}}}\n"
    );
    let file = paths.kubeconfig(user);
    write(&file, &text)?;
    run(command("chmod", ["600"]).arg(file))
}

/// Removes all permissions of group and others.
fn close(pki: &Path) -> Result<()> {
    run(command("chmod", ["-R", "go-rwx"]).arg(pki))
}

fn openssl(pki: &Path, arguments: &[&str]) -> Result<()> {
    run(command("openssl", arguments).current_dir(pki))
}
