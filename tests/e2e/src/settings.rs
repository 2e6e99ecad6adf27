//! Where things are: set by `cargo xtask test e2e`, and the only place that reads the environment.

use std::path::PathBuf;

use anyhow::Context;

/// The data services of the local cluster, on ports of their own.
pub const POSTGRES_PORT: u16 = 15432;
/// The broker's door for processes of the host.
pub const KAFKA: &str = "127.0.0.1:19092";

/// The broker's port for pods in the clear, and the one for TLS and a login.
pub const KAFKA_PODS: (u16, u16) = (19192, 19193);

/// Where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The checkout.
    pub repo: PathBuf,
    /// The folder of kubectl and helm.
    pub bin: PathBuf,
    /// The local cluster's state: pids and logs.
    pub state: PathBuf,
    /// The folder of `agora`, built from the tree under test.
    pub programs: PathBuf,
    /// The cluster's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Registry and tag of the images under test.
    pub registry: String,
    /// The tag of both images, which is also `spec.release.version`.
    pub tag: String,
}

impl Settings {
    /// From the environment.
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

#[expect(clippy::disallowed_methods, reason = "tests have no Settings of the chassis; this is their one place")]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run the tests by `cargo xtask test e2e`"))
}
