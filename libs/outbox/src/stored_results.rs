//! Stored results in memory: [`crate::claim_key`] and [`crate::store_result`] for the fakes of stores.
//!
//! Must not touch a database. The owner serialises access.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{DedupKey, StoreError};

/// Results by deduplication key.
#[derive(Clone, Debug, Default)]
pub struct StoredResults(BTreeMap<String, Stored>);

#[derive(Clone, Debug)]
struct Stored {
    hash: Vec<u8>,
    result: Value,
}

impl StoredResults {
    /// The result stored under a key; `None` if the key is new. Fails for a key that was used with another request.
    pub fn find_result<T: DeserializeOwned>(&self, dedup_key: &DedupKey) -> Result<Option<T>, StoreError> {
        let Some((key, hash)) = key(dedup_key) else { return Ok(None) };
        match self.0.get(&key) {
            Some(known) if known.hash != hash => Err(StoreError::KeyReused),
            Some(known) => serde_json::from_value(known.result.clone()).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// Stores the result that a repetition returns.
    pub fn store_result<T: Serialize>(&mut self, dedup_key: &DedupKey, result: &T) -> Result<(), StoreError> {
        if let Some((key, hash)) = key(dedup_key) {
            self.0.insert(key, Stored { hash, result: serde_json::to_value(result).map_err(broken)? });
        }
        Ok(())
    }
}

fn key(dedup_key: &DedupKey) -> Option<(String, Vec<u8>)> {
    match dedup_key {
        DedupKey::Request { scope, key, route, hash } => Some((format!("{scope} {route} {key}"), hash.to_vec())),
        DedupKey::Event { consumer, id } => Some((format!("{consumer} {id}"), Vec::new())),
        DedupKey::Command { id } => Some((format!("command {id}"), Vec::new())),
        DedupKey::None => None,
    }
}

fn broken(error: serde_json::Error) -> StoreError {
    StoreError::Broken(error.into())
}
