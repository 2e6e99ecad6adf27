//! The value of each name that a service reads.

use agora_crd::{Orders, Profile};
use agora_topology::{self as topology, ADMIN_PORT};
use agora_vocab::Secret;

use super::super::config_map::{RATE_LIMITS, rate_limits_name};
use super::{File, Source};
use crate::decide::credentials::{
    CALL_KEYS, JWKS, admin_secret, call_keys_secret, database_secret, encryption_secret, jwks_name, signing_secret,
};
use crate::decide::observed::{CERTIFICATE, CERTIFICATE_KEY, ConditionError, Observed};
use crate::decide::plan::{MailPlan, Plan, ServicePlan};
use crate::kinds::{Kind, ObjectKey};

/// What becomes of a name.
pub(super) enum Entry {
    Absent,
    Setting(String),
    File(File),
}

/// Fails if the value is not known, or if the Secret that contains it cannot be used.
pub(super) fn entry(
    plan: &Plan,
    service: &ServicePlan,
    observed: &Observed,
    name: &str,
) -> Result<Entry, ConditionError> {
    if let Some(url) = url_of_service(plan, name) {
        return Ok(Entry::Setting(url));
    }
    if let Some(entry) = of_group(plan, service, observed, name) {
        return entry;
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
        "RATE_LIMITS_FILE" => {
            let name = rate_limits_name(&plan.name);
            file(File { source: Source::ConfigMap, name, key: RATE_LIMITS, path: RATE_LIMITS })
        }
        "TLS_PORT" => optional(plan.tls_port(service.row).map(|port| port.to_string())),
        "TLS_CERTIFICATE_FILE" => Ok(secret_file(plan.exposure.gateway_certificate.as_ref(), CERTIFICATE, CERTIFICATE)),
        "TLS_KEY_FILE" => Ok(secret_file(plan.exposure.gateway_certificate.as_ref(), CERTIFICATE_KEY, CERTIFICATE_KEY)),
        "HSTS_MAX_AGE_SECONDS" => optional(plan.exposure.hsts.map(|hsts| hsts.max_age_seconds.to_string())),
        "HSTS_SUBDOMAINS" => optional(plan.exposure.hsts.map(|hsts| format!("{:?}", hsts.subdomains))),
        "ASSET_BASE_URL" => optional(plan.exposure.asset_base_url.clone()),
        "TRUSTED_PROXIES" => setting(plan.exposure.trusted_proxies.to_string()),
        "LEGACY_ALIASES" => setting(format!("{:?}", plan.exposure.legacy_aliases)),
        "DEFAULT_LANGUAGE" => setting(plan.default_language.clone()),
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
        "INTERNAL_SECRET" => {
            file(File::secret(call_keys_secret(&plan.name, service.row.name), CALL_KEYS, "internal-secret"))
        }
        "ENCRYPTION_KEY" => file(encryption_key(plan, service, "current", "encryption-key")),
        "ENCRYPTION_KEY_PREVIOUS" => file(encryption_key(plan, service, "previous", "previous-encryption-key")),
        "SIGNING_KEY_FILE" => file(File::secret(signing_secret(&plan.name), "current.pem", "signing.pem")),
        "JWKS_FILE" => file(File { source: Source::ConfigMap, name: jwks_name(&plan.name), key: JWKS, path: JWKS }),
        "GRAPHQL_DOCUMENTS" => optional(plan.exposure.persisted_documents.as_ref().map(|_| "Persisted".to_owned())),
        "GRAPHQL_PERSISTED_DOCUMENTS_FILE" => Ok(persisted_documents(plan).map_or(Entry::Absent, Entry::File)),
        // Elsewhere the service's default: the schema is in the documentation.
        "GRAPHQL_INTROSPECTION" if plan.profile == Profile::Development => setting("Enabled".to_owned()),
        // Receivers of a developer's own. Elsewhere the service's defaults: HTTPS to public addresses.
        "WEBHOOK_PLAIN_HTTP" | "WEBHOOK_PRIVATE_ADDRESSES" if plan.profile == Profile::Development => {
            setting("Enabled".to_owned())
        }
        "WEBHOOK_PORTS" if plan.profile == Profile::Development => setting("any".to_owned()),
        // The service uses its default.
        _ => Ok(Entry::Absent),
    }
}

