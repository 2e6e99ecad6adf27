//! The status: conditions with reasons from a closed list and messages that name the object and the remedy.
//!
//! Pure. It is computed in every reconciliation, even if applying the desired state failed in part.

mod available;
mod evidence;
mod groups;
mod pods;
mod services;

use std::collections::BTreeSet;

use agora_crd::{ConditionType, Effective, Marketplace, MarketplaceStatus, Reason, ServiceRollout, ServiceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use time::OffsetDateTime;

use crate::decide::applied::Applied;
use crate::decide::data_guard::are_used;
use crate::decide::desired::Desired;
use crate::decide::observed::{ConditionError, Observed};
use crate::decide::plan::{MailPlan, Plan, Violation};

pub use pods::{JobWithoutPod, jobs_without_pods};

/// The input of the status.
pub struct View<'a> {
    pub market: &'a Marketplace,
    pub plan: &'a Plan,
    pub violations: &'a [Violation],
    /// Whether the annotation that stops all writes is set.
    pub paused: bool,
    pub observed: &'a Observed,
    pub desired: &'a Desired,
    pub applied: &'a Applied,
}

impl View<'_> {
    /// The accepted losses that the last inspection of the current desired state reports no more.
    pub fn used_acceptances(&self) -> BTreeSet<String> {
        let accepted = &self.plan.known.accepted.losses;
        let databases = groups::current_databases(self).map(|observation| &observation.databases);
        let topics = groups::current_topics(self).and_then(|observation| observation.topics.as_ref().ok());
        databases.into_iter().chain(topics).flat_map(|results| are_used(accepted, results)).collect()
    }
}

/// Status, reason and message of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionState {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    pub reason: Reason,
    /// What was seen, with the object and the remedy if the status is not as it should be.
    pub message: String,
}

impl ConditionState {
    fn yes(reason: Reason, seen: impl Into<String>) -> Self {
        Self { status: "True", reason, message: seen.into() }
    }

    fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: "False", reason, message: message.into() }
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self { status: "Unknown", reason: Reason::WaitingForDependency, message: message.into() }
    }

    fn of(error: &ConditionError) -> Self {
        Self::no(error.reason, error.message.clone())
    }

    fn is_true(&self) -> bool {
        self.status == "True"
    }
}

pub fn status(view: &View) -> MarketplaceStatus {
    let services = services::services(view);
    let groups = groups::groups(view, &services);
    let overall = overall(view, &groups);
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
        conditions: conditions(view, available::available(view, &services, &groups), overall, groups),
        database: view.plan.known.database_status(),
        kafka: groups::kafka_status(view).or_else(|| before.and_then(|status| status.kafka.clone())),
        effective: Some(effective(view.plan)),
        services,
    }
}

/// The conditions of a Marketplace that cannot be decoded. Other conditions keep their last values.
pub fn unreadable_conditions(
    before: &[Condition],
    generation: Option<i64>,
    error: &str,
    now: OffsetDateTime,
) -> Vec<Condition> {
    let message = format!(
        "this release of the operator cannot read the Marketplace ({error}): correct the field, or install the CRD and the \
         operator of the same release; the shop stays as it is"
    );
    let states = [
        (ConditionType::Ready, ConditionState::no(Reason::InvalidSpec, message.clone())),
        (ConditionType::Reconciling, ConditionState::no(Reason::InvalidSpec, WAITS_FOR_USER)),
        (ConditionType::Stalled, ConditionState { status: "True", reason: Reason::InvalidSpec, message }),
    ];
    replaced(before, generation, now, states)
}

/// The conditions with new values of some.
fn replaced(
    before: &[Condition],
    generation: Option<i64>,
    now: OffsetDateTime,
    states: [(ConditionType, ConditionState); 3],
) -> Vec<Condition> {
    let mut conditions = before.to_vec();
    for (type_, state) in states {
        let new = condition(before, generation, now, type_, state);
        match conditions.iter_mut().find(|known| known.type_ == new.type_) {
            Some(known) => *known = new,
            None => conditions.push(new),
        }
    }
    conditions
}

/// The status of a Marketplace whose deletion is blocked by `error`. Other conditions keep their last values.
pub fn terminating(market: &Marketplace, error: &ConditionError, now: OffsetDateTime) -> MarketplaceStatus {
    let before = market.status.clone().unwrap_or_default();
    let generation = market.metadata.generation;
    let message = format!("the deletion waits: {}", error.message);
    let states = [
        (ConditionType::Available, ConditionState::no(Reason::Terminating, message.clone())),
        (ConditionType::Ready, ConditionState::no(error.reason, message.clone())),
        (ConditionType::Reconciling, ConditionState { status: "True", reason: Reason::Terminating, message }),
    ];
    let conditions = replaced(&before.conditions, generation, now, states);
    MarketplaceStatus { observed_generation: generation, conditions, ..before }
}

