//! Settings of the archive, read from the environment.

use std::time::Duration;

use agora_chassis::{Reader, WatchedSecret};

const REGION_DEFAULT: &str = "us-east-1";
const AGE_SECONDS_DEFAULT: u64 = 60;
const AGE_SECONDS_MAX: u64 = 3_600;

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
}

impl Config {
    /// Reads `ARCHIVE_URL` and the settings beside it; `None` without it.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url: Option<String> = reader.optional("ARCHIVE_URL");
        let endpoint = reader.optional("ARCHIVE_ENDPOINT");
        let region = reader.default("ARCHIVE_REGION", REGION_DEFAULT.to_owned());
        let name: Option<String> = reader.optional("ARCHIVE_ACCESS_KEY_ID");
        let secret = reader.optional_secret("ARCHIVE_SECRET_ACCESS_KEY");
        let age_seconds = reader.default("ARCHIVE_MAX_AGE_SECONDS", AGE_SECONDS_DEFAULT);
        let url = url?;
        if !(1..=AGE_SECONDS_MAX).contains(&age_seconds) {
            reader.fault("ARCHIVE_MAX_AGE_SECONDS", format!("must be from 1 to {AGE_SECONDS_MAX}"));
        }
        if !url.starts_with("file:///") && !url.starts_with("s3://") {
            reader.fault("ARCHIVE_URL", "must be like file:///folder or s3://bucket/prefix");
        }
        if url.starts_with("s3://") && (name.is_none() || secret.is_none()) {
            reader.fault("ARCHIVE_ACCESS_KEY_ID", "is needed for a bucket, with ARCHIVE_SECRET_ACCESS_KEY");
        }
        Some(Self { url, endpoint, region, login: name.zip(secret), age_max: Duration::from_secs(age_seconds) })
    }

    /// A local folder, by its absolute path.
    pub fn folder(path: &std::path::Path) -> Self {
        Self {
            url: format!("file://{}", path.display()),
            endpoint: None,
            region: REGION_DEFAULT.to_owned(),
            login: None,
            age_max: Duration::from_secs(AGE_SECONDS_DEFAULT),
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
        assert_eq!(read(&[("ARCHIVE_URL", "file:///a")]).unwrap().unwrap().url, "file:///a");
        assert!(read(&[("ARCHIVE_URL", "/a")]).unwrap_err().contains("file:///folder"));
        let bucket =
            [("ARCHIVE_URL", "s3://b/p"), ("ARCHIVE_ACCESS_KEY_ID", "u"), ("ARCHIVE_SECRET_ACCESS_KEY", "hunter2")];
        assert!(read(&bucket[..2]).unwrap_err().contains("ARCHIVE_SECRET_ACCESS_KEY"));
        let config = read(&bucket).unwrap().unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
