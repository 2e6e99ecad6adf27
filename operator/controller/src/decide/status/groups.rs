//! One condition per group of resources, so that a user sees which group has a problem.

use std::collections::BTreeMap;

use agora_crd::{ConditionType, KafkaStatus, Reason, ServiceRollout, ServiceStatus, TopicDifference};
use agora_topology as topology;
use kube::ResourceExt;
use serde_json::Value;

use super::evidence::{self, ARCHIVE, BROKER, DATABASE, REDIS, not_written};
use super::pods::start_error;
use super::{ConditionState, View};
use crate::decide::desired::external::Fingerprint;
use crate::decide::object::Group;
use crate::decide::observed::{ConditionError, DatabasesObservation, Evidence, TopicsObservation};
use crate::decide::plan::host_and_port;
use crate::kinds::Kind;

pub fn groups(view: &View, services: &[ServiceStatus]) -> Vec<(ConditionType, ConditionState)> {
    vec![
        (ConditionType::DatabaseReady, database(view)),
        (ConditionType::KafkaReady, kafka(view)),
        (ConditionType::RedisReady, redis(view)),
        (ConditionType::CredentialsReady, credentials(view)),
        (ConditionType::WorkloadsReady, workloads(view, services)),
        (ConditionType::AutoscalingReady, autoscaling(view)),
        (ConditionType::RouteReady, route(view)),
        (ConditionType::ArchiveReady, archive(view)),
    ]
}

/// The inspection of the databases that are desired now.
pub fn current_databases<'a>(view: &'a View) -> Option<&'a DatabasesObservation> {
    let desired = view.desired.databases.as_ref().ok()?.fingerprint();
    view.observed.databases.as_ref().filter(|observation| observation.desired == desired)
}

/// The inspection of the topics that are desired now.
pub fn current_topics<'a>(view: &'a View) -> Option<&'a TopicsObservation> {
    let desired = view.desired.topics.as_ref().ok()?.fingerprint();
    view.observed.topics.as_ref().filter(|observation| observation.desired == desired)
}

fn database(view: &View) -> ConditionState {
    let plan = &view.plan.database;
    if let Err(error) = &view.desired.databases {
        return ConditionState::of(error);
    }
    let Some(observation) = current_databases(view) else {
        let message = format!("waiting for the inspection of the database server {}:{}", plan.host, plan.port);
        return ConditionState::unknown(message);
    };
    if let Err(error) = &observation.connections {
        return ConditionState::of(error);
    }
    if let Some(error) = first_error(&observation.databases) {
        return ConditionState::of(error);
    }
    let address = format!("{}:{}", plan.host, plan.port);
    if let Some((service, reason)) = evidence::reported_missing(view, DATABASE) {
        let message = format!(
            "service {service} reports that its database does not answer ({reason}), while the server {address} answers the \
             operator: check that the database accepts connections, and the network policies{}",
            view.plan.port_remedy(view.plan.database_address())
        );
        return ConditionState::no(Reason::DatabaseUnreachable, message);
    }
    let count = observation.databases.len();
    ConditionState::yes(Reason::Provisioned, format!("{count} databases with their logins exist at {address}"))
}

fn kafka(view: &View) -> ConditionState {
    if let Err(error) = &view.desired.topics {
        return ConditionState::of(error);
    }
    let Some(observation) = current_topics(view) else {
        let brokers = view.plan.kafka.bootstrap.join(",");
        return ConditionState::unknown(format!("waiting for the inspection of the broker {brokers}"));
    };
    match &observation.topics {
        Err(error) => ConditionState::of(error),
        Ok(topics) => first_error(topics).map_or_else(|| topics_in_sync(view, topics.len()), ConditionState::of),
    }
}

fn topics_in_sync(view: &View, count: usize) -> ConditionState {
    let brokers = view.plan.kafka.bootstrap.join(",");
    if let Some((service, reason)) = evidence::reported_missing(view, BROKER) {
        let addresses = view.plan.kafka.bootstrap.iter().filter_map(|address| host_and_port(address));
        let remedies = addresses.map(|address| view.plan.port_remedy(address));
        let message = format!(
            "service {service} reports that the broker does not answer ({reason}), while {brokers} answers the operator: \
             check the broker's addresses and the network policies{}",
            remedies.collect::<String>()
        );
        return ConditionState::no(Reason::BrokerUnreachable, message);
    }
    ConditionState::yes(Reason::TopicsInSync, format!("{count} topics at {brokers} match the spec"))
}

