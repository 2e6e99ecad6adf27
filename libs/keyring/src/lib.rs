//! Keys that two services share: of the calls of a caller to a callee, and of links in mails; and those of tokens that one
//! service derives for itself. Derived from a master by HKDF; a service has those of its own pairs and its own tokens alone.
//!
//! Must not sign, verify or read a file.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use agora_vocab::Secret;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// Salt of every derivation. Not secret; a change of it changes every key.
const SALT: &[u8] = b"agora internal keys, version 1";

/// Length of a key before its encoding, in bytes.
const KEY_BYTES: usize = 32;

/// The keys that a text holds. In every list the first key signs, and each verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Source);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// Keys of all pairs, derived when they are needed.
    Masters(Vec<Secret>),
    /// Keys of some pairs, by `caller>callee`.
    Own { calls: BTreeMap<String, Vec<Secret>>, links: Vec<Secret>, tokens: Vec<Secret> },
}

/// The text of a service's own keys.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    calls: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    links: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<String>,
}

impl KeySet {
    /// Reads a text: a JSON object holds a service's own keys, any other text is a master or several with commas between. An
    /// object that cannot be read holds no key, so that nothing is signed or accepted.
    pub fn parse(text: &Secret) -> Self {
        if !text.expose().trim_start().starts_with('{') {
            let masters = text.expose().split(',').map(str::trim).filter(|master| !master.is_empty());
            return Self(Source::Masters(masters.map(Secret::new).collect()));
        }
        let Document { calls, links, tokens } = serde_json::from_str(text.expose()).unwrap_or_default();
        let secrets = |keys: Vec<String>| -> Vec<Secret> { keys.into_iter().map(Secret::new).collect() };
        let calls = calls.into_iter().map(|(pair, keys)| (pair, secrets(keys))).collect();
        Self(Source::Own { calls, links: secrets(links), tokens: secrets(tokens) })
    }

    /// Keys of the calls of `caller` to `callee`; empty if the text holds none.
    pub fn of_calls(&self, caller: &str, callee: &str) -> Vec<Secret> {
        match &self.0 {
            Source::Masters(masters) => derived_from_each(masters, &["call", caller, callee]),
            Source::Own { calls, .. } => calls.get(&pair(caller, callee)).cloned().unwrap_or_default(),
        }
    }

    /// Keys of the tokens of links in mails; empty if the text holds none.
    pub fn of_links(&self) -> Vec<Secret> {
        match &self.0 {
            Source::Masters(masters) => derived_from_each(masters, &["links"]),
            Source::Own { links, .. } => links.clone(),
        }
    }

    /// Keys of the tokens that `service` derives for itself; empty if the text holds none.
    pub fn of_tokens(&self, service: &str) -> Vec<Secret> {
        match &self.0 {
            Source::Masters(masters) => derived_from_each(masters, &["tokens", service]),
            Source::Own { tokens, .. } => tokens.clone(),
        }
    }

    /// The text of a service that has the keys of these pairs of caller and callee alone, those of links if `links`, and
    /// those of the tokens of the service `tokens`.
    pub fn restricted<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        links: bool,
        tokens: Option<&str>,
    ) -> Secret {
        let texts = |keys: Vec<Secret>| -> Vec<String> { keys.iter().map(|key| key.expose().to_owned()).collect() };
        let calls =
            pairs.into_iter().map(|(caller, callee)| (pair(caller, callee), texts(self.of_calls(caller, callee))));
        let links = if links { texts(self.of_links()) } else { Vec::new() };
        let tokens = tokens.map(|service| texts(self.of_tokens(service))).unwrap_or_default();
        let document = Document { calls: calls.collect(), links, tokens };
        Secret::new(serde_json::to_string(&document).unwrap_or_default())
    }
}

/// The keys of a text that may change: parsed when it has.
#[derive(Debug, Default)]
pub struct ParsedKeys(Mutex<Option<(Secret, Arc<KeySet>)>>);

