//! Settings of the notification service, read from the environment. Depends on no other module of the service.

use std::str::FromStr;

use agora_chassis::{Ports, Reader, WatchedFile, WatchedSecret};
use agora_outbound::foreign::{AddressPolicy, AllowedPorts};
use agora_vocab::Epoch;
use agora_web::TokenSettings;
use lettre::message::Mailbox;

/// The submission port of mail servers.
const SMTP_PORT: u16 = 587;

/// All settings of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports to listen on.
    pub ports: Ports,
    /// Connection settings of the PostgreSQL database.
    pub postgres: agora_postgres::Config,
    /// Connection settings of the Kafka brokers.
    pub kafka: agora_kafka::Config,
    /// Issuer, audience and keys that access tokens are verified with.
    pub tokens: TokenSettings,
    /// Secret that services share: tokens of links are derived from it.
    pub internal_secret: WatchedSecret,
    /// The mail server; `None`: mails are suppressed.
    pub smtp: Option<Smtp>,
    /// Base URL of the shop, for links in mails.
    pub public_url: Option<PublicUrl>,
    /// Whether opening a mail is noticed.
    pub open_tracking: Switch,
    /// The key that secrets of webhooks are encrypted under: 32 bytes in Base64.
    pub encryption_key: WatchedSecret,
    /// The key before the last rotation.
    pub previous_encryption_key: Option<WatchedSecret>,
    /// Which addresses webhooks may be sent to.
    pub webhook_addresses: AddressPolicy,
    /// Recovery epoch of the database, written into every event; rises with each restore.
    pub epoch: Epoch,
}

/// The mail server.
#[derive(Clone, Debug)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// Certificate authorities in place of the system's.
    pub ca: Option<WatchedFile>,
    /// User name and password.
    pub login: Option<(String, WatchedSecret)>,
    /// The sender of every mail.
    pub from: Mailbox,
}

/// How connections to the mail server are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    Disable,
    StartTls,
    Implicit,
}

/// Whether something optional is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    Enabled,
    Disabled,
}

/// A base URL without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(pub String);

impl FromStr for SmtpTls {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Disable" => Ok(Self::Disable),
            "StartTls" => Ok(Self::StartTls),
            "Implicit" => Ok(Self::Implicit),
            _ => Err("must be StartTls, Implicit or Disable"),
        }
    }
}

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "Enabled" => Ok(Self::Enabled),
            "Disabled" => Ok(Self::Disabled),
            _ => Err("must be Enabled or Disabled"),
        }
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be a URL like https://shop.example";
        let uri: http::Uri = text.parse().map_err(|_| WRONG)?;
        let web = matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some_and(|host| !host.is_empty());
        if web && uri.query().is_none() { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(WRONG) }
    }
}

/// A sender like `Shop <shop@example.com>`.
struct Sender(Mailbox);

impl FromStr for Sender {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "must be a sender like Shop <shop@example.com>")
    }
}

impl Config {
    /// Reads every setting; errors are collected in `reader`.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            ports: Ports::read(reader, agora_topology::NOTIFICATION.port, agora_topology::NOTIFICATION.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            tokens: TokenSettings::read(reader),
            internal_secret: reader.secret("INTERNAL_SECRET"),
            smtp: Smtp::read(reader),
            public_url: reader.optional("PUBLIC_URL"),
            open_tracking: reader.default("MAIL_OPEN_TRACKING", Switch::Disabled),
            encryption_key: reader.secret("ENCRYPTION_KEY"),
            previous_encryption_key: reader.optional_secret("ENCRYPTION_KEY_PREVIOUS"),
            webhook_addresses: AddressPolicy {
                plain_http: reader.default("WEBHOOK_PLAIN_HTTP", Switch::Disabled) == Switch::Enabled,
                private_addresses: reader.default("WEBHOOK_PRIVATE_ADDRESSES", Switch::Disabled) == Switch::Enabled,
                ports: reader.default("WEBHOOK_PORTS", AllowedPorts::default()),
            },
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
        }
    }
}

impl Smtp {
    fn read(reader: &mut Reader) -> Option<Self> {
        let host: Option<String> = reader.optional("SMTP_HOST");
        let from = reader.optional::<Sender>("SMTP_FROM");
        let (user, password) = (reader.optional("SMTP_USERNAME"), reader.optional_secret("SMTP_PASSWORD"));
        let (port, tls) = (reader.default("SMTP_PORT", SMTP_PORT), reader.default("SMTP_TLS", SmtpTls::StartTls));
        let ca = reader.optional_file("SMTP_CA_FILE");
        let host = host?;
        if user.is_some() != password.is_some() {
            reader.fault("SMTP_USERNAME", "goes with SMTP_PASSWORD: set both or neither");
        }
        let Some(Sender(from)) = from else {
            reader.fault("SMTP_FROM", "is needed for SMTP_HOST: set the sender, like Shop <shop@example.com>");
            return None;
        };
        Some(Self { host, port, tls, ca, login: user.zip(password), from })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use agora_chassis::{names_read, settings_from};

    use super::{Config, PublicUrl, Smtp};

    #[test]
    fn the_topology_names_exactly_what_is_read() {
        let row = agora_topology::service("notification").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn a_mail_server_needs_a_sender_and_a_whole_login() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: BTreeMap<String, String> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            settings_from("notification", &pairs, Smtp::read)
        };
        assert!(read(&[]).unwrap().is_none());
        let smtp = read(&[("SMTP_HOST", "mail"), ("SMTP_FROM", "Shop <shop@example.com>")]).unwrap().unwrap();
        assert_eq!((smtp.port, smtp.login.is_none()), (587, true));
        for (pairs, named) in [
            (vec![("SMTP_HOST", "mail")], "SMTP_FROM has a value that cannot be used: is needed for SMTP_HOST"),
            (vec![("SMTP_HOST", "mail"), ("SMTP_FROM", "shop")], "must be a sender like"),
            (vec![("SMTP_HOST", "m"), ("SMTP_FROM", "a@b.de"), ("SMTP_USERNAME", "u")], "set both or neither"),
            (vec![("SMTP_HOST", "m"), ("SMTP_FROM", "a@b.de"), ("SMTP_TLS", "maybe")], "must be StartTls, Implicit"),
        ] {
            let faults = read(&pairs).unwrap_err().to_string();
            assert!(faults.contains(named), "{faults}");
        }
    }

    #[test]
    fn links_begin_with_a_url_of_the_web() {
        assert_eq!("https://shop.example/".parse(), Ok(PublicUrl("https://shop.example".into())));
        for text in
            ["shop.example", "ftp://shop.example", "javascript:alert(1)", "https://shop.example?x=1", "https://"]
        {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
