//! The way into the shop: the Ingress, who may call the API, and how often.

use std::collections::BTreeMap;

use agora_crd::{ExposureTlsType, ExposureType, Hsts, LegacyAliases, MarketplaceSpec, Profile, RateLimit};

use super::limits;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposurePlan {
    pub ingress: Option<IngressPlan>,
    /// The Secret with which the gateway terminates TLS itself; `None`: it does not.
    pub gateway_certificate: Option<String>,
    /// What browsers are told about TLS.
    pub hsts: Option<Hsts>,
    /// Beginning of the addresses of pictures that are stored by their path.
    pub asset_base_url: Option<String>,
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
        let certificate = certificate.and_then(|tls| tls.secret.as_ref()).map(|secret| secret.name.clone());
        let (ingress, gateway_certificate) = match exposure.type_ {
            ExposureType::Ingress => {
                let ingress = IngressPlan {
                    hostnames: exposure.hostnames.clone(),
                    class_name: options.class_name,
                    annotations: options.annotations,
                    tls_secret: certificate,
                };
                (Some(ingress), None)
            }
            ExposureType::None => (None, certificate),
        };
        Self {
            ingress,
            gateway_certificate,
            hsts: exposure.tls.as_ref().and_then(|tls| tls.hsts),
            asset_base_url: exposure.asset_base_url.clone(),
            cors_origins: exposure.cors_origins.clone(),
            legacy_aliases: exposure.legacy_aliases.unwrap_or(aliases),
            persisted_documents: exposure.persisted_documents.as_ref().map(|documents| documents.name.clone()),
            rate_limits: limits::rate_limits(spec),
            trusted_proxies: exposure.trusted_proxies,
        }
    }

    /// The Secret with the shop's certificate, whoever terminates TLS with it.
    pub fn certificate(&self) -> Option<&String> {
        self.ingress.as_ref().and_then(|ingress| ingress.tls_secret.as_ref()).or(self.gateway_certificate.as_ref())
    }
}
