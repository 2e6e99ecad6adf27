//! The files of the archive: written whole, listed, read line by line. Knows the store, not the broker.

use std::{io::Read as _, sync::Arc, time::Duration};

use agora_chassis::chain;
use agora_events::Topic;
use agora_kafka::Partition;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{
    ClientOptions, Error as StoreError, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::AmazonS3Builder, local::LocalFileSystem, path::Path, prefix::PrefixStore,
};
use time::{Date, OffsetDateTime};

use crate::{
    Config, Record, Records,
    place::{Place, day_folder, hour_folder, parse_day, topic_folder},
};

/// Level of compression: the library's default, which costs little time.
const LEVEL: i32 = 3;
/// Longest text of a file that is read. The writer's files have a megabyte and one message more.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Written to see whether the store can be used.
const MARKER: &str = "agora-archive.json";
const MARKER_TEXT: &[u8] = b"{\"format\":1}\n";
/// Time limits of a request to the store, and of its repetitions; the caller repeats it again.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
const REQUEST_TIME_MAX: Duration = Duration::from_secs(20);
const RETRY_TIME_MAX: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 2;

/// Why the archive could not be used. The text names the remedy and never contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is not usable.
    #[error("the archive cannot be opened: correct ARCHIVE_URL and the settings beside it (spec.archive)")]
    Settings(#[source] StoreError),
    /// The folder of `ARCHIVE_URL` cannot be created.
    #[error("the archive's folder cannot be created: correct ARCHIVE_URL, or grant this user the right to write there")]
    Folder(#[source] std::io::Error),
    /// There is no such bucket or folder.
    #[error(
        "the archive's bucket or folder does not exist: create it, or correct ARCHIVE_URL (spec.archive.s3.bucket)"
    )]
    Missing(#[source] StoreError),
    /// The store rejects the login, or the login lacks a right.
    #[error(
        "the archive's store rejects the access key: correct the Secret of spec.archive.s3.secretRef, and allow its key to list, \
         get, put and delete objects of the bucket"
    )]
    Rejected(#[source] StoreError),
    /// The store does not answer, or fails.
    #[error(
        "the archive's store does not answer or fails: check ARCHIVE_ENDPOINT (spec.archive.s3.endpoint), the store and the \
         network policies"
    )]
    Unavailable(#[source] StoreError),
    /// A file is not compressed lines of records.
    #[error("a file of the archive is not readable, remove or restore it: {path}")]
    Unreadable {
        /// The path of the file in the archive.
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        // The failure of a list carries its status as text alone.
        let text = chain(&error);
        let has_status = |status: &str| text.contains(&format!("status code: {status}"));
        match error {
            StoreError::NotFound { .. } => Self::Missing(error),
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Self::Rejected(error),
            _ if has_status("404") => Self::Missing(error),
            _ if has_status("401") || has_status("403") => Self::Rejected(error),
            _ => Self::Unavailable(error),
        }
    }
}

/// An archive. Clones share connections.
#[derive(Clone, Debug)]
pub struct Archive(Arc<dyn ObjectStore>);

impl Archive {
    /// Opens the archive; creates the folder of a local one. Asks nothing of a bucket.
    pub fn open(config: &Config) -> Result<Self, Error> {
        if let Some(folder) = config.url.strip_prefix("file://") {
            std::fs::create_dir_all(folder).map_err(Error::Folder)?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(Error::Settings)?;
            return Ok(Self(Arc::new(store.with_automatic_cleanup(true).with_fsync(true))));
        }
        let (bucket, prefix) = bucket_and_prefix(&config.url);
        let client = ClientOptions::new().with_connect_timeout(CONNECT_TIME_MAX).with_timeout(REQUEST_TIME_MAX);
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME_MAX, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(&config.region).with_retry(retry);
        let endpoint = config.endpoint.as_deref();
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        builder = builder.with_client_options(client.with_allow_http(is_plain));
        if let Some((name, secret)) = &config.login {
            builder = builder.with_access_key_id(name).with_secret_access_key(secret.current().expose());
        }
        let store = builder.build().map_err(Error::Settings)?;
        Ok(Self(Arc::new(PrefixStore::new(store, prefix))))
    }

