//! Settings of the catalog service, read from the environment. Depends on no other module of the service.

use std::time::Duration;

use agora_chassis::{Ports, Reader, WatchedSecret};
use agora_vocab::{AssetBase, Epoch, is_language_tag};
use agora_web::TokenSettings;

/// Shortest and longest time between two promotions, in seconds.
const PROMOTION_SECONDS_MIN: u32 = 60;
const PROMOTION_SECONDS_MAX: u32 = 2_592_000;

const PROMOTION_TITLE: &str = "Recommended this week";
const PROMOTION_TITLE_CHARACTERS_MAX: usize = 100;

const DEFAULT_LANGUAGE: &str = "en";

/// All settings of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports to listen on: public, internal and admin.
    pub ports: Ports,
    /// Connection settings of the PostgreSQL database.
    pub postgres: agora_postgres::Config,
    /// Connection settings of the Kafka brokers.
    pub kafka: agora_kafka::Config,
    /// Issuer, audience and keys that access tokens are verified with.
    pub tokens: TokenSettings,
    /// Shared secret that internal callers sign requests with; re-read when its file changes.
    pub internal_secret: WatchedSecret,
    /// Recovery epoch of the database, written into every event; rises with each restore.
    pub epoch: Epoch,
    /// The language of the products' own names and descriptions, a BCP 47 tag.
    pub default_language: String,
    /// The address of the shop's files, such as pictures that are stored by their path.
    pub assets: AssetBase,
    /// Time from the start of one promotion to the start of the next; `None`: there are none.
    pub promotion_every: Option<Duration>,
    /// Title of each promotion: 1 to 100 characters on one line.
    pub promotion_title: String,
}

impl Config {
    /// Reads every setting; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, agora_topology::CATALOG.port, agora_topology::CATALOG.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            default_language: default_language(reader),
            assets: reader.default("ASSET_BASE_URL", AssetBase::default()),
            promotion_every: promotion_every(reader),
            promotion_title: promotion_title(reader),
        }
    }
}

fn default_language(reader: &mut Reader) -> String {
    let tag: String = reader.default("DEFAULT_LANGUAGE", DEFAULT_LANGUAGE.to_owned());
    if !is_language_tag(&tag) {
        reader.fault("DEFAULT_LANGUAGE", "must be a BCP 47 tag like en or de-AT".to_owned());
    }
    tag
}

/// 0 seconds, the default, stand for no promotions.
fn promotion_every(reader: &mut Reader) -> Option<Duration> {
    let seconds: u32 = reader.default("PROMOTION_INTERVAL_SECONDS", 0);
    if seconds != 0 && !(PROMOTION_SECONDS_MIN..=PROMOTION_SECONDS_MAX).contains(&seconds) {
        let bounds = format!("must be 0, or from {PROMOTION_SECONDS_MIN} to {PROMOTION_SECONDS_MAX}");
        reader.fault("PROMOTION_INTERVAL_SECONDS", bounds);
    }
    (seconds != 0).then(|| Duration::from_secs(seconds.into()))
}

fn promotion_title(reader: &mut Reader) -> String {
    let title: String = reader.default("PROMOTION_TITLE", PROMOTION_TITLE.to_owned());
    let title = title.trim().to_owned();
    if !(1..=PROMOTION_TITLE_CHARACTERS_MAX).contains(&title.chars().count()) || title.contains(char::is_control) {
        let bounds = format!("must be from 1 to {PROMOTION_TITLE_CHARACTERS_MAX} characters on one line");
        reader.fault("PROMOTION_TITLE", bounds);
    }
    title
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use agora_chassis::{names_read, settings_from};

    use super::Config;

    #[test]
    fn the_topology_names_exactly_what_is_read() {
        let row = agora_topology::service("catalog").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn the_default_language_is_english_or_another_tag() {
        let read = |value: Option<&str>| {
            let pairs = value.map(|value| ("DEFAULT_LANGUAGE".to_owned(), value.to_owned())).into_iter().collect();
            settings_from("catalog", &pairs, super::default_language)
        };
        assert_eq!((read(None).unwrap(), read(Some("de-AT")).unwrap()), ("en".to_owned(), "de-AT".to_owned()));
        for wrong in ["german language", "d", "de_AT"] {
            assert!(read(Some(wrong)).unwrap_err().to_string().contains("DEFAULT_LANGUAGE"), "{wrong}");
        }
    }

    #[test]
    fn ca22_promotions_are_off_or_within_bounds() {
        let read = |name: &str, value: &str| {
            let pairs = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            settings_from("catalog", &pairs, |reader| (super::promotion_every(reader), super::promotion_title(reader)))
        };
        assert_eq!(read("PROMOTION_INTERVAL_SECONDS", "0").unwrap().0, None);
        assert_eq!(read("PROMOTION_INTERVAL_SECONDS", "60").unwrap().0, Some(Duration::from_mins(1)));
        for (name, wrong) in
            [("PROMOTION_INTERVAL_SECONDS", "59"), ("PROMOTION_TITLE", " "), ("PROMOTION_TITLE", &"x".repeat(101))]
        {
            let faults = read(name, wrong).unwrap_err().to_string();
            assert!(faults.contains(name), "{faults}");
        }
    }
}
