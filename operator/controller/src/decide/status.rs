//! What is reported: one condition per question, each with a reason of the closed list and a message that names the
//! object and the remedy. Pure; computed always, also when half of a pass failed.

mod groups;
mod services;

use agora_crd::{ConditionType, Effective, Marketplace, MarketplaceStatus, Reason, ServiceRollout, ServiceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use time::OffsetDateTime;

use crate::decide::applied::Applied;
use crate::decide::desired::Desired;
use crate::decide::observed::{Observed, Trouble};
use crate::decide::plan::{Plan, Violation};

/// Services without which a shopper cannot buy.
fn needed_to_buy() -> impl Iterator<Item = &'static str> {
    agora_topology::ALL.iter().filter(|service| service.needed_to_buy).map(|service| service.name)
}

/// Everything that a status is computed from.
pub struct View<'a> {
    /// The resource.
    pub market: &'a Marketplace,
    /// What its spec means.
    pub plan: &'a Plan,
    /// What cannot be realised.
    pub violations: &'a [Violation],
    /// Whether every write is stopped.
    pub paused: bool,
    /// What was read.
    pub observed: &'a Observed,
    /// What should exist.
    pub desired: &'a Desired,
    /// What a pass did.
    pub applied: &'a Applied,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why.
    pub reason: Reason,
    /// The object and the remedy.
    pub message: String,
}

impl Answer {
    fn yes(reason: Reason) -> Self {
        Self { status: "True", reason, message: String::new() }
    }

    fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: "False", reason, message: message.into() }
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason: Reason::WaitingForDependency, message: message.into() }
    }

    fn of(trouble: &Trouble) -> Self {
        Self::no(trouble.reason, trouble.message.clone())
    }

    fn is_true(&self) -> bool {
        self.status == "True"
    }
}

/// The status.
pub fn status(view: &View) -> MarketplaceStatus {
    let services = services::services(view);
    let groups = groups::groups(view, &services);
    let verdict = verdict(view, &groups);
    let stable = services.iter().all(|service| service.rollout == ServiceRollout::Stable);
    let before = view.market.status.as_ref();
    let ready = services.iter().filter(|service| is_up(service)).count();
    MarketplaceStatus {
        observed_generation: view.market.metadata.generation,
        version: if stable {
            Some(view.plan.version.clone())
        } else {
            before.and_then(|status| status.version.clone())
        },
        summary: Some(format!("{ready}/{} services ready", services.len())),
        conditions: conditions(view, available(&services), verdict, groups),
        kafka: groups::kafka_status(view).or_else(|| before.and_then(|status| status.kafka.clone())),
        effective: Some(effective(view.plan)),
        services,
    }
}

/// The status of one that cannot end, and what it waits for; the rest stays as it was last seen.
pub fn ending(market: &Marketplace, trouble: &Trouble, now: OffsetDateTime) -> MarketplaceStatus {
    let before = market.status.clone().unwrap_or_default();
    let mut status = MarketplaceStatus { observed_generation: market.metadata.generation, ..before };
    let message = format!("the deletion waits: {}", trouble.message);
    let answers = [
        (ConditionType::Available, Answer::no(Reason::Terminating, message.clone())),
        (ConditionType::Ready, Answer::no(trouble.reason, message.clone())),
        (ConditionType::Reconciling, Answer { status: "True", reason: Reason::Terminating, message }),
    ];
    for (type_, answer) in answers {
        let new = condition(market, now, type_, answer);
        match status.conditions.iter_mut().find(|known| known.type_ == new.type_) {
            Some(known) => *known = new,
            None => status.conditions.push(new),
        }
    }
    status
}

fn is_up(service: &ServiceStatus) -> bool {
    service.ready > 0 && service.ready >= service.desired
}

fn available(services: &[ServiceStatus]) -> Answer {
    let up = |name: &&str| services.iter().any(|service| service.name == **name && service.ready > 0);
    let down: Vec<&str> = needed_to_buy().filter(|name| !up(name)).collect();
    if down.is_empty() {
        return Answer::yes(Reason::ShoppersCanBuy);
    }
    Answer::no(Reason::Progressing, format!("no pod is ready of: {}", down.join(", ")))
}

