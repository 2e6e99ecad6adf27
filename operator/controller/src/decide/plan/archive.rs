//! The bucket of the archive, from `spec.archive`.

use super::addresses::host_and_port_of_url;
use crate::decide::purpose::Purpose;

const HTTPS_PORT: u16 = 443;

/// The bucket of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePlan {
    /// The value of `ARCHIVE_URL`, such as `s3://bucket/prefix`.
    pub url: String,
    /// Address of the store; `None`: Amazon's.
    pub endpoint: Option<String>,
    pub region: String,
    pub secret: String,
    /// The use of the Secret.
    pub login: Purpose,
    /// Days that events are kept; `None`: for ever.
    pub retention_days: Option<i32>,
    host: String,
    port: u16,
}

impl ArchivePlan {
    pub(super) fn of(archive: &agora_crd::Archive, isolation_key: &str) -> Self {
        let agora_crd::S3Archive { bucket, prefix, endpoint, region, secret_ref } = &archive.s3;
        let store = endpoint.as_deref().and_then(host_and_port_of_url);
        let purpose = store.as_ref().map_or_else(|| bucket.clone(), |(host, port)| format!("{host}:{port}"));
        let (host, port) = store.unwrap_or_else(|| (format!("s3.{region}.amazonaws.com"), HTTPS_PORT));
        Self {
            url: format!("s3://{bucket}/{}", prefix.as_deref().unwrap_or(isolation_key)),
            endpoint: endpoint.clone(),
            region: region.clone(),
            secret: secret_ref.name.clone(),
            login: Purpose::Archive(purpose),
            retention_days: archive.retention_days,
            host,
            port,
        }
    }

    /// Host and port of the store.
    pub fn address(&self) -> (&str, i32) {
        (&self.host, i32::from(self.port))
    }
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
        ArchivePlan::of(&Archive { type_: ArchiveType::S3, s3, retention_days: None }, "shop-main")
    }

    #[test]
    fn a_login_is_for_one_store_and_the_port_is_that_of_its_endpoint() {
        for (endpoint, purpose, port) in [
            (None, "archive=events", 443),
            (Some("https://minio.data.svc:9000"), "archive=minio.data.svc:9000", 9000),
            (Some("https://MINIO.example"), "archive=minio.example:443", 443),
            (Some("http://minio"), "archive=minio:80", 80),
        ] {
            let plan = plan(endpoint);
            assert_eq!((plan.login.to_string().as_str(), plan.address().1), (purpose, port), "{endpoint:?}");
            assert_eq!(plan.url, "s3://events/shop-main");
        }
    }
}
