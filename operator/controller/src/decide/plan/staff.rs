//! The part of a plan about the identity provider of the staff.

use super::addresses::host_and_port_of_url;
use crate::decide::purpose::Purpose;

/// An OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaffPlan {
    pub issuer_url: String,
    pub host: String,
    pub port: u16,
    pub client_id: String,
    /// Name of the Secret with the key `client-secret`.
    pub secret: String,
    pub redirect_url: String,
    pub groups_claim: String,
    /// `support=shop-support,admin=shop-admins`
    pub roles: String,
}

impl StaffPlan {
    pub(super) fn of(spec: &agora_crd::MarketplaceSpec) -> Option<Self> {
        let oidc = spec.identity.staff.as_ref()?.oidc.as_ref()?;
        let (host, port) = host_and_port_of_url(&oidc.issuer_url)?;
        let pairs = oidc.roles.iter().flat_map(|entry| {
            let role = entry.role.as_str();
            entry.groups.iter().map(move |group| format!("{role}={group}"))
        });
        Some(Self {
            issuer_url: oidc.issuer_url.clone(),
            host,
            port,
            client_id: oidc.client_id.clone(),
            secret: oidc.client_secret_ref.name.clone(),
            redirect_url: oidc.redirect_url.clone(),
            groups_claim: oidc.groups_claim.clone(),
            roles: pairs.collect::<Vec<_>>().join(","),
        })
    }

    /// The use of the client's secret.
    pub fn login(&self) -> Purpose {
        Purpose::Oidc(format!("{}:{}", self.host, self.port))
    }
}