/// The value of a name whose beginning says what it is about; `None` for other names.
fn of_group(
    plan: &Plan,
    service: &ServicePlan,
    observed: &Observed,
    name: &str,
) -> Option<Result<Entry, ConditionError>> {
    let (group, _) = name.split_once('_')?;
    Some(match group {
        "KAFKA" => kafka(plan, service, observed, name),
        "DATABASE" => database(plan, service, name),
        "REDIS" => Ok(redis(plan, name)),
        "STRIPE" => Ok(stripe(plan, service, observed, name)),
        "ORDER" => Ok(order(plan, name)),
        "ARCHIVE" => archive(plan, service, observed, name),
        "OIDC" => Ok(oidc(plan, name)),
        "SMTP" => smtp(plan.mail.as_ref()?, plan, (service, observed), name),
        _ => return None,
    })
}

/// The identity provider of the staff.
fn oidc(plan: &Plan, name: &str) -> Entry {
    let Some(staff) = &plan.staff else { return Entry::Absent };
    match name {
        "OIDC_ISSUER_URL" => Entry::Setting(staff.issuer_url.clone()),
        "OIDC_CLIENT_ID" => Entry::Setting(staff.client_id.clone()),
        "OIDC_CLIENT_SECRET" => Entry::File(File::secret(staff.secret.clone(), "client-secret", "oidc-client-secret")),
        "OIDC_REDIRECT_URL" => Entry::Setting(staff.redirect_url.clone()),
        "OIDC_GROUPS_CLAIM" => Entry::Setting(staff.groups_claim.clone()),
        "OIDC_ROLES" => Entry::Setting(staff.roles.clone()),
        "OIDC_PLAIN_HTTP" if plan.profile == Profile::Development => Entry::Setting("Enabled".to_owned()),
        _ => Entry::Absent,
    }
}

fn encryption_key(plan: &Plan, service: &ServicePlan, key: &'static str, path: &'static str) -> File {
    File::secret(encryption_secret(&plan.name, service.row.name), key, path)
}

