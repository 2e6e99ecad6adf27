//! The plan: a spec with the defaults of its profile, checked across fields, with computed names and connection budget.
//!
//! Pure, and the only module that reads a spec. It reports every violation, not only the first.

mod addresses;
mod archive;
mod budget;
mod exposure;
mod kafka;
mod known;
mod limits;
mod mail;
mod payments;
mod service;
mod staff;

use std::collections::BTreeMap;

use agora_crd::{
    DeletionPolicy, Marketplace, Network, Orders, PaymentProvider, Pod, Profile, Promotions, Reason, Recommendations,
    TlsMode,
};
use agora_topology as topology;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

pub use addresses::host_and_port;
pub use archive::ArchivePlan;
pub use budget::Budget;
pub use exposure::{ExposurePlan, IngressPlan};
pub use kafka::{KafkaPlan, Mechanism, TopicPlan};
pub use known::Known;
pub use limits::rate_limits_file;
pub use mail::MailPlan;
pub use payments::StripePlan;
pub use service::{EnvValue, Replicas, ServicePlan};
pub use staff::StaffPlan;

use crate::decide::claim::Claim;
use crate::decide::in_cluster::{ServiceAddress, TargetPorts};
use crate::decide::observed::ConditionError;
use crate::decide::profile::{self, Size};
use crate::decide::purpose::Purpose;
use crate::names;

/// Share of the traces that are exported where the spec names none, in percent.
const SAMPLED_PERCENT: i32 = 10;

/// A part of a spec that cannot be realised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub reason: Reason,
    /// Names the field and the remedy.
    pub message: String,
    pub scope: Scope,
}

/// What waits for the correction of a violation. Everything else is reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Service(&'static str),
    Topics,
    /// The topics, and the services that use the broker.
    Broker,
    /// Only the size of the connection pools, which stays as it is.
    Pools,
}

