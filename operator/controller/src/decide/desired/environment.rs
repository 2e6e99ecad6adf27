//! The configuration of a service: environment variables, and files of secrets in one folder. The service table in
//! `agora_topology` lists the names that a service reads.

use std::collections::BTreeMap;

use agora_crd::Orders;
use agora_topology::{self as topology, ADMIN_PORT};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretProjection, VolumeProjection,
};

use crate::decide::credentials::{
    JWKS, admin_secret, database_secret, encryption_secret, internal_secret, jwks_name, signing_secret,
};
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{EnvValue, MailPlan, Plan, ServicePlan};
use crate::decide::purpose::Purpose;
use crate::kinds::{Kind, ObjectKey};
use crate::names;

/// Annotation on pods: hash of the settings, so that a change of a setting restarts the pods.
pub const CONFIG_HASH: &str = "agoraplatform.dev/config-hash";
/// Folder in which the files are mounted.
pub const FOLDER: &str = "/etc/agora";
const HASH_DIGITS: usize = 16;

#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Values that are not secret, by name; stored in the ConfigMap.
    pub settings: BTreeMap<String, String>,
    pub files: Vec<File>,
    /// Additional variables from the spec.
    pub extra: Vec<EnvVar>,
    /// Hash of the values that a running pod does not read again.
    pub hash: String,
    /// Why a Secret of the broker or of an additional variable cannot be used. Running pods have its values, so they stay as
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
}

enum Entry {
    Absent,
    Setting(String),
    File(File),
}

/// Fails if a value that the service needs is not known. If a Secret cannot be used, the values that running pods have are
/// known.
pub fn environment(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Result<Environment, ConditionError> {
    let unusable = service.row.speaks_to_broker().then(|| broker_secrets(plan, observed).err()).flatten();
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
        environment.settings.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint.clone());
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

/// Fails if the login at the broker, or the certificates of its authority, cannot be used.
fn broker_secrets(plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
    let kafka = &plan.kafka;
    if let Some(secret) = &kafka.credentials {
        for key in ["username", "password"] {
            observed.secret_text(secret, key, &plan.kafka_login())?;
        }
    }
    if let Some(secret) = kafka.tls.ca_secret.as_ref().filter(|_| kafka.tls.verified()) {
        observed.secret_value(secret, "ca.crt", &Purpose::Tls)?;
    }
    Ok(())
}

/// A setting that the running pods were started with.
fn running_setting(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Option<String> {
    let map = observed.children.get(&ObjectKey::new(Kind::ConfigMap, plan.child(service.row.name)))?;
    map.data["data"][name].as_str().map(str::to_owned)
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
            Source::ConfigMap => VolumeProjection {
                config_map: Some(ConfigMapProjection {
                    name: self.name.clone(),
                    items,
                    ..ConfigMapProjection::default()
                }),
                ..VolumeProjection::default()
            },
        }
    }
}

