//! From a spec to what it means: defaults of the profile, cross-field checks, names, the connection budget.
//!
//! Pure, and the only file that reads a spec: what is built afterwards sees the plan alone. It collects every violation.

mod budget;
mod kafka;
mod service;

use agora_crd::{
    DeletionPolicy, ExposureTlsType, ExposureType, LegacyAliases, Marketplace, Network, PaymentProvider, Pod, Profile,
    Reason, TlsMode,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

pub use budget::Budget;
pub use kafka::{KafkaPlan, Mechanism, TopicPlan};
pub use service::{EnvValue, Replicas, ServicePlan};

use crate::decide::profile::{self, Size};
use crate::names;

/// Something in a spec that cannot be realised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The reason of condition Stalled.
    pub reason: Reason,
    /// The field and the remedy.
    pub message: String,
}

impl Violation {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What a spec means.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who owns the children.
    pub owner: OwnerReference,
    /// Name of the Marketplace.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Prefix of everything outside the cluster.
    pub isolation_key: String,
    /// How large.
    pub profile: Profile,
    /// The profile's row.
    pub size: Size,
    /// The release's version.
    pub version: String,
    /// The image of every service.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
    /// Secrets for the registry.
    pub pull_secrets: Vec<String>,
    /// The services that run.
    pub services: Vec<ServicePlan>,
    /// The database server.
    pub database: DatabasePlan,
    /// How its connections are divided.
    pub budget: Budget,
    /// The broker and the topics.
    pub kafka: KafkaPlan,
    /// `host:port` of Redis.
    pub redis_endpoint: String,
    /// Secret with its password.
    pub redis_secret: Option<String>,
    /// The way in.
    pub exposure: ExposurePlan,
    /// The payment provider.
    pub payments: PaymentProvider,
    /// How long an access token is good, in seconds.
    pub access_token_lifetime_seconds: i32,
    /// What every pod carries.
    pub pod: Pod,
    /// Who may talk to whom.
    pub network: Network,
    /// Pods of a service that a drain may take at once; `None`: no budget is written.
    pub max_unavailable: Option<i32>,
    /// Label of nodes over whose values pods are spread.
    pub topology_key: String,
    /// Where traces go.
    pub otlp_endpoint: Option<String>,
    /// The recovery epoch.
    pub epoch: i32,
}

/// The database server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabasePlan {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection of the connections.
    pub tls: TlsPlan,
    /// Secret of the admin login.
    pub admin_secret: String,
    /// What happens at deletion.
    pub deletion: DeletionPolicy,
}

/// Protection of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    /// In the clear or verified.
    pub mode: TlsMode,
    /// Secret with the authority's certificates.
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

    /// Whether connections are encrypted.
    pub fn verified(&self) -> bool {
        self.mode == TlsMode::VerifyFull
    }
}

/// The way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposurePlan {
    /// An Ingress, or none.
    pub ingress: Option<IngressPlan>,
    /// Origins whose scripts may call.
    pub cors_origins: Vec<String>,
    /// Routes of the older documents.
    pub legacy_aliases: LegacyAliases,
}

/// The Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPlan {
    /// Host names.
    pub hostnames: Vec<String>,
    /// Its class.
    pub class_name: Option<String>,
    /// Its annotations.
    pub annotations: std::collections::BTreeMap<String, String>,
    /// Secret of the certificate.
    pub tls_secret: Option<String>,
}

