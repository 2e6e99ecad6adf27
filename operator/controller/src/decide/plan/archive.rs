//! The bucket of the archive, from `spec.archive`.

use crate::decide::purpose::Purpose;

/// The bucket of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePlan {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// Address of the store; `None`: Amazon's.
    pub endpoint: Option<String>,
    pub region: String,
    pub secret: String,
    /// The use of the Secret.
    pub login: Purpose,
}

impl ArchivePlan {
    pub(super) fn of(archive: &agora_crd::Archive, isolation_key: &str) -> Self {
        let agora_crd::S3Archive { bucket, prefix, endpoint, region, secret_ref } = &archive.s3;
        let store = endpoint.as_deref().map(|endpoint| {
            let authority = endpoint.rsplit("://").next().unwrap_or_default();
            if has_port(authority) { authority.to_owned() } else { format!("{authority}:{}", default_port(endpoint)) }
        });
        Self {
            url: format!("s3://{bucket}/{}", prefix.as_deref().unwrap_or(isolation_key)),
            endpoint: endpoint.clone(),
            region: region.clone(),
            secret: secret_ref.name.clone(),
            login: Purpose::Archive(store.unwrap_or_else(|| bucket.clone())),
        }
    }

    /// The port of the store.
    pub fn port(&self) -> i32 {
        let endpoint = self.endpoint.as_deref().unwrap_or("https://");
        let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.unwrap_or_else(|| default_port(endpoint))
    }
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

fn default_port(url: &str) -> i32 {
    if url.starts_with("http://") { 80 } else { 443 }
}

#[cfg(test)]
mod tests {
    use agora_crd::{Archive, ArchiveType, S3Archive, SecretRef};

    use super::*;

    fn plan(endpoint: Option<&str>) -> ArchivePlan {
        let s3 = S3Archive {
            bucket: "events".to_owned(),
            prefix: None,
            endpoint: endpoint.map(str::to_owned),
            region: "eu-1".to_owned(),
            secret_ref: SecretRef { name: "s3".to_owned() },
        };
        ArchivePlan::of(&Archive { type_: ArchiveType::S3, s3 }, "shop-main")
    }

    #[test]
    fn a_login_is_for_one_store_and_the_port_is_that_of_its_endpoint() {
        for (endpoint, purpose, port) in [
            (None, "archive=events", 443),
            (Some("https://minio.data.svc:9000"), "archive=minio.data.svc:9000", 9000),
            (Some("https://minio.example"), "archive=minio.example:443", 443),
            (Some("http://minio"), "archive=minio:80", 80),
        ] {
            let plan = plan(endpoint);
            assert_eq!((plan.login.to_string().as_str(), plan.port()), (purpose, port), "{endpoint:?}");
            assert_eq!(plan.url, "s3://events/shop-main");
        }
    }
}
