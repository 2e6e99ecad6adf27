//! Settings from environment variables, which `cargo xtask test e2e` sets. The only file that reads the environment.

use std::path::PathBuf;

use anyhow::Context;

/// Port of PostgreSQL on this machine.
pub const POSTGRES_PORT: u16 = 15432;
/// Address of Kafka's plaintext listener for the host.
pub const KAFKA: &str = "127.0.0.1:19092";

/// Kafka's ports for pods: plaintext, and TLS with SASL.
pub const KAFKA_PODS: (u16, u16) = (19192, 19193);

/// Paths, registry and tag of the tree under test.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Root of the checkout.
    pub repo: PathBuf,
    /// Folder of kubectl and helm.
    pub bin: PathBuf,
    /// State folder of the local cluster: pids, certificates, logs.
    pub state: PathBuf,
    /// Folder of the binaries built from the tree under test.
    pub programs: PathBuf,
    /// Kubeconfig file of the cluster.
    pub kubeconfig: PathBuf,
    /// Registry of the images under test.
    pub registry: String,
    /// Tag of both images and value of `spec.release.version`.
    pub tag: String,
}

impl Settings {
    /// Reads the environment. A missing variable is an error.
    pub fn read() -> anyhow::Result<Self> {
        Ok(Self {
            repo: variable("AGORA_REPO")?.into(),
            bin: variable("AGORA_BIN")?.into(),
            state: variable("AGORA_STATE")?.into(),
            programs: variable("AGORA_PROGRAMS")?.into(),
            kubeconfig: variable("KUBECONFIG")?.into(),
            registry: variable("AGORA_IMAGE_REGISTRY")?,
            tag: variable("AGORA_IMAGE_TAG")?,
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "these tests do not use the chassis; only this function reads the environment"
)]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run the tests with `cargo xtask test e2e`"))
}