/// `None` until the broker was inspected.
pub fn kafka_status(view: &View) -> Option<KafkaStatus> {
    let topics = view.observed.topics.as_ref()?.topics.as_ref().ok()?;
    let record = view.plan.known.topics.clone();
    let (address, identifier) =
        record.as_ref().map(|record| (record.address.clone(), record.identifier.clone())).unzip();
    let difference = |(name, result): (&String, &Result<(), ConditionError>)| {
        let error = result.as_ref().err()?;
        let (reason, message) = (error.reason.to_string(), error.message.clone());
        Some(TopicDifference { name: name.clone(), reason, message })
    };
    let not_in_sync: Vec<_> = topics.iter().filter_map(difference).collect();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Some(KafkaStatus {
        address,
        identifier,
        topics: record.map(|record| record.items.into_keys().collect()).unwrap_or_default(),
        managed_settings: view.plan.known.managed_settings(),
        topics_desired: number(view.plan.kafka.topics.len()),
        topics_in_sync: number(topics.len() - not_in_sync.len()),
        not_in_sync,
    })
}

fn redis(view: &View) -> ConditionState {
    let desired = match &view.desired.redis {
        Ok(desired) => desired.fingerprint(),
        Err(error) => return ConditionState::of(error),
    };
    match view.observed.redis.as_ref().filter(|observation| observation.desired == desired) {
        None => ConditionState::unknown(format!("waiting for the inspection of Redis {}", view.plan.redis_endpoint)),
        Some(observation) => match &observation.answer {
            Ok(()) => reachable(view),
            Err(error) => ConditionState::of(error),
        },
    }
}

fn reachable(view: &View) -> ConditionState {
    let endpoint = &view.plan.redis_endpoint;
    if let Some((service, reason)) = evidence::reported_missing(view, REDIS) {
        let remedy = host_and_port(endpoint).map(|address| view.plan.port_remedy(address)).unwrap_or_default();
        let message = format!(
            "service {service} reports that Redis does not answer ({reason}), while {endpoint} answers the operator: check \
             the network policies{remedy}"
        );
        return ConditionState::no(Reason::RedisUnreachable, message);
    }
    ConditionState::yes(Reason::Reachable, format!("Redis {endpoint} answers"))
}

fn credentials(view: &View) -> ConditionState {
    let mut names = view.plan.referenced_secrets().into_iter();
    let unusable = names.find_map(|(name, purpose)| view.observed.referenced_secret(&name, &purpose).err());
    if let Some(error) = unusable {
        return ConditionState::of(&error);
    }
    let generated = &view.observed.credentials;
    let corrupt = || generated.encryption.values().find_map(|keys| keys.as_ref().err());
    if let Some(error) = generated.signing.as_ref().err().or_else(corrupt) {
        return ConditionState::of(error);
    }
    if let Some(error) = not_written(view, Group::Credentials) {
        return ConditionState::of(&error);
    }
    let count = view.plan.referenced_secrets().len();
    let message = format!("the generated Secrets exist, and the {count} Secrets that the spec names can be used");
    ConditionState::yes(Reason::Current, message)
}

