//! Where the database is and how to connect to it.
//!
//! Knows URLs and TLS; must not connect.

use std::{sync::Arc, time::Duration};

use agora_chassis::{Reader, WatchedFile, WatchedSecret};
use agora_vocab::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::Error;

const POOL_SIZE_DEFAULT: u32 = 10;
const POOL_SIZE_MAX: u32 = 200;
/// A statement that runs longer is cancelled by the server.
const STATEMENT_SECONDS_DEFAULT: u64 = 10;
const STATEMENT_SECONDS_MAX: u64 = 300;
/// Upper bound of the memory of a sort or hash of one statement, in MiB. The server's setting applies without one.
const WORK_MEM_MIB_MAX: u32 = 1_024;
/// A transaction that does nothing for longer is ended by the server.
const IDLE_TRANSACTION_TIME_MAX: Duration = Duration::from_secs(30);

/// Settings of a service's database.
#[derive(Clone, Debug)]
pub struct Config {
    /// The URL with login and password.
    pub url: WatchedSecret,
    /// Connections at most.
    pub pool_size: u32,
    /// The authorities to trust, as PEM.
    pub ca: Option<WatchedFile>,
    /// Name of the pool in metrics and in the server's list of sessions; `None`: the service's.
    pub name: Option<&'static str>,
    /// What is set on each connection.
    pub(crate) session: SessionSettings,
}

/// Settings of each connection. Sent on it and not as start-up options, which poolers refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionSettings {
    /// After it the server cancels a statement.
    pub statement_time_max: Duration,
    /// Memory of a sort or hash of a statement before it uses files, in MiB; `None`: as the server says.
    work_mem_mib: Option<u32>,
    /// Whether a statement is planned for its values, and not once for all.
    plans_for_values: bool,
}

impl SessionSettings {
    pub(crate) const DEFAULT: Self = Self {
        statement_time_max: Duration::from_secs(STATEMENT_SECONDS_DEFAULT),
        work_mem_mib: None,
        plans_for_values: false,
    };

    /// The statements that set them.
    pub(crate) fn sql(self) -> String {
        let (statement, idle) = (self.statement_time_max.as_millis(), IDLE_TRANSACTION_TIME_MAX.as_millis());
        let plans = if self.plans_for_values { "; set plan_cache_mode = auto" } else { "" };
        let memory = self.work_mem_mib.map(|mib| format!("; set work_mem = '{mib}MB'")).unwrap_or_default();
        format!("set statement_timeout = {statement}; set idle_in_transaction_session_timeout = {idle}{memory}{plans}")
    }
}

/// A part of a service's connections for reads of many kinds, whose statements are planned for their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPart {
    /// Name of the pool in metrics and in the server's list of sessions.
    pub name: &'static str,
    /// One in so many connections belongs to it, at least one.
    pub one_in: u32,
    /// Time after which the server cancels a statement.
    pub statement_time_max: Duration,
}

impl Config {
    /// At most `pool_size` connections at a URL.
    pub fn new(url: WatchedSecret, pool_size: u32, ca: Option<WatchedFile>) -> Self {
        Self { url, pool_size, ca, name: None, session: SessionSettings::DEFAULT }
    }

    /// The same with at most `pool_size` connections.
    #[must_use]
    pub fn with_pool_size(&self, pool_size: u32) -> Self {
        Self { pool_size, ..self.clone() }
    }

    /// Splits the connections, which stay as many as before: the rest, and the part. `None` for the part if there is only one
    /// connection.
    pub fn split(&self, part: PoolPart) -> (Self, Option<Self>) {
        let PoolPart { name, one_in, statement_time_max } = part;
        if self.pool_size < 2 {
            return (self.clone(), None);
        }
        let of_part = (self.pool_size / one_in.max(1)).clamp(1, self.pool_size - 1);
        let rest = Self { pool_size: self.pool_size - of_part, ..self.clone() };
        let statement_time_max = statement_time_max.min(self.session.statement_time_max);
        let session = SessionSettings { statement_time_max, plans_for_values: true, ..self.session };
        (rest, Some(Self { pool_size: of_part, name: Some(name), session, ..self.clone() }))
    }