fn entry(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    if let Some(url) = url_of_service(plan, name) {
        return Ok(Entry::Setting(url));
    }
    if name.starts_with("KAFKA_") {
        return kafka(plan, service, observed, name);
    }
    if name.starts_with("DATABASE_") {
        return database(plan, service, name);
    }
    if name.starts_with("REDIS_") {
        return redis(plan, observed, name);
    }
    if name.starts_with("STRIPE_") {
        return stripe(plan, observed, name);
    }
    if name.starts_with("ORDER_") {
        return Ok(order(plan, name));
    }
    if name.starts_with("ARCHIVE_") {
        return archive(plan, observed, name);
    }
    if let (true, Some(mail)) = (name.starts_with("SMTP_"), &plan.mail) {
        return smtp(mail, observed, name);
    }
    let setting = |text: String| Ok(Entry::Setting(text));
    let optional = |text: Option<String>| Ok(text.map_or(Entry::Absent, Entry::Setting));
    let file = |file: File| Ok(Entry::File(file));
    match name {
        "PORT" => setting(service.row.port.to_string()),
        "INTERNAL_PORT" => setting(service.row.internal_port.unwrap_or_default().to_string()),
        "ADMIN_PORT" => setting(ADMIN_PORT.to_string()),
        "TOKEN_ISSUER" => setting(format!("agora/{}", plan.isolation_key)),
        "TOKEN_AUDIENCE" => setting("agora".to_owned()),
        "ISOLATION_KEY" => setting(plan.isolation_key.clone()),
        "RECOVERY_EPOCH" => setting(plan.epoch.to_string()),
        "CORS_ORIGINS" => setting(plan.exposure.cors_origins.join(",")),
        "LEGACY_ALIASES" => setting(format!("{:?}", plan.exposure.legacy_aliases)),
        "RECOMMENDATION_INTERVAL_SECONDS" => setting(plan.recommendations.interval_seconds.to_string()),
        "RECOMMENDATION_DEFAULT_CATEGORY" => setting(plan.recommendations.default_category.clone()),
        "PROMOTION_INTERVAL_SECONDS" => optional(plan.promotions.as_ref().map(|p| p.interval_seconds.to_string())),
        "PROMOTION_TITLE" => optional(plan.promotions.as_ref().map(|p| p.title.clone())),
        "PAYMENT_PROVIDER" => setting(format!("{:?}", plan.payments)),
        "ACCESS_TOKEN_LIFETIME_SECONDS" => setting(plan.access_token_lifetime_seconds.to_string()),
        "PUBLIC_URL" => Ok(plan.public_url.clone().map_or(Entry::Absent, Entry::Setting)),
        "MAIL_OPEN_TRACKING" => {
            Ok(plan.mail.as_ref().map_or(Entry::Absent, |mail| Entry::Setting(format!("{:?}", mail.open_tracking))))
        }
        "ADMIN_EMAIL" => setting(observed.credentials.admin.username.clone()),
        "ADMIN_PASSWORD" => file(File::secret(admin_secret(&plan.name), "password", "admin-password")),
        "INTERNAL_SECRET" => file(File::secret(internal_secret(&plan.name), "secret", "internal-secret")),
        "ENCRYPTION_KEY" => file(File::secret(encryption_secret(&plan.name), "current", "encryption-key")),
        "ENCRYPTION_KEY_PREVIOUS" => {
            file(File::secret(encryption_secret(&plan.name), "previous", "previous-encryption-key"))
        }
        "SIGNING_KEY_FILE" => file(File::secret(signing_secret(&plan.name), "current.pem", "signing.pem")),
        "JWKS_FILE" => file(File { source: Source::ConfigMap, name: jwks_name(&plan.name), key: JWKS, path: JWKS }),
        // The service uses its default.
        _ => Ok(Entry::Absent),
    }
}

/// Absent settings have the defaults of the service.
fn order(plan: &Plan, name: &str) -> Entry {
    let Orders { payment_window_seconds, unpaid_orders_max, unpaid_units_max } = plan.orders;
    let value = match name {
        "ORDER_PAYMENT_WINDOW_SECONDS" => payment_window_seconds,
        "ORDER_UNPAID_ORDERS_MAX" => unpaid_orders_max,
        "ORDER_UNPAID_UNITS_MAX" => unpaid_units_max,
        _ => None,
    };
    value.map_or(Entry::Absent, |value| Entry::Setting(value.to_string()))
}

/// The address of a service, for names like `ORDER_INTERNAL_URL` and `ORDER_URL`.
fn url_of_service(plan: &Plan, name: &str) -> Option<String> {
    let (callee, internal) = match name.strip_suffix("_INTERNAL_URL") {
        Some(callee) => (callee, true),
        None => (name.strip_suffix("_URL")?, false),
    };
    let row = topology::service(&callee.to_ascii_lowercase())?;
    let port = if internal { row.internal_port? } else { row.port };
    Some(format!("http://{}:{port}", plan.child(row.name)))
}

