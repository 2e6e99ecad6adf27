//! Where the database is and how to connect to it.
//!
//! Knows URLs and TLS; must not connect.

use std::sync::Arc;

use agora_chassis::{Reader, WatchedFile, WatchedSecret};
use agora_vocab::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::Error;

const POOL_SIZE_DEFAULT: u32 = 10;
const POOL_SIZE_MAX: u32 = 200;
/// Sent on each new connection, not as start-up options, which poolers refuse: a statement that runs for over 10 s is
/// cancelled by the server, a transaction that does nothing for 30 s is ended.
pub(crate) const SESSION_SETTINGS: &str =
    "set statement_timeout = '10s'; set idle_in_transaction_session_timeout = '30s'";

/// Settings of a service's database.
#[derive(Clone, Debug)]
pub struct Config {
    /// The URL with login and password.
    pub url: WatchedSecret,
    /// Connections at most.
    pub pool_size: u32,
    /// The authorities to trust, as PEM.
    pub ca: Option<WatchedFile>,
}

impl Config {
    /// Reads `DATABASE_URL`, `DATABASE_POOL_SIZE` and `DATABASE_CA_FILE`.
    pub fn read(reader: &mut Reader) -> Self {
        let url = reader.secret("DATABASE_URL");
        let pool_size = reader.default("DATABASE_POOL_SIZE", POOL_SIZE_DEFAULT);
        if !(1..=POOL_SIZE_MAX).contains(&pool_size) {
            reader.fault("DATABASE_POOL_SIZE", format!("must be from 1 to {POOL_SIZE_MAX}"));
        }
        Self { url, pool_size, ca: reader.optional_file("DATABASE_CA_FILE") }
    }
}

/// How connections are opened, whatever the login.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub service: &'static str,
    pub pool_size: u32,
    pub ca: Option<WatchedFile>,
}

impl How {
    pub fn options(&self, url: &Secret) -> Result<PgConnectOptions, Error> {
        let options = connect_options(url, self.ca.as_ref().map(WatchedFile::current).as_ref())?;
        Ok(options.application_name(self.service))
    }
}

/// The URL's options; full verification where authorities are given and the URL does not say how to use them.
pub(crate) fn connect_options(url: &Secret, ca: Option<&Arc<str>>) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions = url.expose().parse().map_err(Error::Url)?;
    let Some(ca) = ca else { return Ok(options) };
    let options = options.ssl_root_cert_from_pem(ca.as_bytes().to_vec());
    let says_how = url.expose().contains("sslmode=") || url.expose().contains("ssl-mode=");
    Ok(if says_how { options } else { options.ssl_mode(PgSslMode::VerifyFull) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_turn_on_full_verification_unless_the_url_says_otherwise() {
        let ca: Arc<str> = "pem".into();
        let mode = |url: &str, ca| {
            let options = connect_options(&Secret::new(url), ca).expect("a URL");
            format!("{:?}", options.get_ssl_mode())
        };
        assert_eq!(mode("postgres://h/d", None), "Prefer");
        assert_eq!(mode("postgres://h/d", Some(&ca)), "VerifyFull");
        assert_eq!(mode("postgres://h/d?sslmode=verify-ca", Some(&ca)), "VerifyCa");
    }

    #[test]
    fn a_refused_url_is_not_shown() {
        let error = connect_options(&Secret::new("postgres://u:hunter2@:bad:/"), None).expect_err("no URL");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}
