//! The files of the archive: written whole, listed by hour, read line by line. Knows the store, not the broker.

use std::{collections::BTreeSet, io::Read as _, sync::Arc};

use agora_events::Topic;
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutPayload, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use time::{Duration, OffsetDateTime};

use crate::{
    Config, Record,
    place::{Place, hour_folder, hour_of},
};

/// Level of compression: the library's default, which costs little time.
const LEVEL: i32 = 3;
/// Longest text of a file that is read.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why the archive could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `ARCHIVE_URL` or a setting beside it is not usable.
    #[error("the archive's address or login is not usable")]
    Settings(#[source] object_store::Error),
    /// The folder of `ARCHIVE_URL` cannot be created.
    #[error("the archive's folder cannot be created")]
    Folder(#[source] std::io::Error),
    /// The store did not take or return a file.
    #[error("the archive's store failed")]
    Store(#[from] object_store::Error),
    /// A file is not compressed lines of records.
    #[error("a file of the archive is not readable: {path}")]
    Unreadable {
        /// The path of the file in the archive.
        path: String,
        #[source]
        source: std::io::Error,
    },
}

/// An archive. Clones share connections.
#[derive(Clone, Debug)]
pub struct Archive(Arc<dyn ObjectStore>);

impl Archive {
    /// Opens the archive; creates the folder of a local one. A bucket is not asked yet.
    pub fn open(config: &Config) -> Result<Self, Error> {
        if let Some(folder) = config.url.strip_prefix("file://") {
            std::fs::create_dir_all(folder).map_err(Error::Folder)?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(Error::Settings)?;
            return Ok(Self(Arc::new(store.with_automatic_cleanup(true))));
        }
        let (bucket, prefix) = bucket_and_prefix(&config.url);
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(&config.region);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some((name, secret)) = &config.login {
            builder = builder.with_access_key_id(name).with_secret_access_key(secret.current().expose());
        }
        let store = builder.build().map_err(Error::Settings)?;
        Ok(Self(Arc::new(PrefixStore::new(store, prefix))))
    }

    /// Stores a file, whole or not at all; replaces an earlier one of the same place.
    pub(crate) async fn put(&self, place: &Place, lines: &[u8]) -> Result<(), Error> {
        let path = place.path();
        let compressed = zstd::encode_all(lines, LEVEL).map_err(|source| unreadable(&path, source))?;
        self.0.put(&Path::from(path), PutPayload::from(compressed)).await?;
        Ok(())
    }

    /// The files of a topic with events from `from` to before `to`, by hour, partition and offset.
    pub async fn files(&self, topic: Topic, from: OffsetDateTime, to: OffsetDateTime) -> Result<Vec<String>, Error> {
        let mut found = BTreeSet::new();
        let mut hour = hour_of(from);
        while hour < to {
            let folder = Path::from(hour_folder(topic, hour));
            let listed: Vec<_> = self.0.list(Some(&folder)).try_collect().await?;
            found.extend(listed.iter().filter_map(|file| Place::parse(file.location.as_ref())));
            hour += Duration::hours(1);
        }
        Ok(found.iter().map(Place::path).collect())
    }

    /// The records of a file that [`Archive::files`] found, in the order of their offsets.
    pub async fn read(&self, path: &str) -> Result<Vec<Record>, Error> {
        let compressed = self.0.get(&Path::from(path)).await?.bytes().await?;
        let mut text = Vec::new();
        let decoder = zstd::Decoder::new(&*compressed).map_err(|source| unreadable(path, source))?;
        decoder.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(|source| unreadable(path, source))?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(|error| unreadable(path, error.into()))).collect()
    }
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
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_bucket_may_have_a_prefix() {
        assert_eq!(bucket_and_prefix("s3://b/shop/main"), ("b", "shop/main"));
        assert_eq!(bucket_and_prefix("s3://b"), ("b", ""));
    }

    #[tokio::test]
    async fn a_file_reads_back_and_is_found_by_its_hour_alone() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::open(&Config::folder(&folder.path().join("new"))).unwrap();
        let hour = datetime!(2026-01-01 05:00 UTC);
        let place = |offset, hour| Place { topic: topics::ORDER, hour, partition: 1, offset };
        let line = br#"{"topic":"order-events","partition":1,"offset":7,"event":{"a":1}}"#;
        archive.put(&place(7, hour), b"replaced").await.unwrap();
        archive.put(&place(7, hour), &[line.as_slice(), b"\n", line].concat()).await.unwrap();
        archive.put(&place(2, hour + Duration::hours(1)), line).await.unwrap();
        let found = |from, to| archive.files(topics::ORDER, from, to);
        assert_eq!(found(hour, hour + Duration::seconds(1)).await.unwrap(), [place(7, hour).path()]);
        assert_eq!(found(hour - Duration::hours(2), hour).await.unwrap(), [""; 0]);
        assert_eq!(found(hour, hour + Duration::hours(3)).await.unwrap().len(), 2);
        assert_eq!(archive.files(topics::USER, hour, hour + Duration::hours(3)).await.unwrap(), [""; 0]);
        let records = archive.read(&place(7, hour).path()).await.unwrap();
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [7, 7]);
        assert!(matches!(archive.read("topic=x/y").await, Err(Error::Store(_))));
    }
}
