//! One condition per group: each tells of its own kind of thing alone, so that a broker that is away is not mistaken for
//! pods that are.

use std::collections::BTreeMap;

use agora_crd::{ConditionType, KafkaStatus, Reason, ServiceRollout, ServiceStatus, TopicDifference};
use kube::ResourceExt;
use serde_json::Value;

use super::services::pod_trouble;
use super::{Answer, View};
use crate::decide::desired::external::Fingerprint;
use crate::decide::object::Group;
use crate::decide::observed::Trouble;
use crate::kinds::Kind;

/// Every group.
pub fn groups(view: &View, services: &[ServiceStatus]) -> Vec<(ConditionType, Answer)> {
    vec![
        (ConditionType::DatabaseReady, database(view)),
        (ConditionType::KafkaReady, kafka(view)),
        (ConditionType::RedisReady, redis(view)),
        (ConditionType::CredentialsReady, credentials(view)),
        (ConditionType::WorkloadsReady, workloads(view, services)),
        (ConditionType::AutoscalingReady, autoscaling(view)),
        (ConditionType::RouteReady, route(view)),
    ]
}

fn database(view: &View) -> Answer {
    let plan = &view.plan.database;
    let wanted = match &view.desired.databases {
        Ok(wanted) => wanted.fingerprint(),
        Err(trouble) => return Answer::of(trouble),
    };
    let outcome = view.observed.databases.as_ref().filter(|outcome| outcome.wanted == wanted);
    let Some(outcome) = outcome else {
        return Answer::unknown(format!("the database server {}:{} is being asked", plan.host, plan.port));
    };
    if let Err(trouble) = &outcome.connections {
        return Answer::of(trouble);
    }
    first_trouble(&outcome.databases).map_or_else(|| Answer::yes(Reason::Provisioned), Answer::of)
}

fn kafka(view: &View) -> Answer {
    let wanted = match &view.desired.topics {
        Ok(wanted) => wanted.fingerprint(),
        Err(trouble) => return Answer::of(trouble),
    };
    let Some(outcome) = view.observed.topics.as_ref().filter(|outcome| outcome.wanted == wanted) else {
        return Answer::unknown(format!("the broker {} is being asked", view.plan.kafka.bootstrap.join(",")));
    };
    match &outcome.topics {
        Err(trouble) => Answer::of(trouble),
        Ok(topics) => first_trouble(topics).map_or_else(|| Answer::yes(Reason::TopicsInSync), Answer::of),
    }
}

/// How many topics are as they should be; absent until a broker answered.
pub fn kafka_status(view: &View) -> Option<KafkaStatus> {
    let topics = view.observed.topics.as_ref()?.topics.as_ref().ok()?;
    let difference = |(name, result): (&String, &Result<(), Trouble>)| {
        let trouble = result.as_ref().err()?;
        let (reason, message) = (trouble.reason.to_string(), trouble.message.clone());
        Some(TopicDifference { name: name.clone(), reason, message })
    };
    let not_in_sync: Vec<_> = topics.iter().filter_map(difference).collect();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Some(KafkaStatus {
        topics_desired: number(view.plan.kafka.topics.len()),
        topics_in_sync: number(topics.len() - not_in_sync.len()),
        not_in_sync,
    })
}

fn redis(view: &View) -> Answer {
    let wanted = match &view.desired.redis {
        Ok(wanted) => wanted.fingerprint(),
        Err(trouble) => return Answer::of(trouble),
    };
    match view.observed.redis.as_ref().filter(|outcome| outcome.wanted == wanted) {
        None => Answer::unknown(format!("Redis at {} is being asked", view.plan.redis_endpoint)),
        Some(outcome) => match &outcome.answer {
            Ok(()) => Answer::yes(Reason::Reachable),
            Err(trouble) => Answer::of(trouble),
        },
    }
}

fn credentials(view: &View) -> Answer {
    let mut names = view.plan.named_secrets().into_iter();
    let unusable = names.find_map(|name| view.observed.named(&name).err());
    if let Some(trouble) = unusable {
        return Answer::of(&trouble);
    }
    not_written(view, Group::Credentials).map_or_else(|| Answer::yes(Reason::Current), Answer::of)
}

fn workloads(view: &View, services: &[ServiceStatus]) -> Answer {
    if let Some(trouble) = not_written(view, Group::Workloads) {
        return Answer::of(trouble);
    }
    let mut waiting: Vec<&Trouble> = view.desired.waiting.values().collect();
    waiting.sort_by_key(|trouble| !trouble.reason.stalls());
    if let Some(trouble) = waiting.first() {
        return Answer::of(trouble);
    }
    let of = |rollout: ServiceRollout| {
        let found = services.iter().filter(move |service| service.rollout == rollout);
        found.map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let unstable = services.iter().any(|service| service.rollout != ServiceRollout::Stable);
    if let Some(trouble) = pod_trouble(view).filter(|_| unstable) {
        return Answer::of(&trouble);
    }
    let failed = of(ServiceRollout::Failed);
    if !failed.is_empty() {
        let message = format!("the newest pods do not become ready of: {failed}: see their logs");
        return Answer::no(Reason::ProgressDeadlineExceeded, message);
    }
    let open = [of(ServiceRollout::Waiting), of(ServiceRollout::Progressing)];
    let open: Vec<String> = open.into_iter().filter(|names| !names.is_empty()).collect();
    if open.is_empty() {
        return Answer::yes(Reason::MinimumReplicasAvailable);
    }
    Answer::no(Reason::Progressing, format!("pods are being started of: {}", open.join(", ")))
}

fn autoscaling(view: &View) -> Answer {
    if let Some(trouble) = not_written(view, Group::Autoscaling) {
        return Answer::of(trouble);
    }
    if !view.plan.services.iter().any(|service| service.replicas.automatic()) {
        return Answer::yes(Reason::NotRequested);
    }
    let mut known = 0;
    for autoscaler in view.observed.children.of(Kind::HorizontalPodAutoscaler) {
        let Some(active) = condition(&autoscaler.data, "ScalingActive") else { continue };
        known += 1;
        if active["status"] == "False" && active["reason"] != "ScalingDisabled" {
            let said = active["reason"].as_str().unwrap_or_default();
            let message =
                format!("autoscaler {} has no numbers ({said}): see the metrics server", autoscaler.name_any());
            return Answer::no(Reason::MetricsUnavailable, message);
        }
    }
    if known == 0 {
        return Answer::unknown("no autoscaler has reported yet");
    }
    Answer::yes(Reason::ValidMetricFound)
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)
}

fn route(view: &View) -> Answer {
    if let Some(trouble) = not_written(view, Group::Route) {
        return Answer::of(trouble);
    }
    let Some(ingress) = &view.plan.exposure.ingress else { return Answer::yes(Reason::NotRequested) };
    let certificate = ingress.tls_secret.as_ref().and_then(|name| view.observed.named(name).err());
    certificate.as_ref().map_or_else(|| Answer::yes(Reason::Applied), Answer::of)
}

fn not_written<'a>(view: &'a View, group: Group) -> Option<&'a Trouble> {
    view.applied.troubles.iter().find(|(of, _)| *of == group).map(|(_, trouble)| trouble)
}

/// Of several, one that waits for somebody.
fn first_trouble(results: &BTreeMap<String, Result<(), Trouble>>) -> Option<&Trouble> {
    let mut troubles: Vec<&Trouble> = results.values().filter_map(|result| result.as_ref().err()).collect();
    troubles.sort_by_key(|trouble| !trouble.reason.stalls());
    troubles.first().copied()
}
