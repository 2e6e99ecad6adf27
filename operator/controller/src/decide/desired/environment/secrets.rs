//! Whether the Secrets that a service reads can be used.

use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{Plan, ServicePlan, TlsPlan};
use crate::decide::purpose::Purpose;

/// Fails if a login at a server that the service uses, or the certificates of its authority, cannot be used. The administrator's
/// login at the database server is none of a service's.
pub(super) fn check(plan: &Plan, service: &ServicePlan, observed: &Observed) -> Result<(), ConditionError> {
    let names = service.row.environment();
    let reads = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
    if service.row.speaks_to_broker() {
        if let Some(secret) = &plan.kafka.credentials {
            login(observed, secret, &plan.kafka_login())?;
        }
        authority(observed, &plan.kafka.tls)?;
    }
    if let Some(secret) = plan.redis_secret.as_ref().filter(|_| reads("REDIS_")) {
        observed.secret_text(secret, "password", &plan.redis_login())?;
    }
    if let Some(certificate) = plan.exposure.gateway_certificate.as_ref().filter(|_| reads("TLS_CERTIFICATE")) {
        observed.certificate(certificate)?;
    }
    if let Some(mail) = plan.mail.as_ref().filter(|_| reads("SMTP_")) {
        if let Some(secret) = &mail.secret {
            login(observed, secret, &mail.login())?;
        }
        authority(observed, &mail.tls)?;
    }
    if let Some(stripe) = plan.stripe.as_ref().filter(|_| reads("STRIPE_")) {
        observed.secret_text(&stripe.secret, "api-key", &stripe.login())?;
    }
    if let Some(staff) = plan.staff.as_ref().filter(|_| reads("OIDC_")) {
        observed.secret_text(&staff.secret, "client-secret", &staff.login())?;
    }
    if let Some(archive) = plan.archive.as_ref().filter(|_| reads("ARCHIVE_")) {
        login(observed, &archive.secret, &archive.login)?;
    }
    Ok(())
}

/// A Secret with user name and password.
fn login(observed: &Observed, secret: &str, purpose: &Purpose) -> Result<(), ConditionError> {
    for key in ["username", "password"] {
        observed.secret_text(secret, key, purpose)?;
    }
    Ok(())
}

fn authority(observed: &Observed, tls: &TlsPlan) -> Result<(), ConditionError> {
    match tls.authority() {
        Some(secret) => observed.secret_value(secret, "ca.crt", &Purpose::Tls).map(drop),
        None => Ok(()),
    }
}