/// What a spec means, and everything in it that cannot be realised. `server_connections`: what the database server says
/// that it takes, where one was asked. The plan is whole in either case: deletion needs it too.
pub fn plan(market: &Marketplace, server_connections: Option<i32>) -> (Plan, Vec<Violation>) {
    let spec = &market.spec;
    let (name, namespace) = (market.name_any(), market.namespace().unwrap_or_default());
    let isolation_key = spec.isolation_key.clone().unwrap_or_else(|| names::isolation_key(&namespace, &name));
    let size = profile::size(spec.profile);
    let mut violations = Vec::new();
    let services = service::services(spec, &size, &mut violations);
    let limit = spec.database.max_connections.or(server_connections);
    let budget = budget::budget(limit, &services, &size, &mut violations);
    let plan = Plan {
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
        exposure: exposure(spec),
        payments: payments(spec, &mut violations),
        access_token_lifetime_seconds: spec.identity.access_token_lifetime_seconds,
        pod: spec.pod.clone(),
        network: spec.network.clone(),
        max_unavailable: spec.disruption.max_unavailable.or(size.max_unavailable),
        topology_key: spec.disruption.topology_key.clone(),
        otlp_endpoint: spec.observability.otlp_endpoint.clone(),
        epoch: spec.recovery.epoch,
        profile: spec.profile,
        name,
        namespace,
        isolation_key,
        size,
        services,
    };
    (plan, violations)
}

impl Plan {
    /// Name of a service's child: `shop-order`.
    pub fn child(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// Who claims databases: written as a COMMENT. Without the uid: the same namespace and name takes them over again.
    pub fn claimant(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The plan of a service, where it runs.
    pub fn service(&self, name: &str) -> Option<&ServicePlan> {
        self.services.iter().find(|service| service.row.name == name)
    }

    /// The Secrets that the spec names, each once.
    pub fn named_secrets(&self) -> Vec<String> {
        let tls = self.exposure.ingress.as_ref().and_then(|ingress| ingress.tls_secret.clone());
        let from_env = self.services.iter().flat_map(|service| {
            service.env.iter().filter_map(|(_, value)| match value {
                EnvValue::Text(_) => None,
                EnvValue::Secret { name, .. } => Some(name.clone()),
            })
        });
        let mut all: Vec<String> = [Some(self.database.admin_secret.clone()), self.redis_secret.clone(), tls]
            .into_iter()
            .chain([self.database.tls.ca_secret.clone(), self.kafka.tls.ca_secret.clone()])
            .chain([self.kafka.credentials.clone()])
            .flatten()
            .chain(self.pull_secrets.iter().cloned())
            .chain(from_env)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// It does not block the owner's deletion: that would need a right on its finalizers.
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
        tls: TlsPlan::of(external.tls.as_ref(), spec.profile),
        admin_secret: external.admin_secret_ref.name.clone(),
        deletion: spec.database.deletion_policy,
    }
}

fn exposure(spec: &agora_crd::MarketplaceSpec) -> ExposurePlan {
    let exposure = &spec.exposure;
    let aliases = if spec.profile == Profile::Development { LegacyAliases::Enabled } else { LegacyAliases::Disabled };
    let options = exposure.ingress.clone().unwrap_or_default();
    let certificate = exposure.tls.as_ref().filter(|tls| tls.type_ == ExposureTlsType::Secret);
    let ingress = (exposure.type_ == ExposureType::Ingress).then(|| IngressPlan {
        hostnames: exposure.hostnames.clone(),
        class_name: options.class_name,
        annotations: options.annotations,
        tls_secret: certificate.and_then(|tls| tls.secret.as_ref()).map(|secret| secret.name.clone()),
    });
    ExposurePlan {
        ingress,
        cors_origins: exposure.cors_origins.clone(),
        legacy_aliases: exposure.legacy_aliases.unwrap_or(aliases),
    }
}

fn payments(spec: &agora_crd::MarketplaceSpec, violations: &mut Vec<Violation>) -> PaymentProvider {
    match (&spec.payments, spec.profile) {
        (Some(payments), _) => payments.type_,
        (None, Profile::Development) => PaymentProvider::Simulator,
        (None, _) => {
            let message = "spec.payments: required outside profile Development";
            violations.push(Violation::new(Reason::InvalidSpec, message));
            PaymentProvider::None
        }
    }
}