fn database(plan: &Plan, service: &ServicePlan, name: &str) -> Result<Entry, ConditionError> {
    Ok(match name {
        "DATABASE_URL" => Entry::File(database_url(plan, service)),
        "DATABASE_CA_FILE" => database_ca(plan).map_or(Entry::Absent, Entry::File),
        "DATABASE_POOL_SIZE" => Entry::Setting(pool_size(plan, service)?.to_string()),
        "DATABASE_STATEMENT_TIMEOUT_SECONDS" => number(service.database.statement_timeout_seconds),
        "DATABASE_READ_ADDRESS" => {
            plan.replica_address().map_or(Entry::Absent, |address| Entry::Setting(joined(address)))
        }
        "DATABASE_WORK_MEM_MIB" => number(service.database.work_mem_mebibytes),
        _ => Entry::Absent,
    })
}

/// `host:port`, with the brackets of IPv6.
fn joined((host, port): (&str, i32)) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A number of the spec; the service uses its default without one.
fn number(value: Option<i32>) -> Entry {
    value.map_or(Entry::Absent, |value| Entry::Setting(value.to_string()))
}

fn pool_size(plan: &Plan, service: &ServicePlan) -> Result<i32, ConditionError> {
    let of_spec = service.database.pool_size.filter(|_| plan.budget.suffices);
    of_spec.or(plan.budget.pool).ok_or_else(|| {
        if let Some(limit) = plan.budget.limit {
            let message = format!("{limit} connections are too few for the connection pools: see condition Stalled");
            return ConditionError::new(agora_crd::Reason::ConnectionBudgetExceeded, message);
        }
        let message = format!(
            "waiting for the inspection of the database server {}:{}, whose connection limit sets the size of the pools",
            plan.database.host, plan.database.port
        );
        ConditionError::new(agora_crd::Reason::WaitingForDependency, message)
    })
}

fn database_url(plan: &Plan, service: &ServicePlan) -> File {
    File::secret(database_secret(&plan.name, service.row.name), "url", "database-url")
}

/// The payment provider with Stripe's interface. A webhook secret may be absent: messages are then not accepted.
fn stripe(plan: &Plan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    let Some(stripe) = &plan.stripe else { return Ok(Entry::Absent) };
    let secret = |key, path| Entry::File(File::secret(stripe.secret.clone(), key, path));
    Ok(match name {
        "STRIPE_BASE_URL" => Entry::Setting(stripe.base_url.clone()),
        "STRIPE_RETURN_URL" => stripe.return_url.clone().map_or(Entry::Absent, Entry::Setting),
        "STRIPE_API_KEY" => {
            observed.secret_text(&stripe.secret, "api-key", &stripe.login())?;
            secret("api-key", "stripe-api-key")
        }
        "STRIPE_WEBHOOK_SECRET" => {
            let has_key = observed.referenced_secret(&stripe.secret, &stripe.login())?.contains_key("webhook-secret");
            if has_key { secret("webhook-secret", "stripe-webhook-secret") } else { Entry::Absent }
        }
        _ => Entry::Absent,
    })
}

fn database_ca(plan: &Plan) -> Option<File> {
    let secret = plan.database.tls.ca_secret.clone().filter(|_| plan.database.tls.verified())?;
    Some(File::secret(secret, "ca.crt", "database-ca.crt"))
}

