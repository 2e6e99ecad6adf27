//! What should exist outside the cluster, with the logins to make it. Pure.

use agora_crd::TopicManagement;
use agora_topology as topology;
use agora_vocab::Secret;

use crate::decide::observed::{Observed, Trouble};
use crate::decide::plan::{Mechanism, Plan, TlsPlan, TopicPlan};
use crate::decide::servers::{AdminDatabase, Broker, BrokerAuthentication, BrokerTls, DatabaseWanted, Tls};
use crate::names;

/// The key of a CA's Secret.
const CA: &str = "ca.crt";

/// Databases on one server.
#[derive(Clone, Debug)]
pub struct DatabasesWanted {
    /// The server and the admin login.
    pub admin: AdminDatabase,
    /// Each database.
    pub databases: Vec<DatabaseWanted>,
}

/// Topics on one broker.
#[derive(Clone, Debug)]
pub struct TopicsWanted {
    /// The broker and the login.
    pub broker: Broker,
    /// What is done to topics.
    pub management: TopicManagement,
    /// Each topic.
    pub topics: Vec<TopicPlan>,
}

/// One Redis.
#[derive(Clone, Debug)]
pub struct RedisWanted {
    /// `host:port`.
    pub endpoint: String,
    /// Its password.
    pub password: Option<Secret>,
}

/// A short text that differs when what is wanted differs; secrets cannot be read from it.
pub trait Fingerprint {
    /// The text.
    fn fingerprint(&self) -> String;
}

const FINGERPRINT_DIGITS: usize = 16;

impl Fingerprint for DatabasesWanted {
    fn fingerprint(&self) -> String {
        let admin = &self.admin;
        let server =
            format!("{}:{} {} {} {:?}", admin.host, admin.port, admin.user, admin.password.expose(), admin.tls);
        let databases = self.databases.iter();
        let each = databases.map(|wanted| [wanted.name.as_str(), &wanted.login, wanted.password.expose()].join(" "));
        names::short_hash(&[server].into_iter().chain(each).collect::<Vec<_>>().join(" "), FINGERPRINT_DIGITS)
    }
}

impl Fingerprint for TopicsWanted {
    fn fingerprint(&self) -> String {
        let secret = match &self.broker.authentication {
            BrokerAuthentication::None => "",
            BrokerAuthentication::Plain { password, .. }
            | BrokerAuthentication::ScramSha256 { password, .. }
            | BrokerAuthentication::ScramSha512 { password, .. } => password.expose(),
        };
        names::short_hash(
            &format!("{:?} {secret} {:?} {:?}", self.broker, self.management, self.topics),
            FINGERPRINT_DIGITS,
        )
    }
}

impl Fingerprint for RedisWanted {
    fn fingerprint(&self) -> String {
        let password = self.password.as_ref().map_or("", Secret::expose);
        names::short_hash(&format!("{} {password}", self.endpoint), FINGERPRINT_DIGITS)
    }
}

/// The databases of the services that run.
pub fn databases(plan: &Plan, observed: &Observed) -> Result<DatabasesWanted, Trouble> {
    let all = every_database(plan, observed)?;
    let runs = |wanted: &DatabaseWanted| {
        plan.services.iter().any(|service| names::database(&plan.isolation_key, service.row.name) == wanted.name)
    };
    Ok(DatabasesWanted { databases: all.databases.into_iter().filter(runs).collect(), ..all })
}

/// The databases of all services, those that are disabled too.
pub fn every_database(plan: &Plan, observed: &Observed) -> Result<DatabasesWanted, Trouble> {
    let secret = &plan.database.admin_secret;
    let admin = AdminDatabase {
        host: plan.database.host.clone(),
        port: plan.database.port,
        user: observed.value(secret, "username")?.expose().to_owned(),
        password: observed.value(secret, "password")?.clone(),
        tls: tls(&plan.database.tls, observed)?,
    };
    let rows = topology::ALL.iter().filter(|row| row.database);
    let databases = rows
        .filter_map(|row| {
            let password = observed.credentials.databases.get(row.name)?;
            let name = names::database(&plan.isolation_key, row.name);
            Some(DatabaseWanted {
                owner_role: name.clone(),
                login: names::login(&plan.isolation_key, row.name),
                password: password.value.clone(),
                marketplace: plan.claimant(),
                connection_limit: None,
                name,
            })
        })
        .collect();
    Ok(DatabasesWanted { admin, databases })
}

/// The topics.
pub fn topics(plan: &Plan, observed: &Observed) -> Result<TopicsWanted, Trouble> {
    let tls = match tls(&plan.kafka.tls, observed)? {
        Tls::VerifyFull { ca_pem } => Some(BrokerTls { ca_pem }),
        Tls::Disable => None,
    };
    let broker = Broker { bootstrap: plan.kafka.bootstrap.clone(), tls, authentication: login(plan, observed)? };
    Ok(TopicsWanted { broker, management: plan.kafka.management, topics: plan.kafka.topics.clone() })
}

/// The Redis.
pub fn redis(plan: &Plan, observed: &Observed) -> Result<RedisWanted, Trouble> {
    let password = plan.redis_secret.as_ref().map(|name| observed.value(name, "password").cloned()).transpose()?;
    Ok(RedisWanted { endpoint: plan.redis_endpoint.clone(), password })
}

fn tls(tls: &TlsPlan, observed: &Observed) -> Result<Tls, Trouble> {
    if !tls.verified() {
        return Ok(Tls::Disable);
    }
    let pem = tls.ca_secret.as_ref().map(|name| observed.value(name, CA)).transpose()?;
    Ok(Tls::VerifyFull { ca_pem: pem.map(|pem| pem.expose().to_owned()) })
}

fn login(plan: &Plan, observed: &Observed) -> Result<BrokerAuthentication, Trouble> {
    let Some(secret) = &plan.kafka.credentials else { return Ok(BrokerAuthentication::None) };
    let user = observed.value(secret, "username")?.expose().to_owned();
    let password = observed.value(secret, "password")?.clone();
    Ok(match plan.kafka.mechanism {
        Mechanism::None => BrokerAuthentication::None,
        Mechanism::Plain => BrokerAuthentication::Plain { user, password },
        Mechanism::ScramSha256 => BrokerAuthentication::ScramSha256 { user, password },
        Mechanism::ScramSha512 => BrokerAuthentication::ScramSha512 { user, password },
    })
}
