//! The environment as typed settings: every fault at once, each with its remedy. Knows names and how to parse; it must
//! not know what a setting is for, and never repeats a value, which might be a secret in the wrong place.

use std::{collections::BTreeMap, fmt::Display, io, path::PathBuf, str::FromStr};

use crate::watched::{WatchedFile, WatchedSecret};

/// Reads the settings of one service. `<SERVICE>_<NAME>` wins over `<NAME>`; an empty value counts as not set.
///
/// A fault does not end the reading: the reader keeps it and returns a stand-in, and [`settings`] then returns every
/// fault instead of what was read.
pub struct Reader {
    service: &'static str,
    prefix: String,
    pairs: BTreeMap<String, String>,
    names: Vec<&'static str>,
    faults: Vec<Fault>,
}

/// Everything that is wrong with the environment of one service.
#[derive(Debug, thiserror::Error)]
#[error("the environment of `{service}` is not usable:\n{}", lines(faults))]
pub struct Faults {
    /// The service whose settings were read.
    pub service: &'static str,
    /// Each fault, in the order of reading.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with the environment, and how to put it right. Holds no value.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A required setting is absent.
    #[error("{name} is not set: set {name}, or {specific} for this service alone")]
    Missing {
        /// The common name.
        name: &'static str,
        /// The name for this service alone.
        specific: String,
    },
    /// A required secret is absent.
    #[error("{name} is not set: set {name}_FILE to the path of a file that holds it, or {name} itself")]
    MissingSecret {
        /// The common name.
        name: &'static str,
    },
    /// A value does not parse.
    #[error("{name} has a value that cannot be used: {reason}")]
    Unusable {
        /// The name that held it.
        name: String,
        /// What the parser said.
        reason: String,
    },
    /// A secret is given twice.
    #[error("{name} and {name}_FILE are both set: remove one of them")]
    Both {
        /// The name without `_FILE`.
        name: String,
    },
    /// A file cannot be read.
    #[error("{name} names {}, which cannot be read: {error}", path.display())]
    File {
        /// The name that held the path.
        name: String,
        path: PathBuf,
        error: io::Error,
    },
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n")
}

/// Reads the settings of `service` from the process's environment.
pub fn settings<C>(service: &'static str, read: impl FnOnce(&mut Reader) -> C) -> Result<C, Faults> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    settings_from(service, &std::env::vars_os().filter_map(text).collect(), read)
}

/// Reads the settings of `service` from `pairs`.
pub fn settings_from<C>(
    service: &'static str,
    pairs: &BTreeMap<String, String>,
    read: impl FnOnce(&mut Reader) -> C,
) -> Result<C, Faults> {
    let mut reader = Reader::new(service, pairs.clone());
    let settings = read(&mut reader);
    if reader.faults.is_empty() { Ok(settings) } else { Err(Faults { service, faults: reader.faults }) }
}

/// The common names that `read` asks for, each once, in order: what the table of environment names must list.
pub fn names_read<C>(read: impl FnOnce(&mut Reader) -> C) -> Vec<&'static str> {
    let mut reader = Reader::new("service", BTreeMap::new());
    read(&mut reader);
    reader.names
}

/// Not the values: some are secrets.
impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("service", &self.service).field("names", &self.names).finish_non_exhaustive()
    }
}

impl Reader {
    fn new(service: &'static str, pairs: BTreeMap<String, String>) -> Self {
        let prefix = format!("{}_", service.to_ascii_uppercase().replace('-', "_"));
        Self { service, prefix, pairs, names: Vec::new(), faults: Vec::new() }
    }