    /// Reads `DATABASE_URL`, `DATABASE_POOL_SIZE`, `DATABASE_CA_FILE`, `DATABASE_STATEMENT_TIMEOUT_SECONDS` and
    /// `DATABASE_WORK_MEM_MIB`.
    pub fn read(reader: &mut Reader) -> Self {
        let url = reader.secret("DATABASE_URL");
        let pool_size = reader.default("DATABASE_POOL_SIZE", POOL_SIZE_DEFAULT);
        if !(1..=POOL_SIZE_MAX).contains(&pool_size) {
            reader.fault("DATABASE_POOL_SIZE", format!("must be from 1 to {POOL_SIZE_MAX}"));
        }
        let seconds = reader.default("DATABASE_STATEMENT_TIMEOUT_SECONDS", STATEMENT_SECONDS_DEFAULT);
        if !(1..=STATEMENT_SECONDS_MAX).contains(&seconds) {
            reader.fault("DATABASE_STATEMENT_TIMEOUT_SECONDS", format!("must be from 1 to {STATEMENT_SECONDS_MAX}"));
        }
        let work_mem_mib: Option<u32> = reader.optional("DATABASE_WORK_MEM_MIB");
        if work_mem_mib.is_some_and(|mib| !(1..=WORK_MEM_MIB_MAX).contains(&mib)) {
            reader.fault("DATABASE_WORK_MEM_MIB", format!("must be from 1 to {WORK_MEM_MIB_MAX}"));
        }
        let statement_time_max = Duration::from_secs(seconds);
        let session = SessionSettings { statement_time_max, work_mem_mib, ..SessionSettings::DEFAULT };
        Self { session, ..Self::new(url, pool_size, reader.optional_file("DATABASE_CA_FILE")) }
    }
}

/// How connections are opened, whatever the login.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub service: &'static str,
    pub pool_size: u32,
    pub ca: Option<WatchedFile>,
    pub session: SessionSettings,
    /// Where the server is, if not where the URL says.
    pub address: Option<Address>,
}

impl How {
    pub fn options(&self, url: &Secret) -> Result<PgConnectOptions, Error> {
        let options = connect_options(url, self.ca.as_ref().map(WatchedFile::current).as_ref())?;
        let options = options.application_name(self.service);
        Ok(match &self.address {
            Some(Address { host, port }) => options.host(host).port(*port),
            None => options,
        })
    }
}

/// Host and port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// Parses `host:port` or `[::1]:port`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_host = bare.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()) || is_host_name(host);
        is_host.then_some(())?;
        Some(Self { host: bare.unwrap_or(host).to_owned(), port: port.parse().ok().filter(|port| *port > 0)? })
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
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
    fn a_split_pool_has_as_many_connections_as_before() {
        let part = PoolPart { name: "reads", one_in: 4, statement_time_max: Duration::from_secs(1) };
        let url = WatchedSecret::fixed("postgres://h/d");
        for (pool_size, expected) in [(1, (1, None)), (2, (1, Some(1))), (5, (4, Some(1))), (10, (8, Some(2)))] {
            let config = Config::new(url.clone(), pool_size, None);
            let (rest, part) = config.split(part);
            assert_eq!((rest.pool_size, part.map(|part| part.pool_size)), expected);
        }
    }

    #[test]
    fn da8_settings_of_sessions_come_from_the_environment_and_have_bounds() {
        let read = |pairs: &[(&str, &str)]| {
            let all = pairs.iter().chain(&[("DATABASE_URL", "postgres://h/d")]);
            let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            agora_chassis::settings_from("cart", &all, Config::read).map_err(|faults| faults.to_string())
        };
        let sql = |pairs: &[(&str, &str)]| read(pairs).expect("settings").session.sql();
        assert!(sql(&[]).contains("statement_timeout = 10000;") && !sql(&[]).contains("work_mem"));
        let set = [("DATABASE_STATEMENT_TIMEOUT_SECONDS", "30"), ("DATABASE_WORK_MEM_MIB", "16")];
        assert!(sql(&set).contains("statement_timeout = 30000;") && sql(&set).contains("work_mem = '16MB'"));
        let part = PoolPart { name: "reads", one_in: 2, statement_time_max: Duration::from_secs(1) };
        let reads = read(&set).expect("settings").split(part).1.expect("a part").session.sql();
        assert!(reads.contains("statement_timeout = 1000;") && reads.contains("work_mem = '16MB'"), "{reads}");
        for (name, value) in [("DATABASE_STATEMENT_TIMEOUT_SECONDS", "301"), ("DATABASE_WORK_MEM_MIB", "0")] {
            assert!(read(&[(name, value)]).expect_err("out of bounds").contains(name));
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let parsed = |text| Address::parse(text).map(|address| (address.host, address.port));
        assert_eq!(parsed("pg-ro.data.svc:5432"), Some(("pg-ro.data.svc".to_owned(), 5432)));
        assert_eq!(parsed("[fd00::5]:5433"), Some(("fd00::5".to_owned(), 5433)));
        for text in ["pg", "pg:", "pg:0", "pg:65536", ":5432", "fd00::5:5432", "[pg]:5432", "user@pg:5432", "pg/x:5432"]
        {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_refused_url_is_not_shown() {
        let error = connect_options(&Secret::new("postgres://u:hunter2@:bad:/"), None).expect_err("no URL");
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
    }
}
