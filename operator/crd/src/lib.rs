//! The Marketplace custom resource: spec, status, defaults and validation rules; one file per part of the spec.
//!
//! `kubectl explain` prints the doc comments; the attributes become the schema that the API server enforces. This crate
//! must not derive objects from a spec. Defaults that depend on the profile belong to the controller.

mod archive;
mod database;
mod exposure;
mod kafka;
mod mail;
mod marketplace;
mod policies;
mod reasons;
mod redis;
mod references;
mod release;
mod rules;
mod service;
mod staff;
mod status;

pub use archive::{Archive, ArchiveType, S3Archive};
pub use database::{Database, DatabaseType, ExternalDatabase};
pub use exposure::{
    CertificateSecret, Exposure, ExposureTls, ExposureTlsType, ExposureType, Hsts, HstsSubdomains, IngressOptions,
    LegacyAliases, PersistedDocuments, RateLimit, RateLimitClass, RateLimitKey,
};
pub use kafka::{
    ExternalKafka, Kafka, KafkaAuthentication, KafkaAuthenticationType, KafkaCredentials, KafkaType, TopicDefaults,
    TopicManagement, TopicOverride,
};
pub use mail::{Mail, OpenTracking, Smtp};
pub use marketplace::{ManagementPolicy, Marketplace, MarketplaceSpec, Profile};
pub use policies::{
    ConfigMapRef, DeletionPolicy, Disruption, EgressRule, Identity, Languages, Monitoring, NamespaceSelector, Network,
    NetworkPolicyMode, Observability, Orders, PaymentProvider, Payments, Pod, Promotions, Protocol, Recommendations,
    Recovery, StripeCompatible,
};
pub use reasons::ReasonDocumentation;
pub use redis::{ExternalRedis, Redis, RedisTopology, RedisType, StandaloneRedis};
pub use references::{SecretKeyRef, SecretRef, Tls, TlsMode};
pub use release::{ImagePullPolicy, Release};
pub use service::{
    CpuTarget, EnvVar, EnvVarSource, Metric, MetricType, ResourceAmounts, Resources, Scaling, ServiceDatabase,
    ServiceName, ServiceSpec, ServiceState,
};
pub use staff::{Oidc, RoleGroups, Staff, StaffRole, StaffType};
pub use status::{
    ConditionType, DatabaseRecord, DatabaseStatus, Effective, FormerServer, KafkaStatus, MarketplaceStatus, Reason,
    ServiceRollout, ServiceStatus, TopicDifference, TopicSettings,
};

/// API group of the custom resource and prefix of all its annotations and labels.
pub const GROUP: &str = "agoraplatform.dev";
/// Annotation on a Marketplace: with `"true"` the operator writes nothing but the status.
pub const PAUSED: &str = "agoraplatform.dev/paused";
/// Annotation on a Marketplace: `order-events=24,…` accepts the named number of partitions. Keys move to other partitions.
pub const ACCEPT_PARTITIONS: &str = "agoraplatform.dev/accept-partitions";
/// Annotation on a Marketplace: names of lost databases and topics, separated by commas, that may be created again, empty.
pub const ACCEPT_DATA_LOSS: &str = "agoraplatform.dev/accept-data-loss";
/// Annotation on a Marketplace: identities of data servers, separated by commas, to which the Marketplace may move.
pub const ACCEPT_DATA_SERVER: &str = "agoraplatform.dev/accept-data-server";
/// Annotation on a Marketplace: hashes of owners, separated by commas, whose databases and topics it may take over.
pub const ACCEPT_DATA_OWNER: &str = "agoraplatform.dev/accept-data-owner";
/// Label on a Secret: with `"true"` the Marketplaces of its namespace may use it.
pub const USABLE: &str = "agoraplatform.dev/usable";
/// Annotation on a Secret with that label: what it may be used for, a list of `database=<host>:<port>`, `kafka=<host>:<port>`,
/// `redis=<host>:<port>`, `archive=<host>:<port>` or `archive=<bucket>`, `smtp=<host>:<port>` or `smtp` for any mail server,
/// `payments=<host>:<port>` or `payments` for any payment provider, `oidc=<host>:<port>` or `oidc` for any identity
/// provider, `tls`, `env` and `pull`, separated by commas.
pub const USABLE_FOR: &str = "agoraplatform.dev/usable-for";
/// Annotation on a generated Secret that has no owner reference: `namespace/name` of its Marketplace.
pub const OWNER: &str = "agoraplatform.dev/owner";
/// Finalizer on a Marketplace: the operator applies the deletion policies of databases, topics and groups, then removes it.
pub const FINALIZER: &str = "agoraplatform.dev/data";
