//! What a referenced Secret is used for. Its owner allows purposes by an annotation, so that who may edit a Marketplace cannot
//! send the Secret to another server or to a program of their own. Pure.

use std::fmt;

use agora_crd::USABLE_FOR;
use kube::ResourceExt;
use kube::core::DynamicObject;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The login at the database server `host:port`.
    Database(String),
    /// The login at a broker: `host:port` of each bootstrap address.
    Kafka(Vec<String>),
    /// The password of the Redis `host:port`.
    Redis(String),
    /// The API key of the payment provider at `host:port`.
    Payments(String),
    /// The login at the archive's store: `host:port` of its endpoint, or its bucket at Amazon.
    Archive(String),
    /// The login at the mail server `host:port`.
    Smtp(String),
    /// The client's secret at the identity provider `host:port`.
    Oidc(String),
    /// Certificates: of an authority, or with its key that of the shop.
    Tls,
    /// An environment variable of a service.
    Env,
    /// The login at an image registry.
    Pull,
}

/// The purpose of a provider's API key; without an address, at any address.
const PAYMENTS: &str = "payments";
/// The purpose of a login at a mail server; without an address, at any address.
const SMTP: &str = "smtp";
/// The purpose of a client's secret at an identity provider; without an address, at any address.
const OIDC: &str = "oidc";

/// The purposes that a Secret's owner allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purposes(Vec<String>);

impl Purposes {
    pub fn of(secret: &DynamicObject) -> Self {
        Self::parse(secret.annotations().get(USABLE_FOR).map(String::as_str).unwrap_or_default())
    }

    pub fn parse(text: &str) -> Self {
        Self(
            text.split(',')
                .map(|part| part.split_whitespace().collect())
                .filter(|part: &String| !part.is_empty())
                .collect(),
        )
    }

    /// A login of a data server is never an environment variable, which a service could disclose.
    pub fn allow(&self, purpose: &Purpose) -> bool {
        let is_login = self.0.iter().any(|part| part.contains('='));
        let anywhere = match purpose {
            Purpose::Payments(_) => self.lists(PAYMENTS),
            Purpose::Smtp(_) => self.lists(SMTP),
            Purpose::Oidc(_) => self.lists(OIDC),
            _ => false,
        };
        let listed = anywhere || purpose.entries().iter().all(|entry| self.0.contains(entry));
        listed && !(is_login && *purpose == Purpose::Env)
    }

    fn lists(&self, purpose: &str) -> bool {
        self.0.iter().any(|part| part == purpose)
    }
}

impl Purpose {
    fn entries(&self) -> Vec<String> {
        match self {
            Self::Database(address) => vec![format!("database={address}")],
            Self::Kafka(addresses) => addresses.iter().map(|address| format!("kafka={address}")).collect(),
            Self::Redis(address) => vec![format!("redis={address}")],
            Self::Payments(address) => vec![format!("{PAYMENTS}={address}")],
            Self::Archive(store) => vec![format!("archive={store}")],
            Self::Smtp(address) => vec![format!("{SMTP}={address}")],
            Self::Oidc(address) => vec![format!("{OIDC}={address}")],
            Self::Tls => vec!["tls".to_owned()],
            Self::Env => vec!["env".to_owned()],
            Self::Pull => vec!["pull".to_owned()],
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entries().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Purposes};

    #[test]
    fn a_login_is_sent_only_to_the_servers_that_its_owner_lists() {
        let login = Purposes::parse("database=pg:5432, kafka=one:9092,kafka=two:9092");
        assert!(login.allow(&Purpose::Database("pg:5432".to_owned())));
        assert!(!login.allow(&Purpose::Database("evil:5432".to_owned())));
        assert!(!login.allow(&Purpose::Database("pg:15432".to_owned())));
        assert!(login.allow(&Purpose::Kafka(vec!["one:9092".to_owned(), "two:9092".to_owned()])));
        assert!(!login.allow(&Purpose::Kafka(vec!["one:9092".to_owned(), "evil:9092".to_owned()])));
        assert!(!login.allow(&Purpose::Redis("pg:5432".to_owned())));
        assert!(!login.allow(&Purpose::Smtp("pg:5432".to_owned())));
        let mail = Purpose::Smtp("mail:587".to_owned());
        assert!(Purposes::parse("smtp=mail:587").allow(&mail) && Purposes::parse("tls, smtp").allow(&mail));
        assert!(!Purposes::parse("smtp=other:587").allow(&mail) && !Purposes::parse("env").allow(&mail));
    }

    #[test]
    fn the_key_of_a_payment_provider_is_sent_only_where_its_owner_allows() {
        let stripe = Purpose::Payments("api.stripe.com:443".to_owned());
        assert!(Purposes::parse("payments=api.stripe.com:443").allow(&stripe));
        assert!(Purposes::parse("payments").allow(&stripe));
        assert!(!Purposes::parse("payments=evil.example:443, env, tls").allow(&stripe));
        assert!(!Purposes::parse("payments").allow(&Purpose::Env));
    }

    #[test]
    fn gw11_the_secret_of_an_identity_provider_is_sent_only_where_its_owner_allows() {
        let oidc = Purpose::Oidc("sso.example.com:443".to_owned());
        assert!(Purposes::parse("oidc=sso.example.com:443").allow(&oidc) && Purposes::parse("oidc").allow(&oidc));
        assert!(!Purposes::parse("oidc=evil.example:443, env, payments").allow(&oidc));
        assert!(!Purposes::parse("oidc=sso.example.com:443").allow(&Purpose::Env));
    }

    #[test]
    fn a_login_of_a_data_server_is_never_an_environment_variable() {
        assert!(Purposes::parse("env").allow(&Purpose::Env));
        assert!(!Purposes::parse("").allow(&Purpose::Env));
        assert!(!Purposes::parse("env,database=pg:5432").allow(&Purpose::Env));
    }
}
