//! Documents that are known by the hash of their text, as Apollo clients send them. Must not know the schema.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use agora_chassis::WatchedFile;
use aws_lc_rs::digest::{SHA256, digest};

/// The list of documents, read again when its file changes. Clones share it.
#[derive(Clone, Debug)]
pub struct PersistedDocuments {
    file: Option<WatchedFile>,
    read: Arc<Mutex<ReadFile>>,
}

#[derive(Debug)]
struct ReadFile {
    text: Arc<str>,
    by_hash: Arc<ByHash>,
}

/// Documents by the SHA-256 of their text, in hexadecimal.
type ByHash = BTreeMap<String, Arc<str>>;

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListFault {
    #[error("must be a JSON object of documents by the SHA-256 of their text")]
    NoObject(#[source] serde_json::Error),
    #[error("the document under {hash} has another SHA-256: {actual}")]
    OtherHash {
        hash: String,
        /// The SHA-256 of the document.
        actual: String,
    },
}

impl PersistedDocuments {
    /// Reads the list; without a file it is empty.
    pub fn open(file: Option<WatchedFile>) -> Result<Self, ListFault> {
        let text = file.as_ref().map_or_else(|| Arc::from("{}"), WatchedFile::current);
        let by_hash = Arc::new(parse(&text)?);
        Ok(Self { file, read: Arc::new(Mutex::new(ReadFile { text, by_hash })) })
    }

    /// The document with this hash. After a change of the file that makes it unusable, the list stays as it was.
    pub fn find(&self, hash: &str) -> Option<Arc<str>> {
        let by_hash = {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = &self.file {
                read.follow(file.current());
            }
            read.by_hash.clone()
        };
        by_hash.get(&hash.to_ascii_lowercase()).cloned()
    }
}

impl ReadFile {
    fn follow(&mut self, text: Arc<str>) {
        if Arc::ptr_eq(&text, &self.text) {
            return;
        }
        match parse(&text) {
            Ok(by_hash) => self.by_hash = Arc::new(by_hash),
            Err(error) => tracing::warn!(%error, "the list of persisted documents is not usable; the last one stays"),
        }
        self.text = text;
    }
}

fn parse(text: &str) -> Result<ByHash, ListFault> {
    let listed: BTreeMap<String, Arc<str>> = serde_json::from_str::<BTreeMap<String, String>>(text)
        .map_err(ListFault::NoObject)?
        .into_iter()
        .map(shared)
        .collect();
    for (hash, document) in &listed {
        let actual = sha256(document);
        if *hash != actual {
            return Err(ListFault::OtherHash { hash: hash.clone(), actual });
        }
    }
    Ok(listed)
}

fn shared((hash, document): (String, String)) -> (String, Arc<str>) {
    (hash.to_ascii_lowercase(), document.into())
}

/// The SHA-256 of a text, in hexadecimal.
pub fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use agora_chassis::WatchedFile;
    use serde_json::json;

    use super::{PersistedDocuments, sha256};

    #[test]
    fn gw4_a_document_is_found_by_the_hash_of_its_text() {
        let hash = sha256("{ me { id } }");
        assert_eq!(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let list =
            PersistedDocuments::open(Some(WatchedFile::fixed(json!({ &hash: "{ me { id } }" }).to_string()))).unwrap();
        assert_eq!(list.find(&hash.to_uppercase()).as_deref(), Some("{ me { id } }"));
        assert_eq!(list.find(&sha256("{ cart { id } }")), None);
        assert_eq!(PersistedDocuments::open(None).unwrap().find(&hash), None);
    }

    #[test]
    fn gw4_a_list_with_a_wrong_hash_is_refused() {
        for list in [json!({ sha256("{ me { id } }"): "{ cart { id } }" }), json!(["{ me { id } }"]), json!({ "x": 1 })]
        {
            assert!(PersistedDocuments::open(Some(WatchedFile::fixed(list.to_string()))).is_err(), "{list}");
        }
    }
}