fn no_answer(service: &str, error: &str) -> ConditionState {
    let message = format!("service {service} does not answer any more ({error}): see its pods and their logs");
    ConditionState::no(Reason::ServiceUnreachable, message)
}

fn is_up(service: &ServiceStatus) -> bool {
    service.ready > 0 && service.ready >= service.desired
}

const WAITS_FOR_USER: &str = "waits for a change by a user: see condition Stalled";

/// The conditions that summarise the groups.
struct Overall {
    ready: ConditionState,
    reconciling: ConditionState,
    stalled: ConditionState,
}

fn overall(view: &View, groups: &[(ConditionType, ConditionState)]) -> Overall {
    let up_to_date = || ConditionState::no(Reason::UpToDate, "every component is as the spec describes it");
    let not_stalled = || ConditionState::no(Reason::Progressing, "nothing needs a change by a user");
    if let Some(first) = view.violations.first() {
        let all: Vec<&str> = view.violations.iter().map(|violation| violation.message.as_str()).collect();
        let stalled = ConditionState { status: "True", reason: first.reason, message: all.join("; ") };
        let ready = ConditionState::no(first.reason, stalled.message.clone());
        let reconciling = ConditionState::no(first.reason, WAITS_FOR_USER);
        return Overall { ready, reconciling, stalled };
    }
    if view.paused {
        let message =
            format!("paused: the operator writes nothing until the annotation {} is removed", agora_crd::PAUSED);
        let ready = ConditionState::no(Reason::Paused, message.clone());
        return Overall { ready, reconciling: ConditionState::no(Reason::Paused, message), stalled: not_stalled() };
    }
    // A new autoscaler has no metrics for a while; Ready does not wait for them.
    let waits = |(type_, state): &&(ConditionType, ConditionState)| {
        *type_ != ConditionType::AutoscalingReady && !state.is_true()
    };
    let mut open: Vec<&(ConditionType, ConditionState)> = groups.iter().filter(waits).collect();
    open.sort_by_key(|(type_, state)| (!state.reason.stalls(), *type_));
    let Some((type_, worst)) = open.first() else {
        return Overall {
            ready: ConditionState::yes(Reason::AllComponentsReady, "the conditions of all components are True"),
            reconciling: up_to_date(),
            stalled: not_stalled(),
        };
    };
    let message = format!("{type_}: {}", worst.message);
    let ready = ConditionState::no(worst.reason, message.clone());
    if worst.reason.stalls() {
        let stalled = ConditionState { status: "True", reason: worst.reason, message };
        return Overall { ready, reconciling: ConditionState::no(worst.reason, WAITS_FOR_USER), stalled };
    }
    let reconciling = ConditionState { status: "True", reason: Reason::Progressing, message };
    Overall { ready, reconciling, stalled: not_stalled() }
}

fn conditions(
    view: &View,
    available: ConditionState,
    overall: Overall,
    groups: Vec<(ConditionType, ConditionState)>,
) -> Vec<Condition> {
    let first = [
        (ConditionType::Available, available),
        (ConditionType::Ready, overall.ready),
        (ConditionType::Reconciling, overall.reconciling),
        (ConditionType::Stalled, overall.stalled),
    ];
    let all = first.into_iter().chain(groups);
    let before = view.market.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let (generation, now) = (view.market.metadata.generation, view.observed.now);
    all.map(|(type_, state)| condition(before, generation, now, type_, state)).collect()
}

/// `lastTransitionTime` is kept as long as the status of the condition stays the same.
fn condition(
    before: &[Condition],
    generation: Option<i64>,
    now: OffsetDateTime,
    type_: ConditionType,
    state: ConditionState,
) -> Condition {
    let name = type_.to_string();
    let before = before.iter().find(|known| known.type_ == name);
    let same = before.filter(|known| known.status == state.status);
    Condition {
        last_transition_time: same.map_or_else(|| timestamp(now), |known| known.last_transition_time.clone()),
        message: state.message,
        observed_generation: generation,
        reason: state.reason.to_string(),
        status: state.status.to_owned(),
        type_: name,
    }
}

fn timestamp(now: OffsetDateTime) -> Time {
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
        mail: plan.mail.as_ref().map_or_else(|| "Suppressed".to_owned(), MailPlan::address),
        max_connections: plan.budget.limit,
        pool_size: plan.budget.pool,
    }
}