impl ParsedKeys {
    /// The keys of `text`.
    pub fn of(&self, text: &Secret) -> Arc<KeySet> {
        let mut parsed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, keys)) = &*parsed
            && known == text
        {
            return keys.clone();
        }
        let keys = Arc::new(KeySet::parse(text));
        *parsed = Some((text.clone(), keys.clone()));
        keys
    }
}

fn pair(caller: &str, callee: &str) -> String {
    format!("{caller}>{callee}")
}

fn derived_from_each(masters: &[Secret], purpose: &[&str]) -> Vec<Secret> {
    masters.iter().filter_map(|master| derived(master, purpose)).collect()
}

/// `None` does not happen: the length is a valid one.
fn derived(master: &Secret, purpose: &[&str]) -> Option<Secret> {
    // A zero byte ends each part, so that no two lists of parts give the same text.
    let info: Vec<u8> = purpose.iter().flat_map(|part| part.bytes().chain([0])).collect();
    let info = [info.as_slice()];
    let master = Salt::new(HKDF_SHA256, SALT).extract(master.expose().as_bytes());
    let mut key = [0; KEY_BYTES];
    master.expand(&info, HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(key)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use agora_vocab::Secret;

    use super::{KeySet, ParsedKeys};

    fn masters(text: &str) -> KeySet {
        KeySet::parse(&Secret::new(text))
    }

    fn first(keys: &KeySet, caller: &str, callee: &str) -> String {
        keys.of_calls(caller, callee)[0].expose().to_owned()
    }

    #[test]
    fn gw10_each_pair_each_direction_and_each_purpose_has_a_key_of_its_own() {
        let keys = masters("one");
        let links = keys.of_links()[0].expose().to_owned();
        let calls = [("order", "catalog"), ("order", "payment"), ("payment", "order"), ("orderc", "atalog")];
        let all: BTreeSet<_> =
            calls.map(|(caller, callee)| first(&keys, caller, callee)).into_iter().chain([links]).collect();
        assert_eq!(all.len(), 5);
        let of_cart = keys.of_tokens("cart")[0].expose().to_owned();
        assert!(!all.contains(&of_cart) && of_cart != keys.of_tokens("order")[0].expose());
        assert_eq!(first(&keys, "order", "catalog"), first(&masters("one"), "order", "catalog"));
        assert_ne!(first(&keys, "order", "catalog"), first(&masters("two"), "order", "catalog"));
    }

    #[test]
    fn gw10_the_text_of_a_service_holds_its_own_pairs_and_no_master() {
        let all = masters("master-1, master-2");
        let text = all.restricted([("order", "catalog"), ("cart", "catalog")], false, None);
        assert!(!text.expose().contains("master"), "{}", text.expose());
        let own = KeySet::parse(&text);
        for caller in ["order", "cart"] {
            assert_eq!(own.of_calls(caller, "catalog"), all.of_calls(caller, "catalog"));
            assert_eq!(own.of_calls(caller, "catalog").len(), 2, "one of each master");
        }
        assert!(own.of_calls("order", "payment").is_empty() && own.of_links().is_empty());
        assert!(own.of_tokens("cart").is_empty());
        assert_eq!(KeySet::parse(&all.restricted([], true, None)).of_links(), all.of_links());
        let tokens = KeySet::parse(&all.restricted([], false, Some("cart"))).of_tokens("cart");
        assert_eq!((tokens.len(), &tokens), (2, &all.of_tokens("cart")));
    }

    #[test]
    fn gw10_a_text_that_cannot_be_read_holds_no_key() {
        for text in ["", " , ", "{", "{\"calls\": 1}", "{\"other\": {}}"] {
            let keys = masters(text);
            assert!(keys.of_calls("order", "catalog").is_empty() && keys.of_links().is_empty(), "{text}");
            assert!(keys.of_tokens("cart").is_empty(), "{text}");
        }
    }

    #[test]
    fn a_changed_text_is_parsed_again() {
        let (parsed, one, two) = (ParsedKeys::default(), Secret::new("one"), Secret::new("two"));
        assert_eq!(*parsed.of(&one), masters("one"));
        assert_eq!(*parsed.of(&two), masters("two"));
        assert_eq!(*parsed.of(&two), masters("two"));
    }
}