impl Violation {
    fn new(reason: Reason, scope: Scope, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), scope }
    }

    fn error(&self) -> ConditionError {
        ConditionError::new(self.reason, self.message.clone())
    }

    fn blocks(&self, row: &topology::Service) -> bool {
        match self.scope {
            Scope::Service(name) => name == row.name,
            Scope::Broker => row.speaks_to_broker(),
            Scope::Topics | Scope::Pools => false,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Plan {
    /// The owner reference of the children.
    pub owner: OwnerReference,
    pub name: String,
    pub namespace: String,
    /// Prefix of the names of databases, roles, topics and consumer groups.
    pub isolation_key: String,
    pub profile: Profile,
    pub size: Size,
    pub version: String,
    /// The image of every service, with tag and optional digest.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    pub pull_secrets: Vec<String>,
    /// The enabled services.
    pub services: Vec<ServicePlan>,
    /// Services whose part of the spec cannot be realised: their pods stay as they are.
    pub blocked_services: BTreeMap<&'static str, ConditionError>,
    /// Why the topics stay as they are.
    pub blocked_topics: Option<ConditionError>,
    pub database: DatabasePlan,
    pub budget: Budget,
    pub kafka: KafkaPlan,
    pub redis_endpoint: String,
    pub redis_secret: Option<String>,
    pub archive: Option<ArchivePlan>,
    pub exposure: ExposurePlan,
    pub payments: PaymentProvider,
    pub orders: Orders,
    /// The language of the products' own names, a BCP 47 tag.
    pub default_language: String,
    pub recommendations: Recommendations,
    /// `None`: the catalog starts no promotions.
    pub promotions: Option<Promotions>,
    pub stripe: Option<StripePlan>,
    pub staff: Option<StaffPlan>,
    /// `None`: no mail is sent.
    pub mail: Option<MailPlan>,
    /// The address of the shop, for links in mails.
    pub public_url: Option<String>,
    pub access_token_lifetime_seconds: i32,
    /// Age at which keys of tokens are replaced.
    pub key_rotation: time::Duration,
    pub pod: Pod,
    pub network: Network,
    /// Namespace of the operator, which reads the readiness of services at their admin ports.
    pub operator_namespace: Option<String>,
    /// Ports of the pods behind the Services of [`Plan::data_services`].
    pub target_ports: BTreeMap<ServiceAddress, TargetPorts>,
    /// Pods of a service that a node drain may evict at once; `None`: there is no PodDisruptionBudget.
    pub max_unavailable: Option<i32>,
    /// Node label over whose values the pods of a service are spread.
    pub topology_key: String,
    pub otlp_endpoint: Option<String>,
    /// Share of the traces that are exported, in percent.
    pub sampled_percent: i32,
    /// Name of the ConfigMap with the feature flags.
    pub flags: Option<String>,
    pub epoch: i32,
    /// What earlier inspections found. `plan` fills it from the status.
    pub known: Known,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePlan {
    pub host: String,
    pub port: u16,
    /// The read replica's host, at the same port.
    pub read_host: Option<String>,
    pub tls: TlsPlan,
    pub admin_secret: String,
    pub deletion: DeletionPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    pub mode: TlsMode,
    /// Name of the Secret with the certificates of the authority; `None`: those of the system.
    pub ca_secret: Option<String>,
}

impl TlsPlan {
    fn of(tls: Option<&agora_crd::Tls>, profile: Profile) -> Self {
        let default = if profile == Profile::Development { TlsMode::Disable } else { TlsMode::VerifyFull };
        Self {
            mode: tls.map_or(default, |tls| tls.mode),
            ca_secret: tls.and_then(|tls| tls.ca_secret_ref.as_ref()).map(|secret| secret.name.clone()),
        }
    }

    /// Whether connections are encrypted and the server is verified.
    pub fn verified(&self) -> bool {
        self.mode == TlsMode::VerifyFull
    }

    /// The Secret with the certificates that the server is verified with; `None`: those of the system, or there is no TLS.
    pub fn authority(&self) -> Option<&String> {
        self.ca_secret.as_ref().filter(|_| self.verified())
    }
}

/// `server_connections` is the connection limit of the database server without what older Marketplaces on it reserve, if it was
/// inspected. The plan is complete even if there are violations, because a deletion needs it.
pub fn plan(market: &Marketplace, server_connections: Option<i32>) -> (Plan, Vec<Violation>) {
    let spec = &market.spec;
    let (name, namespace) = (market.name_any(), market.namespace().unwrap_or_default());
    let isolation_key = isolation_key(market, &namespace, &name);
    let size = profile::size(spec.profile);
    let mut violations = Vec::new();
    let services = service::services(spec, &size, &mut violations);
    // What the server does not have cannot be divided, whatever the spec says.
    let limit = server_connections.map(|free| spec.database.max_connections.map_or(free, |given| given.min(free)));
    let in_effect = market.status.as_ref().and_then(|status| status.effective.as_ref()?.pool_size);
    let budget = budget::budget(limit, in_effect, &services, &size, &mut violations);
    let mut plan = Plan {
        owner: owner(market),
        version: spec.release.version.clone(),
        image: image(&spec.release),
        pull_policy: format!("{:?}", spec.release.image_pull_policy),
        pull_secrets: spec.release.image_pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        database: database(spec),
        budget,
        kafka: kafka::kafka(market, &isolation_key, &mut violations),
        redis_endpoint: spec.redis.external.standalone.endpoint.clone(),
        redis_secret: spec.redis.external.secret_ref.as_ref().map(|secret| secret.name.clone()),
        archive: spec.archive.as_ref().map(|archive| ArchivePlan::of(archive, &isolation_key)),
        exposure: ExposurePlan::of(spec),
        payments: payments::provider(spec, &mut violations),
        orders: spec.orders.clone(),
        default_language: spec.languages.default.clone(),
        recommendations: spec.recommendations.clone(),
        promotions: spec.promotions.clone(),
        stripe: payments::stripe(spec),
        staff: StaffPlan::of(spec),
        mail: mail::mail(spec),
        public_url: mail::public_url(spec),
        access_token_lifetime_seconds: spec.identity.access_token_lifetime_seconds,
        key_rotation: time::Duration::seconds(spec.identity.key_rotation_period_seconds.into()),
        pod: spec.pod.clone(),
        network: spec.network.clone(),
        operator_namespace: None,
        target_ports: BTreeMap::new(),
        max_unavailable: spec.disruption.max_unavailable.or(size.max_unavailable),
        topology_key: spec.disruption.topology_key.clone(),
        otlp_endpoint: spec.observability.otlp_endpoint.clone(),
        sampled_percent: spec.observability.sampled_percent.unwrap_or(SAMPLED_PERCENT),
        flags: spec.settings_ref.as_ref().map(|map| map.name.clone()),
        epoch: spec.recovery.epoch,
        known: Known::of(market),
        profile: spec.profile,
        name,
        namespace,
        isolation_key,
        size,
        services,
        blocked_services: BTreeMap::new(),
        blocked_topics: None,
    };
    plan.block(&violations);
    (plan, violations)
}

impl DatabasePlan {
    /// `host:port` of the server.
    pub fn address(&self) -> String {
        names::address(&self.host, self.port)
    }
}

impl Plan {
    fn block(&mut self, violations: &[Violation]) {
        for violation in violations {
            let rows = self.services.iter().map(|service| service.row).filter(|row| violation.blocks(row));
            self.blocked_services.extend(rows.map(|row| (row.name, violation.error())));
            if matches!(violation.scope, Scope::Topics | Scope::Broker) {
                self.blocked_topics.get_or_insert_with(|| violation.error());
            }
        }
    }

    /// Name of the children of a service: `shop-order`.
    pub fn child(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// A Marketplace that is deleted while it is paused keeps its data, whatever its policies say.
    pub fn keep_data(&mut self) {
        self.database.deletion = DeletionPolicy::Retain;
        self.kafka.deletion = DeletionPolicy::Retain;
    }

    /// Connections of each pod of a service: those of the spec if the server's suffice, else its share. `None` until the share
    /// is known.
    pub fn pool_size(&self, service: &ServicePlan) -> Option<i32> {
        service.database.pool_size.filter(|_| self.budget.suffices).or(self.budget.pool)
    }

    /// Connections that the pods of a service may open: each pool, and one for the listener of its pod.
    pub fn reserved_connections(&self, service: &str) -> i32 {
        let Some(service) = self.service(service) else { return 0 };
        self.pool_size(service).map_or(0, |pool| service.replicas.max * (pool + 1))
    }

    /// The owner of the databases and topics.
    pub fn claim(&self) -> Claim {
        Claim {
            market: format!("{}/{}", self.namespace, self.name),
            cluster: self.known.cluster_uid.clone(),
            uid: self.owner.uid.clone(),
        }
    }

    /// `None` if the service is disabled.
    pub fn service(&self, name: &str) -> Option<&ServicePlan> {
        self.services.iter().find(|service| service.row.name == name)
    }

    /// The port at which the pods of a service terminate TLS.
    pub fn tls_port(&self, row: &topology::Service) -> Option<u16> {
        let terminates = row.name == topology::GATEWAY.name && self.exposure.gateway_certificate.is_some();
        terminates.then_some(topology::GATEWAY_TLS_PORT)
    }

    /// The use of the admin login.
    pub fn database_login(&self) -> Purpose {
        Purpose::Database(self.database.address())
    }

    /// The use of the login at the broker.
    pub fn kafka_login(&self) -> Purpose {
        Purpose::Kafka(self.kafka.bootstrap.clone())
    }

    /// The use of the password of Redis.
    pub fn redis_login(&self) -> Purpose {
        Purpose::Redis(self.redis_endpoint.clone())
    }

    /// The Secrets that the spec refers to and what for, sorted, without duplicates.
    pub fn referenced_secrets(&self) -> Vec<(String, Purpose)> {
        let tls = self.exposure.certificate().cloned();
        let from_env = self.services.iter().flat_map(|service| {
            service.env.iter().filter_map(|(_, value)| match value {
                EnvValue::Text(_) => None,
                EnvValue::Secret { name, .. } => Some((name.clone(), Purpose::Env)),
            })
        });
        let mail_ca = self.mail.as_ref().and_then(|mail| mail.tls.ca_secret.clone());
        let certificates = [tls, self.database.tls.ca_secret.clone(), self.kafka.tls.ca_secret.clone(), mail_ca];
        let certificates = certificates.into_iter().flatten().map(|name| (name, Purpose::Tls));
        let logins = [
            Some((self.database.admin_secret.clone(), self.database_login())),
            self.redis_secret.clone().map(|name| (name, self.redis_login())),
            self.stripe.as_ref().map(|stripe| (stripe.secret.clone(), stripe.login())),
            self.staff.as_ref().map(|staff| (staff.secret.clone(), staff.login())),
            self.kafka.credentials.clone().map(|name| (name, self.kafka_login())),
            self.archive.as_ref().map(|archive| (archive.secret.clone(), archive.login.clone())),
            self.mail.as_ref().and_then(|mail| Some((mail.secret.clone()?, mail.login()))),
        ];
        let pull = self.pull_secrets.iter().map(|name| (name.clone(), Purpose::Pull));
        let mut all: Vec<(String, Purpose)> =
            logins.into_iter().flatten().chain(certificates).chain(pull).chain(from_env).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The key that is in use, by the status, is kept: an earlier release computed other defaults.
fn isolation_key(market: &Marketplace, namespace: &str, name: &str) -> String {
    let in_use = || market.status.as_ref()?.effective.as_ref().map(|effective| effective.isolation_key.clone());
    let given = market.spec.isolation_key.clone().or_else(in_use).filter(|key| !key.is_empty());
    given.unwrap_or_else(|| names::isolation_key(namespace, name))
}

/// `blockOwnerDeletion` is not set, because it requires the permission to update finalizers.
fn owner(market: &Marketplace) -> OwnerReference {
    OwnerReference { block_owner_deletion: None, ..market.controller_owner_ref(&()).unwrap_or_default() }
}

fn image(release: &agora_crd::Release) -> String {
    let tagged = format!("{}/agora:{}", release.registry, release.version);
    release.digest.as_ref().map_or(tagged.clone(), |digest| format!("{tagged}@{digest}"))
}

fn database(spec: &agora_crd::MarketplaceSpec) -> DatabasePlan {
    let external = &spec.database.external;
    DatabasePlan {
        host: external.host.clone(),
        port: u16::try_from(external.port).unwrap_or_default(),
        read_host: external.read_host.clone(),
        tls: TlsPlan::of(external.tls.as_ref(), spec.profile),
        admin_secret: external.admin_secret_ref.name.clone(),
        deletion: spec.database.deletion_policy,
    }
}