fn persisted_documents(plan: &Plan) -> Option<File> {
    let name = plan.exposure.persisted_documents.clone()?;
    Some(File { source: Source::ConfigMap, name, key: "documents.json", path: "graphql-documents.json" })
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
    plan.pool_size(service).ok_or_else(|| {
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

pub(super) fn database_url(plan: &Plan, service: &ServicePlan) -> File {
    File::secret(database_secret(&plan.name, service.row.name), "url", "database-url")
}

/// The payment provider with Stripe's interface. A webhook secret may be absent: messages are then not accepted.
fn stripe(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Entry {
    let Some(stripe) = &plan.stripe else { return Entry::Absent };
    let secret = |key, path| Entry::File(File::secret(stripe.secret.clone(), key, path));
    match name {
        "STRIPE_BASE_URL" => Entry::Setting(stripe.base_url.clone()),
        "STRIPE_RETURN_URL" => stripe.return_url.clone().map_or(Entry::Absent, Entry::Setting),
        "STRIPE_API_KEY" => secret("api-key", "stripe-api-key"),
        "STRIPE_WEBHOOK_SECRET" => {
            let has_key = match observed.referenced_secret(&stripe.secret, &stripe.login()) {
                Ok(values) => values.contains_key("webhook-secret"),
                Err(_) => running_setting(plan, service, observed, "STRIPE_WEBHOOK_SECRET_FILE").is_some(),
            };
            if has_key { secret("webhook-secret", "stripe-webhook-secret") } else { Entry::Absent }
        }
        _ => Entry::Absent,
    }
}

pub(super) fn database_ca(plan: &Plan) -> Option<File> {
    plan.database.tls.authority().map(|secret| File::secret(secret.clone(), "ca.crt", "database-ca.crt"))
}

fn kafka(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    let kafka = &plan.kafka;
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
            Some(secret) => {
                let user = observed.secret_text(secret, "username", &plan.kafka_login());
                kept(user, running_setting(plan, service, observed, name))?
            }
        },
        "KAFKA_PASSWORD" => secret_file(kafka.credentials.as_ref(), "password", "kafka-password"),
        "KAFKA_CA_FILE" => secret_file(kafka.tls.authority(), "ca.crt", "kafka-ca.crt"),
        _ => Entry::Absent,
    })
}

fn redis(plan: &Plan, name: &str) -> Entry {
    match name {
        "REDIS_URL" => Entry::Setting(format!("redis://{}", plan.redis_endpoint)),
        "REDIS_PASSWORD" => secret_file(plan.redis_secret.as_ref(), "password", "redis-password"),
        _ => Entry::Absent,
    }
}

/// The archive of events. The access key's secret is a file, its id a setting.
fn archive(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Result<Entry, ConditionError> {
    let Some(archive) = &plan.archive else { return Ok(Entry::Absent) };
    Ok(match name {
        "ARCHIVE_URL" => Entry::Setting(archive.url.clone()),
        "ARCHIVE_ENDPOINT" => archive.endpoint.clone().map_or(Entry::Absent, Entry::Setting),
        "ARCHIVE_REGION" => Entry::Setting(archive.region.clone()),
        "ARCHIVE_RETENTION_DAYS" => number(archive.retention_days),
        "ARCHIVE_ACCESS_KEY_ID" => {
            let id = observed.secret_text(&archive.secret, "username", &archive.login);
            kept(id, running_setting(plan, service, observed, name))?
        }
        "ARCHIVE_SECRET_ACCESS_KEY" => {
            Entry::File(File::secret(archive.secret.clone(), "password", "archive-secret-access-key"))
        }
        _ => Entry::Absent,
    })
}

fn smtp(
    mail: &MailPlan,
    plan: &Plan,
    (service, observed): (&ServicePlan, &Observed),
    name: &str,
) -> Result<Entry, ConditionError> {
    Ok(match name {
        "SMTP_HOST" => Entry::Setting(mail.host.clone()),
        "SMTP_PORT" => Entry::Setting(mail.port.to_string()),
        "SMTP_TLS" => Entry::Setting(mail.encryption().to_owned()),
        "SMTP_FROM" => Entry::Setting(mail.from.clone()),
        "SMTP_USERNAME" => match &mail.secret {
            None => Entry::Absent,
            Some(secret) => {
                let user = observed.secret_text(secret, "username", &mail.login());
                kept(user, running_setting(plan, service, observed, name))?
            }
        },
        "SMTP_PASSWORD" => secret_file(mail.secret.as_ref(), "password", "smtp-password"),
        "SMTP_CA_FILE" => secret_file(mail.tls.authority(), "ca.crt", "smtp-ca.crt"),
        _ => Entry::Absent,
    })
}

/// A key of a Secret, if the spec names the Secret.
fn secret_file(secret: Option<&String>, key: &'static str, path: &'static str) -> Entry {
    secret.map_or(Entry::Absent, |secret| Entry::File(File::secret(secret.clone(), key, path)))
}

/// A value of a Secret as a setting; if it cannot be used, the one that the running pods have.
fn kept(value: Result<Secret, ConditionError>, running: Option<String>) -> Result<Entry, ConditionError> {
    match value {
        Ok(value) => Ok(Entry::Setting(value.expose().to_owned())),
        Err(error) => running.map(Entry::Setting).ok_or(error),
    }
}

/// A setting that the running pods were started with.
fn running_setting(plan: &Plan, service: &ServicePlan, observed: &Observed, name: &str) -> Option<String> {
    let map = observed.children.get(&ObjectKey::new(Kind::ConfigMap, plan.child(service.row.name)))?;
    map.data["data"][name].as_str().map(str::to_owned)
}