    /// The service whose settings are read.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// A setting that must be there.
    pub fn required<T>(&mut self, name: &'static str) -> T
    where
        T: FromStr<Err: Display> + Default,
    {
        let faults_before = self.faults.len();
        let value = self.optional(name);
        if value.is_none() && self.faults.len() == faults_before {
            self.faults.push(Fault::Missing { name, specific: format!("{}{name}", self.prefix) });
        }
        value.unwrap_or_default()
    }

    /// A setting that may be absent.
    pub fn optional<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.asked(name);
        let (found, text) = self.find(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.faults.push(Fault::Unusable { name: found, reason: error.to_string() });
                None
            }
        }
    }

    /// A setting with a value for when it is absent.
    pub fn default<T>(&mut self, name: &'static str, value: T) -> T
    where
        T: FromStr<Err: Display>,
    {
        self.optional(name).unwrap_or(value)
    }

    /// A secret that must be there, in `<NAME>` or in the file that `<NAME>_FILE` names.
    pub fn secret(&mut self, name: &'static str) -> WatchedSecret {
        let faults_before = self.faults.len();
        let secret = self.optional_secret(name);
        if secret.is_none() && self.faults.len() == faults_before {
            self.faults.push(Fault::MissingSecret { name });
        }
        secret.unwrap_or_else(|| WatchedSecret::fixed(""))
    }

    /// A secret that may be absent. What is set for this service alone wins, be it the value or the file.
    pub fn optional_secret(&mut self, name: &'static str) -> Option<WatchedSecret> {
        self.asked(name);
        [format!("{}{name}", self.prefix), name.to_owned()].into_iter().find_map(|name| self.secret_named(name))
    }

    /// A file that must be there: `name` holds its path ("JWKS_FILE").
    pub fn file(&mut self, name: &'static str) -> WatchedFile {
        let faults_before = self.faults.len();
        let file = self.optional_file(name);
        if file.is_none() && self.faults.len() == faults_before {
            self.faults.push(Fault::Missing { name, specific: format!("{}{name}", self.prefix) });
        }
        file.unwrap_or_else(|| WatchedFile::fixed(""))
    }

    /// A file that may be absent: `name` holds its path. A path that is given must be readable.
    pub fn optional_file(&mut self, name: &'static str) -> Option<WatchedFile> {
        self.asked(name);
        let (found, path) = self.find(name)?;
        self.open(found, path)
    }

    /// Notes a fault that only the reading code can see: two settings that do not go together.
    pub fn fault(&mut self, name: &'static str, reason: impl Into<String>) {
        self.faults.push(Fault::Unusable { name: name.to_owned(), reason: reason.into() });
    }

    fn secret_named(&mut self, name: String) -> Option<WatchedSecret> {
        let (value, file) = (self.get(&name), self.get(&format!("{name}_FILE")));
        match (value, file) {
            (Some(_), Some(_)) => {
                self.faults.push(Fault::Both { name });
                Some(WatchedSecret::fixed(""))
            }
            (Some(value), None) => Some(WatchedSecret::fixed(value)),
            (None, Some(path)) => {
                let file = self.open(format!("{name}_FILE"), path);
                Some(file.map_or_else(|| WatchedSecret::fixed(""), WatchedSecret::in_file))
            }
            (None, None) => None,
        }
    }

    fn open(&mut self, name: String, path: String) -> Option<WatchedFile> {
        let path = PathBuf::from(path);
        match WatchedFile::open(&path) {
            Ok(file) => Some(file),
            Err(error) => {
                self.faults.push(Fault::File { name, path, error });
                None
            }
        }
    }

    fn find(&self, name: &str) -> Option<(String, String)> {
        [format!("{}{name}", self.prefix), name.to_owned()].into_iter().find_map(|name| {
            let value = self.get(&name)?;
            Some((name, value))
        })
    }

    fn get(&self, name: &str) -> Option<String> {
        self.pairs.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn asked(&mut self, name: &'static str) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Reader, names_read, settings_from};

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn read(reader: &mut Reader) -> (u16, String, Option<u32>, agora_vocab::Secret) {
        let port = reader.default("PORT", 3002);
        let url = reader.required("CATALOG_URL");
        let window = reader.optional("WINDOW_SECONDS");
        (port, url, window, reader.secret("DATABASE_URL").current())
    }

    #[test]
    fn de6_a_name_of_the_service_wins_over_the_common_one_and_empty_is_not_set() {
        let environment = pairs(&[
            ("PORT", "1"),
            ("CART_PORT", "2"),
            ("CATALOG_URL", "http://catalog:3002"),
            ("WINDOW_SECONDS", ""),
            ("DATABASE_URL", "postgres://common"),
            ("CART_DATABASE_URL", "postgres://cart"),
        ]);
        let (port, url, window, database) = settings_from("cart", &environment, read).unwrap();
        assert_eq!((port, url.as_str(), window), (2, "http://catalog:3002", None));
        assert_eq!(database.expose(), "postgres://cart");
    }

    #[test]
    fn de6_every_fault_is_listed_at_once_with_its_remedy() {
        let environment = pairs(&[("PORT", "none"), ("CART_WINDOW_SECONDS", "-1")]);
        let faults = settings_from("cart", &environment, read).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "the environment of `cart` is not usable:
  - PORT has a value that cannot be used: invalid digit found in string
  - CATALOG_URL is not set: set CATALOG_URL, or CART_CATALOG_URL for this service alone
  - CART_WINDOW_SECONDS has a value that cannot be used: invalid digit found in string
  - DATABASE_URL is not set: set DATABASE_URL_FILE to the path of a file that holds it, or DATABASE_URL itself"
        );
    }

    #[test]
    fn a_secret_in_a_file_is_read_and_one_given_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, "postgres://file\n").unwrap();
        let path = path.to_str().unwrap();

        let file_alone = pairs(&[("DATABASE_URL_FILE", path)]);
        let secret = settings_from("cart", &file_alone, |r| r.secret("DATABASE_URL")).unwrap();
        assert_eq!(secret.current().expose(), "postgres://file");

        let specific_value_over_common_file = pairs(&[("DATABASE_URL_FILE", path), ("CART_DATABASE_URL", "x")]);
        let secret = settings_from("cart", &specific_value_over_common_file, |r| r.secret("DATABASE_URL")).unwrap();
        assert_eq!(secret.current().expose(), "x");

        let twice = pairs(&[("DATABASE_URL_FILE", path), ("DATABASE_URL", "hunter2")]);
        let faults = settings_from("cart", &twice, |r| r.secret("DATABASE_URL")).unwrap_err().to_string();
        assert!(faults.contains("DATABASE_URL and DATABASE_URL_FILE are both set: remove one of them"), "{faults}");
        assert!(!faults.contains("hunter2"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let environment = pairs(&[("JWKS_FILE", "/nowhere/jwks.json")]);
        let faults = settings_from("cart", &environment, |r| r.file("JWKS_FILE")).unwrap_err().to_string();
        assert!(faults.contains("JWKS_FILE names /nowhere/jwks.json, which cannot be read: No such file"), "{faults}");
    }

    #[test]
    fn no_fault_repeats_a_value_and_no_debug_output_a_secret() {
        let environment = pairs(&[("PORT", "hunter2"), ("DATABASE_URL", "hunter2")]);
        let faults = settings_from("cart", &environment, read).unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains("hunter2"));
    }

    #[test]
    fn the_names_that_are_read_can_be_listed() {
        assert_eq!(names_read(read), ["PORT", "CATALOG_URL", "WINDOW_SECONDS", "DATABASE_URL"]);
    }
}