fn kafka(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    let kafka = &plan.kafka;
    let file = |secret: Option<&String>, key, path| {
        secret.map_or(Entry::Absent, |secret| Entry::File(File::secret(secret.clone(), key, path)))
    };
    Ok(match name {
        "KAFKA_BROKERS" => Entry::Setting(kafka.bootstrap.join(",")),
        "KAFKA_SECURITY_PROTOCOL" => {
            let login = if kafka.mechanism.sasl().is_some() { "SASL_" } else { "" };
            Entry::Setting(format!(
                "{login}{}",
                match (kafka.tls.verified(), login) {
                    (true, _) => "SSL",
                    (false, _) => "PLAINTEXT",
                }
            ))
        }
        "KAFKA_SASL_MECHANISM" => kafka.mechanism.sasl().map_or(Entry::Absent, |name| Entry::Setting(name.to_owned())),
        "KAFKA_USERNAME" => match &kafka.credentials {
            None => Entry::Absent,
            Some(secret) => match observed.secret_text(secret, "username", &plan.kafka_login()) {
                Ok(user) => Entry::Setting(user.expose().to_owned()),
                Err(error) => Entry::Setting(running_setting(plan, service, observed, name).ok_or(error)?),
            },
        },
        "KAFKA_PASSWORD" => file(kafka.credentials.as_ref(), "password", "kafka-password"),
        "KAFKA_CA_FILE" => {
            file(kafka.tls.ca_secret.as_ref().filter(|_| kafka.tls.verified()), "ca.crt", "kafka-ca.crt")
        }
        _ => Entry::Absent,
    })
}

fn redis(plan: &Plan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    Ok(match (name, &plan.redis_secret) {
        ("REDIS_URL", _) => Entry::Setting(format!("redis://{}", plan.redis_endpoint)),
        ("REDIS_PASSWORD", Some(secret)) => {
            observed.secret_text(secret, "password", &plan.redis_login())?;
            Entry::File(File::secret(secret.clone(), "password", "redis-password"))
        }
        _ => Entry::Absent,
    })
}

/// The archive of events. The access key's secret is a file, its id a setting.
fn archive(plan: &Plan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    let Some(archive) = &plan.archive else { return Ok(Entry::Absent) };
    let login = |key: &str| observed.secret_text(&archive.secret, key, &archive.login);
    Ok(match name {
        "ARCHIVE_URL" => Entry::Setting(archive.url.clone()),
        "ARCHIVE_ENDPOINT" => archive.endpoint.clone().map_or(Entry::Absent, Entry::Setting),
        "ARCHIVE_REGION" => Entry::Setting(archive.region.clone()),
        "ARCHIVE_RETENTION_DAYS" => number(archive.retention_days),
        "ARCHIVE_ACCESS_KEY_ID" => Entry::Setting(login("username")?.expose().to_owned()),
        "ARCHIVE_SECRET_ACCESS_KEY" => {
            login("password")?;
            Entry::File(File::secret(archive.secret.clone(), "password", "archive-secret-access-key"))
        }
        _ => Entry::Absent,
    })
}

fn smtp(mail: &MailPlan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    let login = |key: &str| {
        let secret = mail.secret.as_ref();
        secret.map(|secret| observed.secret_text(secret, key, &mail.login())).transpose()
    };
    Ok(match name {
        "SMTP_HOST" => Entry::Setting(mail.host.clone()),
        "SMTP_PORT" => Entry::Setting(mail.port.to_string()),
        "SMTP_TLS" => Entry::Setting(mail.encryption().to_owned()),
        "SMTP_FROM" => Entry::Setting(mail.from.clone()),
        "SMTP_USERNAME" => login("username")?.map_or(Entry::Absent, |user| Entry::Setting(user.expose().to_owned())),
        "SMTP_PASSWORD" => match (&mail.secret, login("password")?) {
            (Some(secret), Some(_)) => Entry::File(File::secret(secret.clone(), "password", "smtp-password")),
            _ => Entry::Absent,
        },
        "SMTP_CA_FILE" => match &mail.tls.ca_secret {
            Some(secret) if mail.tls.verified() => {
                observed.secret_value(secret, "ca.crt", &Purpose::Tls)?;
                Entry::File(File::secret(secret.clone(), "ca.crt", "smtp-ca.crt"))
            }
            _ => Entry::Absent,
        },
        _ => Entry::Absent,
    })
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
