//! Settings of this service: names, defaults and ranges.

use agora_chassis::{Ports, Reader, WatchedFile, WatchedSecret};
use agora_vocab::{Email, Epoch};
use agora_web::TokenSettings;

/// Default and range of the lifetime of access tokens, in seconds.
const ACCESS_LIFETIME_S: u32 = 900;
const ACCESS_LIFETIME_S_MIN: u32 = 60;
const ACCESS_LIFETIME_S_MAX: u32 = 86_400;

/// Settings of the user service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Public and internal listener.
    pub ports: Ports,
    /// The service's database.
    pub postgres: agora_postgres::Config,
    /// The broker that events are sent to.
    pub kafka: agora_kafka::Config,
    /// The recovery epoch of published events.
    pub epoch: Epoch,
    /// PKCS #8 PEM of the Ed25519 key that signs access tokens.
    pub signing_key: WatchedFile,
    /// Key set, issuer and audience of access tokens.
    pub tokens: TokenSettings,
    /// Lifetime of access tokens, in seconds.
    pub access_lifetime_s: u32,
    /// Verifies tokens of callers on the internal port.
    pub internal_secret: WatchedSecret,
    /// `None` if the staff has no identity provider.
    pub oidc: Option<Oidc>,
    /// `None` if no first admin is configured.
    pub first_admin: Option<FirstAdmin>,
}

/// The identity provider of the staff.
#[derive(Clone, Debug)]
pub struct Oidc {
    pub issuer_url: String,
    pub client_id: String,
    pub client_secret: WatchedSecret,
    /// Where the provider sends browsers back to.
    pub redirect_url: String,
    /// The claim of ID tokens with a person's groups.
    pub groups_claim: String,
    /// Roles and the groups that give them: `support=shop-support,admin=shop-admins`.
    pub roles: String,
    /// Whether the provider may be reached without TLS.
    pub plain_http: bool,
}

/// E-mail address and watched password of the first admin.
#[derive(Clone, Debug)]
pub struct FirstAdmin {
    pub email: Email,
    pub password: WatchedSecret,
}

impl Config {
    /// Reports all invalid settings at once.
    pub fn read(reader: &mut Reader) -> Self {
        let access_lifetime_s = reader.default("ACCESS_TOKEN_LIFETIME_SECONDS", ACCESS_LIFETIME_S);
        if !(ACCESS_LIFETIME_S_MIN..=ACCESS_LIFETIME_S_MAX).contains(&access_lifetime_s) {
            let range = format!("{ACCESS_LIFETIME_S_MIN} to {ACCESS_LIFETIME_S_MAX}");
            reader.fault("ACCESS_TOKEN_LIFETIME_SECONDS", format!("must be from {range}"));
        }
        Self {
            ports: Ports::read(reader, agora_topology::USER.port, agora_topology::USER.internal_port),
            postgres: agora_postgres::Config::read(reader),
            kafka: agora_kafka::Config::read(reader),
            epoch: reader.default("RECOVERY_EPOCH", Epoch::default()),
            signing_key: reader.file("SIGNING_KEY_FILE"),
            tokens: TokenSettings::read(reader),
            access_lifetime_s,
            internal_secret: reader.secret("INTERNAL_SECRET"),
            oidc: oidc(reader),
            first_admin: first_admin(reader),
        }
    }
}

/// All of the provider's settings, or none.
fn oidc(reader: &mut Reader) -> Option<Oidc> {
    let mut given = |name: &'static str| reader.optional::<String>(name).filter(|text| !text.is_empty());
    let (issuer, client, redirect) = (given("OIDC_ISSUER_URL"), given("OIDC_CLIENT_ID"), given("OIDC_REDIRECT_URL"));
    let roles = given("OIDC_ROLES");
    let groups_claim = given("OIDC_GROUPS_CLAIM").unwrap_or_else(|| "groups".to_owned());
    let plain_http = given("OIDC_PLAIN_HTTP").is_some_and(|text| text == "Enabled");
    let secret = reader.optional_secret("OIDC_CLIENT_SECRET");
    let Some(issuer_url) = issuer else {
        if client.is_some() || secret.is_some() || redirect.is_some() || roles.is_some() {
            reader.fault("OIDC_ISSUER_URL", "is needed beside the other settings of the identity provider");
        }
        return None;
    };
    let mut needed = |name: &'static str, value: Option<String>| {
        if value.is_none() {
            reader.fault(name, "is needed beside OIDC_ISSUER_URL");
        }
        value
    };
    let client_id = needed("OIDC_CLIENT_ID", client);
    let redirect_url = needed("OIDC_REDIRECT_URL", redirect);
    let roles = needed("OIDC_ROLES", roles);
    if secret.is_none() {
        reader.fault("OIDC_CLIENT_SECRET", "is needed beside OIDC_ISSUER_URL");
    }
    Some(Oidc {
        issuer_url,
        client_id: client_id?,
        client_secret: secret?,
        redirect_url: redirect_url?,
        groups_claim,
        roles: roles?,
        plain_http,
    })
}

fn first_admin(reader: &mut Reader) -> Option<FirstAdmin> {
    let email: Option<String> = reader.optional("ADMIN_EMAIL");
    let password = reader.optional_secret("ADMIN_PASSWORD");
    match (email, password) {
        (Some(email), Some(password)) => match Email::parse(&email) {
            Ok(email) => Some(FirstAdmin { email, password }),
            Err(invalid) => {
                reader.fault("ADMIN_EMAIL", invalid.message);
                None
            }
        },
        (None, None) => None,
        (Some(_), None) => {
            reader.fault("ADMIN_PASSWORD", "is needed beside ADMIN_EMAIL");
            None
        }
        (None, Some(_)) => {
            reader.fault("ADMIN_EMAIL", "is needed beside ADMIN_PASSWORD");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use agora_chassis::{names_read, settings_from};

    use super::Config;

    #[test]
    fn the_topology_names_exactly_what_is_read() {
        let row = agora_topology::service("user").unwrap();
        let named: BTreeSet<_> = row.environment().into_iter().filter(|name| *name != "ADMIN_PORT").collect();
        assert_eq!(names_read(Config::read).into_iter().collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn gw11_an_incomplete_identity_provider_names_every_missing_setting() {
        let faults = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            settings_from("user", &pairs, Config::read).unwrap_err().to_string()
        };
        let alone = faults(&[("OIDC_ISSUER_URL", "https://sso.example.com")]);
        for name in ["OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_REDIRECT_URL", "OIDC_ROLES"] {
            assert!(alone.contains(&format!("{name} has a value that cannot be used: is needed beside")), "{alone}");
        }
        assert!(faults(&[("OIDC_CLIENT_ID", "shop")]).contains("OIDC_ISSUER_URL"));
        assert!(!faults(&[]).contains("OIDC"), "none is needed");
    }

    #[test]
    fn an_incomplete_first_admin_names_the_missing_setting() {
        let pairs = BTreeMap::from([("ADMIN_EMAIL".to_owned(), "ada@example.com".to_owned())]);
        let faults = settings_from("user", &pairs, Config::read).unwrap_err().to_string();
        assert!(faults.contains("ADMIN_PASSWORD has a value that cannot be used: is needed beside"), "{faults}");
        assert!(faults.contains("DATABASE_URL is not set"), "all faults at once: {faults}");
    }
}