/// Whether the spec is realised, whether work is under way, whether it goes on by itself.
struct Verdict {
    ready: Answer,
    reconciling: Answer,
    stalled: Answer,
}

fn verdict(view: &View, groups: &[(ConditionType, Answer)]) -> Verdict {
    let up_to_date = || Answer::no(Reason::UpToDate, "");
    let moving = || Answer::no(Reason::Progressing, "");
    if let Some(first) = view.violations.first() {
        let all: Vec<&str> = view.violations.iter().map(|violation| violation.message.as_str()).collect();
        let stalled = Answer { status: "True", reason: first.reason, message: all.join("; ") };
        let ready = Answer::no(first.reason, stalled.message.clone());
        return Verdict { ready, reconciling: Answer::no(first.reason, ""), stalled };
    }
    if view.paused {
        let message = format!("nothing is written while the annotation {}=\"true\" stands", agora_crd::PAUSED);
        let ready = Answer::no(Reason::Paused, message.clone());
        return Verdict { ready, reconciling: Answer::no(Reason::Paused, message), stalled: moving() };
    }
    // Ready does not wait for the autoscalers' first numbers.
    let waits =
        |(type_, answer): &&(ConditionType, Answer)| *type_ != ConditionType::AutoscalingReady && !answer.is_true();
    let mut open: Vec<&(ConditionType, Answer)> = groups.iter().filter(waits).collect();
    open.sort_by_key(|(type_, answer)| (!answer.reason.stalls(), *type_));
    let Some((type_, worst)) = open.first() else {
        return Verdict {
            ready: Answer::yes(Reason::AllComponentsReady),
            reconciling: up_to_date(),
            stalled: moving(),
        };
    };
    let message = format!("{type_}: {}", worst.message);
    let ready = Answer::no(worst.reason, message.clone());
    if worst.reason.stalls() {
        let stalled = Answer { status: "True", reason: worst.reason, message };
        return Verdict { ready, reconciling: Answer::no(worst.reason, ""), stalled };
    }
    let reconciling = Answer { status: "True", reason: Reason::Progressing, message };
    Verdict { ready, reconciling, stalled: moving() }
}

fn conditions(
    view: &View,
    available: Answer,
    verdict: Verdict,
    groups: Vec<(ConditionType, Answer)>,
) -> Vec<Condition> {
    let first = [
        (ConditionType::Available, available),
        (ConditionType::Ready, verdict.ready),
        (ConditionType::Reconciling, verdict.reconciling),
        (ConditionType::Stalled, verdict.stalled),
    ];
    let all = first.into_iter().chain(groups);
    all.map(|(type_, answer)| condition(view.market, view.observed.now, type_, answer)).collect()
}

/// The time of the last change is kept while the status stays the same.
fn condition(market: &Marketplace, now: OffsetDateTime, type_: ConditionType, answer: Answer) -> Condition {
    let name = type_.to_string();
    let before = market.status.iter().flat_map(|status| &status.conditions).find(|known| known.type_ == name);
    let same = before.filter(|known| known.status == answer.status);
    Condition {
        last_transition_time: same.map_or_else(|| stamp(now), |known| known.last_transition_time.clone()),
        message: answer.message,
        observed_generation: market.metadata.generation,
        reason: answer.reason.to_string(),
        status: answer.status.to_owned(),
        type_: name,
    }
}

fn stamp(now: OffsetDateTime) -> Time {
    Time(Timestamp::from_second(now.unix_timestamp()).unwrap_or_default())
}

fn effective(plan: &Plan) -> Effective {
    Effective {
        isolation_key: plan.isolation_key.clone(),
        image: plan.image.clone(),
        database_tls: format!("{:?}", plan.database.tls.mode),
        kafka_tls: format!("{:?}", plan.kafka.tls.mode),
        kafka_authentication: format!("{:?}", plan.kafka.mechanism),
        topic_partitions: plan.kafka.partitions,
        topic_replicas: plan.kafka.replicas,
        payments: format!("{:?}", plan.payments),
        legacy_aliases: format!("{:?}", plan.exposure.legacy_aliases),
        max_connections: plan.budget.limit,
        pool_size: plan.budget.pool,
    }
}
