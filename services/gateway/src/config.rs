//! Settings of the gateway: addresses of services and of the broker, TLS, CORS origins, limits, compatibility routes.

use std::{collections::BTreeMap, str::FromStr};

use agora_chassis::{Ports, Reader, TlsFiles, WatchedFile};
use agora_outbound::transport::Origin;
use agora_topology::{GATEWAY_TLS_PORT, TRUSTED_PROXIES_MAX};
use agora_web::TokenSettings;
use axum::http::HeaderValue;

/// Longest time for which browsers may be told to use TLS alone, in seconds: two years.
const HSTS_SECONDS_MAX: u32 = 63_072_000;

/// Settings of the gateway.
#[derive(Clone, Debug)]
pub struct Config {
    pub ports: Ports,
    /// `None`: the gateway does not terminate TLS.
    pub tls: Option<Tls>,
    /// `Strict-Transport-Security` of every response.
    pub hsts: Option<HeaderValue>,
    /// The address of the shop, to which the plain port sends readers where the gateway terminates TLS.
    pub public_url: Option<String>,
    /// Key set, issuer and audience of access tokens.
    pub tokens: TokenSettings,
    /// Allowed CORS origins.
    pub origins: Origins,
    /// Whether compatibility routes are served.
    pub legacy_aliases: LegacyAliases,
    /// Whether GraphQL clients may ask for the schema.
    pub introspection: Introspection,
    /// Which GraphQL documents are executed.
    pub documents: Documents,
    /// GraphQL documents by the SHA-256 of their text, as a JSON object.
    pub persisted_documents: Option<WatchedFile>,
    /// The limits of requests, which are read again when they change; `None`: there are none.
    pub rate_limits: Option<WatchedFile>,
    /// How many proxies in front of the gateway add to `X-Forwarded-For`.
    pub trusted_proxies: u8,
    /// Where the events are.
    pub kafka: agora_kafka::Config,
    /// Base URL of each service by name, for example "http://shop-user:3001".
    pub upstreams: BTreeMap<&'static str, String>,
}

/// The port on which the gateway terminates TLS, and its certificate.
#[derive(Clone, Debug)]
pub struct Tls {
    pub port: u16,
    pub files: TlsFiles,
}

/// Whether browsers use TLS alone for the subdomains of the shop's host too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subdomains {
    Included,
    Excluded,
}

impl FromStr for Subdomains {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Included" => Ok(Self::Included),
            "Excluded" => Ok(Self::Excluded),
            _ => Err("must be Included or Excluded"),
        }
    }
}

/// Whether compatibility routes are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyAliases {
    Enabled,
    Disabled,
}

impl FromStr for LegacyAliases {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Enabled" => Ok(Self::Enabled),
            "Disabled" => Ok(Self::Disabled),
            _ => Err("must be Enabled or Disabled"),
        }
    }
}

/// Whether GraphQL clients may ask for the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    Enabled,
    Disabled,
}

impl FromStr for Introspection {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Enabled" => Ok(Self::Enabled),
            "Disabled" => Ok(Self::Disabled),
            _ => Err("must be Enabled or Disabled"),
        }
    }
}

/// Which GraphQL documents are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    /// Any; those of the list also by their hash.
    Any,
    /// Those of the list alone.
    Persisted,
}

impl FromStr for Documents {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Any" => Ok(Self::Any),
            "Persisted" => Ok(Self::Persisted),
            _ => Err("must be Any or Persisted"),
        }
    }
}

/// Allowed CORS origins, for example "https://shop.example"; never a wildcard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<HeaderValue>);

impl FromStr for Origins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .filter(|origin| !origin.is_empty())
            .map(origin)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn origin(text: &str) -> Result<HeaderValue, &'static str> {
    const WRONG: &str = "must be origins like https://shop.example, with commas between, in lower case and no wildcard";
    if !agora_topology::is_cors_origin(text) {
        return Err(WRONG);
    }
    HeaderValue::try_from(text).map_err(|_| WRONG)
}

impl Config {
    /// Reports all invalid settings at once.
    pub fn read(reader: &mut Reader) -> Self {
        let documents = reader.default("GRAPHQL_DOCUMENTS", Documents::Any);
        let persisted_documents = reader.optional_file("GRAPHQL_PERSISTED_DOCUMENTS_FILE");
        if documents == Documents::Persisted && persisted_documents.is_none() {
            reader.fault(
                "GRAPHQL_DOCUMENTS",
                "Persisted needs a list of documents: set GRAPHQL_PERSISTED_DOCUMENTS_FILE",
            );
        }
        Self {
            ports: Ports::read(reader, agora_topology::GATEWAY.port, agora_topology::GATEWAY.internal_port),
            tls: tls(reader),
            hsts: hsts(reader),
            public_url: reader.optional("PUBLIC_URL"),
            tokens: TokenSettings::read(reader),
            origins: reader.default("CORS_ORIGINS", Origins::default()),
            legacy_aliases: reader.default("LEGACY_ALIASES", LegacyAliases::Disabled),
            introspection: reader.default("GRAPHQL_INTROSPECTION", Introspection::Disabled),
            documents,
            persisted_documents,
            rate_limits: reader.optional_file("RATE_LIMITS_FILE"),
            trusted_proxies: trusted_proxies(reader),
            kafka: agora_kafka::Config::read(reader),
            upstreams: agora_topology::ALL
                .iter()
                .filter(|service| service.behind_gateway)
                .filter_map(|service| Some((service.name, address(reader, url_name(service.name)?))))
                .collect(),
        }
    }
}

