//! Settings of the archive, read from the environment.

use std::time::Duration;

use agora_chassis::{Reader, WatchedSecret};

const REGION_DEFAULT: &str = "us-east-1";
const AGE_SECONDS_DEFAULT: u64 = 60;
const AGE_SECONDS_MAX: u64 = 3_600;
const RETENTION_DAYS_MAX: u32 = 36_500;

/// Where the archive is.
#[derive(Clone, Debug)]
pub struct Config {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// Address of an S3-compatible store; none: Amazon's.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: String,
    /// Login of the bucket: name and secret.
    pub login: Option<(String, WatchedSecret)>,
    /// An event is stored at most this much later than it arrived.
    pub age_max: Duration,
    /// Days that events are kept; none: for ever.
    pub retention_days: Option<u32>,
}

impl Config {
    /// Reads `ARCHIVE_URL` and the settings beside it; `None` without it.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url: Option<String> = reader.optional("ARCHIVE_URL");
        let endpoint: Option<String> = reader.optional("ARCHIVE_ENDPOINT");
        let region = reader.default("ARCHIVE_REGION", REGION_DEFAULT.to_owned());
        let name: Option<String> = reader.optional("ARCHIVE_ACCESS_KEY_ID");
        let secret = reader.optional_secret("ARCHIVE_SECRET_ACCESS_KEY");
        let age_seconds = reader.default("ARCHIVE_MAX_AGE_SECONDS", AGE_SECONDS_DEFAULT);
        let retention_days: Option<u32> = reader.optional("ARCHIVE_RETENTION_DAYS");
        let url = url?;
        if !(1..=AGE_SECONDS_MAX).contains(&age_seconds) {
            reader.fault("ARCHIVE_MAX_AGE_SECONDS", format!("must be from 1 to {AGE_SECONDS_MAX}"));
        }
        if retention_days.is_some_and(|days| !(1..=RETENTION_DAYS_MAX).contains(&days)) {
            reader.fault("ARCHIVE_RETENTION_DAYS", format!("must be from 1 to {RETENTION_DAYS_MAX}"));
        }
        if !url.starts_with("file:///") && !url.starts_with("s3://") {
            reader.fault("ARCHIVE_URL", "must be like file:///folder or s3://bucket/prefix");
        }
        if endpoint.as_deref().is_some_and(|text| !text.starts_with("http://") && !text.starts_with("https://")) {
            reader.fault("ARCHIVE_ENDPOINT", "must be like https://minio.example:9000");
        }
        if url.starts_with("s3://") && (name.is_none() || secret.is_none()) {
            reader.fault("ARCHIVE_ACCESS_KEY_ID", "is needed for a bucket, with ARCHIVE_SECRET_ACCESS_KEY");
        }
        let age_max = Duration::from_secs(age_seconds);
        Some(Self { url, endpoint, region, login: name.zip(secret), age_max, retention_days })
    }

    /// A local folder, by its absolute path.
    pub fn folder(path: &std::path::Path) -> Self {
        Self {
            url: format!("file://{}", path.display()),
            endpoint: None,
            region: REGION_DEFAULT.to_owned(),
            login: None,
            age_max: Duration::from_secs(AGE_SECONDS_DEFAULT),
            retention_days: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Config>, String> {
        let pairs: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        agora_chassis::settings_from("search", &pairs, Config::read).map_err(|faults| faults.to_string())
    }

    #[test]
    fn without_a_url_nothing_is_archived_and_a_bucket_needs_a_login() {
        assert!(read(&[]).unwrap().is_none());
        let folder = read(&[("ARCHIVE_URL", "file:///a"), ("ARCHIVE_RETENTION_DAYS", "30")]).unwrap().unwrap();
        assert_eq!((folder.url.as_str(), folder.retention_days), ("file:///a", Some(30)));
        for (name, value, remedy) in [
            ("ARCHIVE_URL", "/a", "file:///folder"),
            ("ARCHIVE_ENDPOINT", "minio:9000", "https://"),
            ("ARCHIVE_RETENTION_DAYS", "0", "from 1 to"),
            ("ARCHIVE_MAX_AGE_SECONDS", "3601", "from 1 to"),
        ] {
            let faults = read(&[("ARCHIVE_URL", "file:///a"), (name, value)]).unwrap_err();
            assert!(faults.contains(name) && faults.contains(remedy), "{faults}");
        }
        let bucket =
            [("ARCHIVE_URL", "s3://b/p"), ("ARCHIVE_ACCESS_KEY_ID", "u"), ("ARCHIVE_SECRET_ACCESS_KEY", "hunter2")];
        assert!(read(&bucket[..2]).unwrap_err().contains("ARCHIVE_SECRET_ACCESS_KEY"));
        let config = read(&bucket).unwrap().unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
