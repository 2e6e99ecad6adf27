//! The part of the plan for mails.

use agora_crd::{ExposureTls, MarketplaceSpec, OpenTracking};

use super::TlsPlan;
use crate::decide::purpose::Purpose;
use crate::names;

/// The port at which TLS begins with the connection.
const IMPLICIT_TLS_PORT: u16 = 465;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailPlan {
    pub host: String,
    pub port: u16,
    pub tls: TlsPlan,
    /// Name of the Secret with the login.
    pub secret: Option<String>,
    pub from: String,
    pub open_tracking: OpenTracking,
}

impl MailPlan {
    /// `host:port` of the server.
    pub fn address(&self) -> String {
        names::address(&self.host, self.port)
    }

    /// The use of the login.
    pub fn login(&self) -> Purpose {
        Purpose::Smtp(self.address())
    }

    /// How the notification service encrypts its connections: the value of `SMTP_TLS`.
    pub fn encryption(&self) -> &'static str {
        match (self.tls.verified(), self.port) {
            (false, _) => "Disable",
            (true, IMPLICIT_TLS_PORT) => "Implicit",
            (true, _) => "StartTls",
        }
    }
}

pub(super) fn mail(spec: &MarketplaceSpec) -> Option<MailPlan> {
    let mail = spec.mail.as_ref()?;
    Some(MailPlan {
        host: mail.smtp.host.clone(),
        port: u16::try_from(mail.smtp.port).unwrap_or_default(),
        tls: TlsPlan::of(mail.smtp.tls.as_ref(), spec.profile),
        secret: mail.smtp.secret_ref.as_ref().map(|secret| secret.name.clone()),
        from: mail.from.clone(),
        open_tracking: mail.open_tracking,
    })
}

/// The address of the shop, for links in mails; `None` without a host name.
pub(super) fn public_url(spec: &MarketplaceSpec) -> Option<String> {
    let encrypted = |tls: &Option<ExposureTls>| if tls.is_some() { "https" } else { "http" };
    let host = spec.exposure.hostnames.first()?;
    Some(format!("{}://{host}", encrypted(&spec.exposure.tls)))
}
