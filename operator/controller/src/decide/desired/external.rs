//! The desired external resources: databases, topics and Redis, with the logins of their servers. Pure.

use agora_crd::{FormerServer, TopicManagement};
use agora_topology as topology;
use agora_vocab::Secret;

use crate::decide::claim;
use crate::decide::data_guard::{DataGuard, DataRecord};
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{Mechanism, Plan, ServicePlan, TlsPlan, TopicPlan};
use crate::decide::purpose::Purpose;
use crate::decide::servers::{AdminDatabase, Broker, BrokerAuthentication, BrokerTls, DesiredDatabase, Tls};
use crate::names;

/// Key of the certificates in a CA's Secret.
const CA: &str = "ca.crt";

/// The databases on one server.
#[derive(Clone, Debug)]
pub struct DesiredDatabases {
    pub admin: AdminDatabase,
    pub databases: Vec<DesiredDatabase>,
    pub guard: DataGuard,
    /// The databases on servers that held them before.
    pub former: Vec<FormerDatabases>,
}

/// The databases of all services on a server that held them before.
#[derive(Clone, Debug)]
pub struct FormerDatabases {
    pub server: FormerServer,
    /// `None` if the admin's Secret may not be used at that server.
    pub admin: Option<AdminDatabase>,
    pub databases: Vec<DesiredDatabase>,
}

impl DesiredDatabases {
    /// `host:port` of the server.
    pub fn address(&self) -> String {
        names::address(&self.admin.host, self.admin.port)
    }
}

/// The topics at one broker.
#[derive(Clone, Debug)]
pub struct DesiredTopics {
    pub broker: Broker,
    pub management: TopicManagement,
    pub topics: Vec<TopicPlan>,
    /// Prefix of the topics that mark the owners of the isolation key.
    pub marker_prefix: String,
    /// The topic that marks this Marketplace as the owner.
    pub marker: TopicPlan,
    pub guard: DataGuard,
}

impl DesiredTopics {
    /// The bootstrap addresses, separated by commas.
    pub fn address(&self) -> String {
        self.broker.bootstrap.join(",")
    }

    /// The name of the topic that marks another owner.
    pub fn marker_of(&self, owner: &str) -> String {
        format!("{}{owner}", self.marker_prefix)
    }
}

#[derive(Clone, Debug)]
pub struct DesiredRedis {
    pub endpoint: String,
    pub password: Option<Secret>,
}