fn workloads(view: &View, services: &[ServiceStatus]) -> ConditionState {
    if let Some(error) = evidence::failed_write(view, Group::Workloads) {
        return ConditionState::of(&error);
    }
    let mut waiting: Vec<&ConditionError> = view.desired.waiting.values().collect();
    waiting.sort_by_key(|error| !error.reason.stalls());
    if let Some(error) = waiting.first().filter(|error| error.reason.stalls()) {
        return ConditionState::of(error);
    }
    let unstable = services.iter().any(|service| service.rollout != ServiceRollout::Stable);
    if let Some(error) = start_error(view).filter(|_| unstable) {
        return ConditionState::of(&error);
    }
    if let Some(error) = waiting.first() {
        return ConditionState::of(error);
    }
    if let Some(error) = evidence::pending_write(view, Group::Workloads) {
        return ConditionState::of(&error);
    }
    let of = |rollout: ServiceRollout| {
        let found = services.iter().filter(move |service| service.rollout == rollout);
        found.map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let failed = of(ServiceRollout::Failed);
    if !failed.is_empty() {
        let message = format!("new pods do not become ready: {failed}: see their logs");
        return ConditionState::no(Reason::ProgressDeadlineExceeded, message);
    }
    let open = [of(ServiceRollout::Waiting), of(ServiceRollout::Progressing)];
    let open: Vec<String> = open.into_iter().filter(|names| !names.is_empty()).collect();
    if open.is_empty() {
        return stable(view, services);
    }
    ConditionState::no(Reason::Progressing, format!("waiting for pods to become ready: {}", open.join(", ")))
}

/// Every rollout is complete.
fn stable(view: &View, services: &[ServiceStatus]) -> ConditionState {
    if let Some((service, error)) = evidence::silent(view) {
        return super::no_answer(service, error);
    }
    let pods: i32 = services.iter().map(|service| service.ready).sum();
    let message = format!("{pods} pods of {} services run version {} and are ready", services.len(), view.plan.version);
    ConditionState::yes(Reason::MinimumReplicasAvailable, message)
}

fn autoscaling(view: &View) -> ConditionState {
    if let Some(error) = not_written(view, Group::Autoscaling) {
        return ConditionState::of(&error);
    }
    if !view.plan.services.iter().any(|service| service.replicas.automatic()) {
        let message = "minReplicas equals maxReplicas in every service";
        return ConditionState::yes(Reason::NotRequested, message);
    }
    let mut known = 0;
    for autoscaler in view.observed.children.of(Kind::HorizontalPodAutoscaler) {
        let Some(active) = condition(&autoscaler.data, "ScalingActive") else {
            continue;
        };
        known += 1;
        if active["status"] == "False" && active["reason"] != "ScalingDisabled" {
            let (name, reason) = (autoscaler.name_any(), active["reason"].as_str().unwrap_or_default());
            let message = format!(
                "HorizontalPodAutoscaler {name} has no metrics ({reason}): check that metrics-server is installed and runs"
            );
            return ConditionState::no(Reason::MetricsUnavailable, message);
        }
    }
    if known == 0 {
        return ConditionState::unknown("waiting for the first status of a HorizontalPodAutoscaler");
    }
    ConditionState::yes(Reason::ValidMetricFound, format!("{known} HorizontalPodAutoscalers have their metrics"))
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

fn route(view: &View) -> ConditionState {
    if let Some(error) = not_written(view, Group::Route) {
        return ConditionState::of(&error);
    }
    let exposure = &view.plan.exposure;
    if let Some(error) = exposure.certificate().and_then(|name| view.observed.certificate(name).err()) {
        return ConditionState::of(&error);
    }
    let Some(ingress) = &exposure.ingress else {
        let Some(certificate) = &exposure.gateway_certificate else {
            return ConditionState::yes(Reason::NotRequested, "spec.exposure.type is None: there is no Ingress");
        };
        let service = view.plan.child(topology::GATEWAY.name);
        let message =
            format!("Service {service} terminates TLS at port 443 with the certificate of Secret {certificate}");
        return ConditionState::yes(Reason::Applied, message);
    };
    let hosts = ingress.hostnames.join(", ");
    ConditionState::yes(Reason::Applied, format!("the Ingress routes {hosts} to the gateway"))
}

/// What the service that writes the archive reports. Events that it cannot store wait in the broker.
fn archive(view: &View) -> ConditionState {
    let Some(archive) = &view.plan.archive else {
        return ConditionState::yes(Reason::NotRequested, "spec.archive is absent: there is no archive of events");
    };
    let (service, url) = (topology::SEARCH.name, &archive.url);
    match evidence::of_service(view, service) {
        Evidence::NeverAnswered => {
            ConditionState::unknown(format!("waiting for service {service}, which writes to {url}"))
        }
        Evidence::Silent(error) => super::no_answer(service, error),
        Evidence::Reported(degraded) => match degraded.get(ARCHIVE) {
            Some(reason) => ConditionState::no(
                Reason::ArchiveUnavailable,
                format!("service {service} cannot store events in {url}, and they wait in the broker: {reason}"),
            ),
            None => ConditionState::yes(Reason::Reachable, format!("service {service} stores every event in {url}")),
        },
    }
}

/// The first error; those that need a change by a user come first.
fn first_error(results: &BTreeMap<String, Result<(), ConditionError>>) -> Option<&ConditionError> {
    let mut errors: Vec<&ConditionError> = results.values().filter_map(|result| result.as_ref().err()).collect();
    errors.sort_by_key(|error| !error.reason.stalls());
    errors.first().copied()
}