fn tls(reader: &mut Reader) -> Option<Tls> {
    let (port, files) = (reader.default("TLS_PORT", GATEWAY_TLS_PORT), TlsFiles::read(reader));
    files.map(|files| Tls { port, files })
}

/// Without a time there is none: browsers would refuse a shop that has no TLS, or none on each subdomain. 0 makes them forget it.
fn hsts(reader: &mut Reader) -> Option<HeaderValue> {
    const NAME: &str = "HSTS_MAX_AGE_SECONDS";
    let seconds: Option<u32> = reader.optional(NAME);
    let subdomains = match reader.default("HSTS_SUBDOMAINS", Subdomains::Excluded) {
        Subdomains::Included => "; includeSubDomains",
        Subdomains::Excluded => "",
    };
    let seconds = seconds?;
    if seconds > HSTS_SECONDS_MAX {
        reader.fault(NAME, format!("must be from 0 to {HSTS_SECONDS_MAX}"));
    }
    HeaderValue::try_from(format!("max-age={seconds}{subdomains}")).ok()
}

fn trusted_proxies(reader: &mut Reader) -> u8 {
    const NAME: &str = "TRUSTED_PROXIES";
    let count = reader.default(NAME, 0);
    if count > TRUSTED_PROXIES_MAX {
        reader.fault(NAME, format!("must be from 0 to {TRUSTED_PROXIES_MAX}"));
    }
    count
}

/// The topology's name of the setting, for example `USER_URL`.
fn url_name(service: &str) -> Option<&'static str> {
    let name = format!("{}_URL", service.to_ascii_uppercase());
    agora_topology::service("gateway")?.env.iter().copied().find(|known| *known == name)
}

fn address(reader: &mut Reader, name: &'static str) -> String {
    let text: String = reader.required(name);
    if !text.is_empty() && Origin::parse(&text).is_err() {
        reader.fault(name, "must be an address like http://shop-user:3001");
    }
    text.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use agora_chassis::{names_read, settings_from};

    use super::{Config, Origins};

    #[test]
    fn the_topology_names_exactly_what_is_read() {
        let row = agora_topology::service("gateway").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn every_service_behind_the_gateway_needs_an_address() {
        let pairs = BTreeMap::from([("USER_URL".to_owned(), "shop-user:3001".to_owned())]);
        let faults = settings_from("gateway", &pairs, Config::read).unwrap_err().to_string();
        for wanted in ["USER_URL has a value that cannot be used", "CATALOG_URL is not set", "PAYMENT_URL is not set"] {
            assert!(faults.contains(wanted), "{faults}");
        }
    }

    #[test]
    fn gw4_executing_listed_documents_alone_needs_a_list() {
        let pairs = BTreeMap::from([("GRAPHQL_DOCUMENTS".to_owned(), "Persisted".to_owned())]);
        let faults = settings_from("gateway", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("set GRAPHQL_PERSISTED_DOCUMENTS_FILE"), "{faults}");
    }

    #[test]
    fn gw12_hsts_is_sent_where_a_time_is_set_and_for_subdomains_where_they_are_included() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
            settings_from("gateway", &pairs, super::hsts)
        };
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[("HSTS_SUBDOMAINS", "Included")]).unwrap(), None);
        assert_eq!(read(&[("HSTS_MAX_AGE_SECONDS", "0")]).unwrap().unwrap(), "max-age=0");
        let both = [("HSTS_MAX_AGE_SECONDS", "63072000"), ("HSTS_SUBDOMAINS", "Included")];
        assert_eq!(read(&both).unwrap().unwrap(), "max-age=63072000; includeSubDomains");
        for wrong in [("HSTS_MAX_AGE_SECONDS", "63072001"), ("HSTS_SUBDOMAINS", "Yes")] {
            assert!(read(&[wrong]).unwrap_err().to_string().contains(wrong.0), "{wrong:?}");
        }
    }

    #[test]
    fn gw14_a_certificate_needs_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "text").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        for (given, missing) in [("TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"), ("TLS_KEY_FILE", "TLS_CERTIFICATE_FILE")] {
            let pairs = BTreeMap::from([(given.to_owned(), path.clone())]);
            let faults = settings_from("gateway", &pairs, super::tls).unwrap_err().to_string();
            assert!(faults.contains(&format!("set {missing}")), "{faults}");
        }
    }

    #[test]
    fn origins_are_listed_one_by_one() {
        let Origins(two) = "https://shop.example, http://localhost:8080".parse().unwrap();
        assert_eq!(two, ["https://shop.example", "http://localhost:8080"]);
        assert_eq!("".parse(), Ok(Origins::default()));
        for bad in ["*", "https://*.example", "shop.example", "https://shop.example/path", "https://a@shop.example"] {
            assert!(bad.parse::<Origins>().is_err(), "{bad}");
        }
    }
}
