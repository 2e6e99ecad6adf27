//! The way into the shop: the Ingress, who may call the API, and how often.

use std::collections::BTreeMap;

use agora_crd::{ExposureTlsType, ExposureType, LegacyAliases, MarketplaceSpec, Profile, RateLimit};

use super::limits;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposurePlan {
    pub ingress: Option<IngressPlan>,
    /// Origins whose scripts may call the API.
    pub cors_origins: Vec<String>,
    /// Whether the compatibility routes are served.
    pub legacy_aliases: LegacyAliases,
    /// The ConfigMap with the only documents that the GraphQL API executes.
    pub persisted_documents: Option<String>,
    pub rate_limits: Vec<RateLimit>,
    pub trusted_proxies: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPlan {
    pub hostnames: Vec<String>,
    pub class_name: Option<String>,
    pub annotations: BTreeMap<String, String>,
    pub tls_secret: Option<String>,
}

impl ExposurePlan {
    pub fn of(spec: &MarketplaceSpec) -> Self {
        let exposure = &spec.exposure;
        let aliases =
            if spec.profile == Profile::Development { LegacyAliases::Enabled } else { LegacyAliases::Disabled };
        let options = exposure.ingress.clone().unwrap_or_default();
        let certificate = exposure.tls.as_ref().filter(|tls| tls.type_ == ExposureTlsType::Secret);
        let ingress = (exposure.type_ == ExposureType::Ingress).then(|| IngressPlan {
            hostnames: exposure.hostnames.clone(),
            class_name: options.class_name,
            annotations: options.annotations,
            tls_secret: certificate.and_then(|tls| tls.secret.as_ref()).map(|secret| secret.name.clone()),
        });
        Self {
            ingress,
            cors_origins: exposure.cors_origins.clone(),
            legacy_aliases: exposure.legacy_aliases.unwrap_or(aliases),
            persisted_documents: exposure.persisted_documents.as_ref().map(|documents| documents.name.clone()),
            rate_limits: limits::rate_limits(spec),
            trusted_proxies: exposure.trusted_proxies,
        }
    }
}
