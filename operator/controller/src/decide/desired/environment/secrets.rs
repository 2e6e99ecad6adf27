//! Whether the Secrets that a service reads can be used.

use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{MailPlan, Plan, ServicePlan};
use crate::decide::purpose::Purpose;

/// Fails if a login at a server that the service uses, or the certificates of its authority, cannot be used. The administrator's
/// login at the database server is none of a service's.
pub(super) fn check(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Result<(), ConditionError> {
    let names = service.row.environment();
    let reads = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
    if service.row.speaks_to_broker() {
        broker(plan, observed)?;
    }
    if let Some(secret) = plan.redis_secret.as_ref().filter(|_| reads("REDIS_")) {
        observed.secret_text(secret, "password", &plan.redis_login())?;
    }
    if let Some(mail) = plan.mail.as_ref().filter(|_| reads("SMTP_")) {
        mail_server(mail, observed)?;
    }
    if let Some(stripe) = plan.stripe.as_ref().filter(|_| reads("STRIPE_")) {
        observed.secret_text(&stripe.secret, "api-key", &stripe.login())?;
    }
    if let Some(archive) = plan.archive.as_ref().filter(|_| reads("ARCHIVE_")) {
        for key in ["username", "password"] {
            observed.secret_text(&archive.secret, key, &archive.login)?;
        }
    }
    Ok(())
}

fn broker(plan: &Plan, observed: &Observed) -> Result<(), ConditionError> {
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

fn mail_server(mail: &MailPlan, observed: &Observed) -> Result<(), ConditionError> {
    if let Some(secret) = &mail.secret {
        for key in ["username", "password"] {
            observed.secret_text(secret, key, &mail.login())?;
        }
    }
    if let Some(secret) = mail.tls.ca_secret.as_ref().filter(|_| mail.tls.verified()) {
        observed.secret_value(secret, "ca.crt", &Purpose::Tls)?;
    }
    Ok(())
}
