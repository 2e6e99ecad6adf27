//! The Marketplace resource: spec, status, defaults and rules; one file per part of the spec.
//!
//! Doc comments become `kubectl explain`, attributes the schema that the API server enforces. Nothing here decides what
//! is built from a spec, and late defaults (those of a profile) are the operator's.

mod database;
mod exposure;
mod kafka;
mod marketplace;
mod policies;
mod redis;
mod references;
mod release;
mod rules;
mod service;
mod status;

pub use database::{Database, DatabaseType, ExternalDatabase};
pub use exposure::{
    CertificateSecret, Exposure, ExposureTls, ExposureTlsType, ExposureType, IngressOptions, LegacyAliases,
};
pub use kafka::{
    ExternalKafka, Kafka, KafkaAuthentication, KafkaAuthenticationType, KafkaCredentials, KafkaType, TopicDefaults,
    TopicManagement, TopicOverride,
};
pub use marketplace::{ManagementPolicy, Marketplace, MarketplaceSpec, Profile};
pub use policies::{
    DeletionPolicy, Disruption, EgressRule, Identity, Network, NetworkPolicyMode, Observability, PaymentProvider,
    Payments, Pod, Recovery,
};
pub use redis::{ExternalRedis, Redis, RedisTopology, RedisType, StandaloneRedis};
pub use references::{SecretKeyRef, SecretRef, Tls, TlsMode};
pub use release::{ImagePullPolicy, Release};
pub use service::{
    CpuTarget, EnvVar, EnvVarSource, Metric, MetricType, ResourceAmounts, Resources, Scaling, ServiceName, ServiceSpec,
    ServiceState,
};
pub use status::{
    ConditionType, Effective, KafkaStatus, MarketplaceStatus, Reason, ServiceRollout, ServiceStatus, TopicDifference,
};

/// API group of every kind and prefix of every annotation.
pub const GROUP: &str = "agoraplatform.dev";
/// Annotation on a Marketplace: `"true"` stops every write of the operator.
pub const PAUSED: &str = "agoraplatform.dev/paused";
/// Annotation on a Marketplace: `order-events=24,…` accepts that keys move to other partitions.
pub const ACCEPT_PARTITIONS: &str = "agoraplatform.dev/accept-partitions";
/// Label on a Secret: `"true"` lets the Marketplaces of its namespace use it.
pub const USABLE: &str = "agoraplatform.dev/usable";
/// Finalizer on a Marketplace: databases, topics and groups are dealt with before it goes.
pub const FINALIZER: &str = "agoraplatform.dev/data";
