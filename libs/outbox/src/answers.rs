//! What was answered, in memory: [`crate::once`] and [`crate::remember`] for the fakes of stores.
//!
//! Knows causes; no database. Whoever holds it sees to it that one at a time works on it.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Cause, StoreError};

/// Answers by cause.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<String, Answered>);

#[derive(Clone, Debug)]
struct Answered {
    hash: Vec<u8>,
    answer: Value,
}

impl Answers {
    /// What was answered to that cause before; `None`: it is news. Refuses a key that was used with another body.
    pub fn recall<T: DeserializeOwned>(&self, cause: &Cause) -> Result<Option<T>, StoreError> {
        let Some((key, hash)) = key(cause) else { return Ok(None) };
        match self.0.get(&key) {
            Some(known) if known.hash != hash => Err(StoreError::KeyReused),
            Some(known) => serde_json::from_value(known.answer.clone()).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// Keeps an answer for the next time.
    pub fn remember<T: Serialize>(&mut self, cause: &Cause, answer: &T) -> Result<(), StoreError> {
        if let Some((key, hash)) = key(cause) {
            self.0.insert(key, Answered { hash, answer: serde_json::to_value(answer).map_err(broken)? });
        }
        Ok(())
    }
}

fn key(cause: &Cause) -> Option<(String, Vec<u8>)> {
    match cause {
        Cause::Request { scope, key, route, hash } => Some((format!("{scope} {route} {key}"), hash.to_vec())),
        Cause::Event { consumer, id } => Some((format!("{consumer} {id}"), Vec::new())),
        Cause::Command { id } => Some((format!("command {id}"), Vec::new())),
        Cause::Fresh => None,
    }
}

fn broken(error: serde_json::Error) -> StoreError {
    StoreError::Broken(error.into())
}
