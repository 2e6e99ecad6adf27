//! The configuration of a service: environment variables, and files of secrets in one folder. The service table in
//! `agora_topology` lists the names that a service reads.

use std::collections::BTreeMap;

use agora_topology::ADMIN_PORT;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretProjection, VolumeProjection,
};

use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{EnvValue, Plan, ServicePlan};
use crate::decide::purpose::Purpose;
use crate::names;

mod entries;
mod secrets;

use entries::{Entry, database_ca, database_url, entry};

/// Annotation on pods: hash of the settings, so that a change of a setting restarts the pods.
pub const CONFIG_HASH: &str = "agoraplatform.dev/config-hash";
/// Folder in which the files are mounted.
pub const FOLDER: &str = "/etc/agora";
const HASH_DIGITS: usize = 16;
/// Key of the feature flags in their ConfigMap, and name of their file.
const FLAGS: &str = "flags";

#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Values that are not secret, by name; stored in the ConfigMap.
    pub settings: BTreeMap<String, String>,
    pub files: Vec<File>,
    /// Additional variables from the spec.
    pub extra: Vec<EnvVar>,
    /// Hash of the values that a running pod does not read again.
    pub hash: String,
    /// Why a Secret that the spec names cannot be used. Running pods have its values, so they stay as
    /// they are.
    pub unusable: Option<ConditionError>,
}

/// A key of a Secret or ConfigMap, mounted as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    source: Source,
    name: String,
    key: &'static str,
    path: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Secret,
    ConfigMap,
    /// Its absence, or that of the key, does not keep a pod from starting.
    OptionalConfigMap,
}

/// Fails if a value that the service needs is not known. If a Secret cannot be used, the values that running pods have are
/// known.
pub fn environment(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Result<Environment, ConditionError> {
    let unusable = secrets::check(plan, service, observed).err();
    let mut environment = Environment { unusable, ..Environment::default() };
    for name in service.row.environment() {
        match entry(plan, service, observed, name)? {
            Entry::Absent => {}
            Entry::Setting(value) => {
                environment.settings.insert(name.to_owned(), value);
            }
            Entry::File(file) => environment.add(name, file),
        }
    }
    environment.settings.insert("ADMIN_PORT".to_owned(), ADMIN_PORT.to_string());
    if let Some(endpoint) = &plan.otlp_endpoint {
        let sampled = f64::from(plan.sampled_percent) / 100.0;
        environment.settings.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint.clone());
        environment.settings.insert("OTEL_TRACES_SAMPLER_ARG".to_owned(), sampled.to_string());
    }
    if let Some(map) = &plan.flags {
        let source = Source::OptionalConfigMap;
        environment.add("FLAGS_FILE", File { source, name: map.clone(), key: FLAGS, path: FLAGS });
    }
    let mut hashed = format!("{:?} {:?}", environment.settings, service.env);
    let mut unknown = None;
    for (name, value) in &service.env {
        environment.extra.push(variable(name, value));
        if let EnvValue::Secret { name, key } = value {
            match observed.secret_value(name, key, &Purpose::Env) {
                Ok(value) => hashed += value.expose(),
                Err(error) => unknown = Some(error),
            }
        }
    }
    environment.hash = match &unknown {
        None => names::short_hash(&hashed, HASH_DIGITS),
        Some(error) => running_hash(plan, service, observed).ok_or_else(|| error.clone())?,
    };
    environment.unusable = environment.unusable.or(unknown);
    Ok(environment)
}

/// The hash that the running pods were started with.
fn running_hash(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Option<String> {
    let deployment = observed.children.deployment(&plan.child(service.row.name))?;
    deployment.spec?.template.metadata?.annotations?.remove(CONFIG_HASH)
}

/// The configuration of a migration Job: only the database.
pub fn of_migration(plan: &Plan, service: &ServicePlan) -> Environment {
    let mut environment = Environment::default();
    environment.add("DATABASE_URL", database_url(plan, service));
    if let Some(file) = database_ca(plan) {
        environment.add("DATABASE_CA_FILE", file);
    }
    environment
}

impl Environment {
    fn add(&mut self, name: &str, file: File) {
        let variable = if name.ends_with("_FILE") { name.to_owned() } else { format!("{name}_FILE") };
        self.settings.insert(variable, format!("{FOLDER}/{}", file.path));
        self.files.push(file);
    }

    /// The files as sources of one projected volume, which the kubelet updates atomically.
    pub fn sources(&self) -> Vec<VolumeProjection> {
        self.files.iter().map(File::projection).collect()
    }
}

impl File {
    fn secret(name: String, key: &'static str, path: &'static str) -> Self {
        Self { source: Source::Secret, name, key, path }
    }

    fn projection(&self) -> VolumeProjection {
        let items =
            Some(vec![KeyToPath { key: self.key.to_owned(), path: self.path.to_owned(), ..KeyToPath::default() }]);
        match self.source {
            Source::Secret => VolumeProjection {
                secret: Some(SecretProjection { name: self.name.clone(), items, ..SecretProjection::default() }),
                ..VolumeProjection::default()
            },
            Source::ConfigMap | Source::OptionalConfigMap => VolumeProjection {
                config_map: Some(ConfigMapProjection {
                    name: self.name.clone(),
                    items,
                    optional: (self.source == Source::OptionalConfigMap).then_some(true),
                }),
                ..VolumeProjection::default()
            },
        }
    }
}

fn variable(name: &str, value: &EnvValue) -> EnvVar {
    let (value, value_from) = match value {
        EnvValue::Text(text) => (Some(text.clone()), None),
        EnvValue::Secret { name, key } => {
            let selector = SecretKeySelector { name: name.clone(), key: key.clone(), ..SecretKeySelector::default() };
            (None, Some(EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() }))
        }
    };
    EnvVar { name: name.to_owned(), value, value_from }
}