/// The services whose readiness is read.
#[derive(Clone, Debug)]
pub struct DesiredProbes {
    /// Name and address of the readiness report of each service.
    pub urls: Vec<(&'static str, String)>,
}

/// A hash of a desired external resource, without what earlier inspections found. It contains no secret in readable form.
pub trait Fingerprint {
    fn fingerprint(&self) -> String;
}

const FINGERPRINT_DIGITS: usize = 16;

impl Fingerprint for DesiredDatabases {
    fn fingerprint(&self) -> String {
        let server = self.admin.identity();
        let databases = self.databases.iter();
        let each = databases.map(|database| {
            let reserved = database.reserved_connections.to_string();
            let session = format!("{:?}", database.session);
            [database.name.as_str(), &database.login, database.password.expose(), &reserved, &session].join(" ")
        });
        let accepted = format!("{:?}", self.guard.accepted);
        let parts: Vec<String> = [server, accepted].into_iter().chain(each).collect();
        names::short_hash(&parts.join(" "), FINGERPRINT_DIGITS)
    }
}

impl Fingerprint for DesiredTopics {
    fn fingerprint(&self) -> String {
        names::short_hash(
            &format!(
                "{} {:?} {:?} {:?} {:?}",
                self.broker.identity(),
                self.management,
                self.topics,
                self.marker,
                self.guard.accepted
            ),
            FINGERPRINT_DIGITS,
        )
    }
}

impl Fingerprint for DesiredRedis {
    fn fingerprint(&self) -> String {
        let password = self.password.as_ref().map_or("", Secret::expose);
        names::short_hash(&format!("{} {password}", self.endpoint), FINGERPRINT_DIGITS)
    }
}

impl Fingerprint for DesiredProbes {
    fn fingerprint(&self) -> String {
        names::short_hash(&format!("{:?}", self.urls), FINGERPRINT_DIGITS)
    }
}

/// The databases of the enabled services.
pub fn databases(plan: &Plan, observed: &Observed) -> Result<DesiredDatabases, ConditionError> {
    let all = all_databases(plan, observed)?;
    let enabled = |database: &DesiredDatabase| {
        plan.services.iter().any(|service| names::database(&plan.isolation_key, service.row.name) == database.name)
    };
    Ok(DesiredDatabases { databases: all.databases.into_iter().filter(enabled).collect(), ..all })
}

/// The databases of all services, also of the disabled ones.
pub fn all_databases(plan: &Plan, observed: &Observed) -> Result<DesiredDatabases, ConditionError> {
    let (secret, purpose) = (&plan.database.admin_secret, plan.database_login());
    let admin = AdminDatabase {
        host: plan.database.host.clone(),
        port: plan.database.port,
        user: observed.secret_text(secret, "username", &purpose)?.expose().to_owned(),
        password: observed.secret_text(secret, "password", &purpose)?,
        tls: tls(&plan.database.tls, observed)?,
    };
    let rows = topology::ALL.iter().filter(|row| row.database);
    let databases: Vec<DesiredDatabase> = rows
        .filter_map(|row| {
            let password = observed.credentials.databases.get(row.name)?;
            let name = names::database(&plan.isolation_key, row.name);
            Some(DesiredDatabase {
                owner_role: name.clone(),
                login: names::login(&plan.isolation_key, row.name),
                password: password.clone(),
                claim: plan.claim(),
                accepted_owners: plan.known.accepted.owners.clone(),
                reserved_connections: plan.reserved_connections(row.name),
                connection_limit: None,
                session: plan.service(row.name).map(ServicePlan::session).unwrap_or_default(),
                name,
            })
        })
        .collect();
    let former = plan.known.databases.iter().flat_map(|record| &record.former);
    let former = former.map(|server| FormerDatabases {
        server: server.clone(),
        admin: admin_at(&server.address, plan, observed, &admin),
        databases: databases.clone(),
    });
    let former = former.collect();
    Ok(DesiredDatabases { admin, databases, guard: guard(plan, plan.known.databases.clone()), former })
}

/// The admin login at another address, if the Secret may be used there.
fn admin_at(address: &str, plan: &Plan, observed: &Observed, admin: &AdminDatabase) -> Option<AdminDatabase> {
    observed.referenced_secret(&plan.database.admin_secret, &Purpose::Database(address.to_owned())).ok()?;
    let (host, port) = names::host_and_port(address)?;
    Some(AdminDatabase { host, port, ..admin.clone() })
}

pub fn topics(plan: &Plan, observed: &Observed) -> Result<DesiredTopics, ConditionError> {
    let tls = match tls(&plan.kafka.tls, observed)? {
        Tls::VerifyFull { ca_pem } => Some(BrokerTls { ca_pem }),
        Tls::Disable => None,
    };
    let broker = Broker { bootstrap: plan.kafka.bootstrap.clone(), tls, authentication: login(plan, observed)? };
    let prefix = claim::marker_prefix(&plan.isolation_key);
    Ok(DesiredTopics {
        broker,
        management: plan.kafka.management,
        topics: plan.kafka.topics.clone(),
        marker: plan.kafka.marker(format!("{prefix}{}", plan.claim().hash())),
        marker_prefix: prefix,
        guard: guard(plan, plan.known.topics.clone()),
    })
}

fn guard(plan: &Plan, record: Option<DataRecord>) -> DataGuard {
    DataGuard { market: plan.claim().market, record, accepted: plan.known.accepted.clone() }
}

pub fn redis(plan: &Plan, observed: &Observed) -> Result<DesiredRedis, ConditionError> {
    let password = plan.redis_secret.as_ref();
    let password = password.map(|name| observed.secret_text(name, "password", &plan.redis_login())).transpose()?;
    Ok(DesiredRedis { endpoint: plan.redis_endpoint.clone(), password })
}

pub fn probes(plan: &Plan) -> DesiredProbes {
    let url = |service: &ServicePlan| {
        let host = format!("{}.{}.svc", plan.child(service.row.name), plan.namespace);
        (service.row.name, format!("http://{host}:{}/readyz", topology::ADMIN_PORT))
    };
    DesiredProbes { urls: plan.services.iter().map(url).collect() }
}

fn tls(tls: &TlsPlan, observed: &Observed) -> Result<Tls, ConditionError> {
    if !tls.verified() {
        return Ok(Tls::Disable);
    }
    let pem = tls.ca_secret.as_ref().map(|name| observed.secret_value(name, CA, &Purpose::Tls)).transpose()?;
    Ok(Tls::VerifyFull { ca_pem: pem.map(|pem| pem.expose().to_owned()) })
}

fn login(plan: &Plan, observed: &Observed) -> Result<BrokerAuthentication, ConditionError> {
    let Some(secret) = &plan.kafka.credentials else {
        return Ok(BrokerAuthentication::None);
    };
    let purpose = plan.kafka_login();
    let user = observed.secret_text(secret, "username", &purpose)?.expose().to_owned();
    let password = observed.secret_text(secret, "password", &purpose)?;
    Ok(match plan.kafka.mechanism {
        Mechanism::None => BrokerAuthentication::None,
        Mechanism::Plain => BrokerAuthentication::Plain { user, password },
        Mechanism::ScramSha256 => BrokerAuthentication::ScramSha256 { user, password },
        Mechanism::ScramSha512 => BrokerAuthentication::ScramSha512 { user, password },
    })
}