    /// Fails if files cannot be stored and listed: the store does not answer, the bucket does not exist, or the login is rejected.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        // First, because there are stores that create an absent bucket with its first file.
        self.0.list(None).next().await.transpose()?;
        self.0.put(&Path::from(MARKER), PutPayload::from_static(MARKER_TEXT)).await?;
        Ok(())
    }

    /// Stores a file, whole or not at all. The same place always has the same lines.
    pub(crate) async fn put(&self, place: &Place, lines: &[u8]) -> Result<(), Error> {
        let path = place.path();
        let compressed = zstd::encode_all(lines, LEVEL).map_err(|source| unreadable(&path, source))?;
        self.0.put(&Path::from(path), PutPayload::from(compressed)).await?;
        Ok(())
    }

    /// First and last offset of each file of a partition and an hour.
    pub(crate) async fn ranges(&self, partition: Partition, hour: OffsetDateTime) -> Result<Vec<(i64, i64)>, Error> {
        let places = self.places(&hour_folder(partition.topic, hour)).await?;
        let of_partition = places.into_iter().filter(|place| place.partition == partition.number);
        Ok(of_partition.map(|place| (place.first, place.last)).collect())
    }

    /// The days with events of a topic, in UTC.
    pub async fn days(&self, topic: Topic) -> Result<Vec<Date>, Error> {
        let folder = Path::from(topic_folder(topic));
        let mut days: Vec<Date> =
            self.0.list_with_delimiter(Some(&folder)).await?.common_prefixes.iter().filter_map(day_of).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// The files of a topic's day, by hour, partition and offset.
    pub(crate) async fn places_of_day(&self, topic: Topic, day: Date) -> Result<Vec<Place>, Error> {
        self.places(&day_folder(topic, day)).await
    }

    /// The messages of a topic whose time is from `from` to before `to`, each once.
    pub async fn records(&self, topic: Topic, from: OffsetDateTime, to: OffsetDateTime) -> Result<Records, Error> {
        Records::open(self.clone(), topic, (from, to)).await
    }

    /// Deletes the files of a topic's day. Returns their number.
    pub(crate) async fn delete_day(&self, topic: Topic, day: Date) -> Result<usize, Error> {
        let found = self.0.list(Some(&Path::from(day_folder(topic, day)))).map_ok(|file| file.location).boxed();
        let deleted: Vec<Path> = self.0.delete_stream(found).try_collect().await?;
        Ok(deleted.len())
    }

    /// The records of a file, in the order of their offsets.
    pub(crate) async fn read(&self, place: &Place) -> Result<Vec<Record>, Error> {
        let path = place.path();
        let compressed = self.0.get(&Path::from(path.as_str())).await?.bytes().await?;
        let mut text = Vec::new();
        let decoder = zstd::Decoder::new(&*compressed).map_err(|source| unreadable(&path, source))?;
        decoder.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(|source| unreadable(&path, source))?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| unreadable(&path, error.into()))).collect()
    }

    async fn places(&self, folder: &str) -> Result<Vec<Place>, Error> {
        let listed: Vec<_> = self.0.list(Some(&Path::from(folder))).try_collect().await?;
        let mut places: Vec<Place> = listed.iter().filter_map(|file| Place::parse(file.location.as_ref())).collect();
        places.sort_unstable();
        Ok(places)
    }
}

fn day_of(folder: &Path) -> Option<Date> {
    parse_day(folder.as_ref())
}

fn unreadable(path: &str, source: std::io::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), source }
}

fn bucket_and_prefix(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("s3://").unwrap_or(url);
    rest.split_once('/').unwrap_or((rest, ""))
}

#[cfg(test)]
mod tests {
    use agora_events::topics;
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_bucket_may_have_a_prefix() {
        assert_eq!(bucket_and_prefix("s3://b/shop/main"), ("b", "shop/main"));
        assert_eq!(bucket_and_prefix("s3://b"), ("b", ""));
    }

    #[tokio::test]
    async fn a_file_reads_back_and_a_day_is_deleted_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(&Config::folder(&folder.path().join("new"))).unwrap();
        archive.check().await.unwrap();
        let hour = datetime!(2026-01-01 23:00 UTC);
        let place = |hour| Place { topic: topics::ORDER, hour, partition: 1, first: 7, last: 8 };
        let line =
            |offset| format!("{{\"topic\":\"order-events\",\"partition\":1,\"offset\":{offset},\"event\":{{}}}}\n");
        let next_day = place(hour + Duration::from_hours(1));
        archive.put(&place(hour), [line(7), line(8)].concat().as_bytes()).await.unwrap();
        archive.put(&next_day, line(7).as_bytes()).await.unwrap();
        let offsets: Vec<_> = archive.read(&place(hour)).await.unwrap().iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [7, 8]);
        assert_eq!(archive.days(topics::ORDER).await.unwrap(), [date!(2026 - 01 - 01), date!(2026 - 01 - 02)]);
        assert!(archive.days(topics::USER).await.unwrap().is_empty());
        let partition = |number| Partition { topic: topics::ORDER, number };
        assert_eq!(archive.ranges(partition(1), hour).await.unwrap(), [(7, 8)]);
        assert!(archive.ranges(partition(2), hour).await.unwrap().is_empty());
        assert_eq!(archive.delete_day(topics::ORDER, date!(2026 - 01 - 01)).await.unwrap(), 1);
        assert_eq!(archive.days(topics::ORDER).await.unwrap(), [date!(2026 - 01 - 02)]);
        assert!(matches!(archive.read(&place(hour)).await, Err(Error::Missing(_))));
        archive.put(&place(hour), b"no record").await.unwrap();
        assert!(matches!(archive.read(&place(hour)).await, Err(Error::Unreadable { .. })));
    }
}
