//! The steps of a shop's life, for events: what a new status completes or reports for the first time. Pure.

use agora_crd::{ConditionType, MarketplaceStatus, Reason, ServiceRollout, ServiceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::decide::desired::Desired;
use crate::decide::maybe::Maybe;
use crate::decide::observed::Observed;
use crate::kinds::{Kind, ObjectKey};

/// One step, of one or more services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    pub reason: Reason,
    /// Whether a user should look at it.
    pub warning: bool,
    /// What was done, to which objects, in which time.
    pub note: String,
    /// The first child that it is about, or the Marketplace itself.
    pub child: Option<ObjectKey>,
}

/// What happened between two statuses of the Marketplace `name`.
pub fn milestones(
    name: &str,
    before: Option<&MarketplaceStatus>,
    after: &MarketplaceStatus,
    observed: &Observed,
    desired: &Desired,
) -> Vec<Milestone> {
    let Some(before) = before else { return Vec::new() };
    let changes: Vec<(&ServiceStatus, &ServiceStatus)> = after
        .services
        .iter()
        .filter_map(|service| Some((before.services.iter().find(|known| known.name == service.name)?, service)))
        .collect();
    let first =
        |names: &[&str]| names.first().map(|service| ObjectKey::new(Kind::Deployment, format!("{name}-{service}")));
    let step = |reason, note: String, names: &[&str]| Milestone { reason, warning: false, note, child: first(names) };
    let mut found = Vec::new();
    found.extend(migrated(&changes, observed, desired).map(|(note, names)| step(Reason::Migrated, note, &names)));
    found.extend(rolled_out(&changes, after).map(|(note, names)| step(Reason::RolledOut, note, &names)));
    for (old, new) in &changes {
        if old.desired > 0 && new.desired > 0 && old.desired != new.desired {
            let note = format!("Scaled {} from {} to {} pods", new.name, old.desired, new.desired);
            found.push(step(Reason::Scaled, note, &[&new.name]));
        }
    }
    found.extend(alerts(before, after));
    found
}

/// Services that have waited for a migration which is complete now.
fn migrated<'a>(
    changes: &[(&ServiceStatus, &'a ServiceStatus)],
    observed: &Observed,
    desired: &Desired,
) -> Option<(String, Vec<&'a str>)> {
    let left = changes
        .iter()
        .filter(|(old, new)| old.rollout == ServiceRollout::Waiting && new.rollout != ServiceRollout::Waiting);
    let (mut names, mut longest) = (Vec::new(), 0);
    for (old, new) in left {
        let Some(seconds) = migration_seconds(old, &new.name, observed, desired) else { continue };
        names.push(new.name.as_str());
        longest = longest.max(seconds);
    }
    (!names.is_empty()).then(|| (format!("Migrated the databases of {} in {longest} s", names.join(", ")), names))
}

/// Duration of the service's Job, if it ended while the service waited.
fn migration_seconds(old: &ServiceStatus, service: &str, observed: &Observed, desired: &Desired) -> Option<i64> {
    let of_service = |(key, child): &(&ObjectKey, &Maybe<_>)| {
        key.kind == Kind::Job && matches!(child, Maybe::Want(_)) && key.name.contains(&format!("-{service}-migrate-"))
    };
    let (key, _) = desired.children.iter().find(of_service)?;
    let status = observed.children.job(&key.name)?.status?;
    let (start, end) = (status.start_time?.0.as_second(), status.completion_time?.0.as_second());
    (end >= old.last_transition_time.as_ref()?.0.as_second()).then_some(end - start)
}

fn rolled_out<'a>(
    changes: &[(&ServiceStatus, &'a ServiceStatus)],
    after: &MarketplaceStatus,
) -> Option<(String, Vec<&'a str>)> {
    let complete: Vec<_> = changes
        .iter()
        .filter(|(old, new)| old.rollout != ServiceRollout::Stable && new.rollout == ServiceRollout::Stable)
        .collect();
    let names: Vec<&str> = complete.iter().map(|(_, new)| new.name.as_str()).collect();
    let took = |(old, new): &&&(&ServiceStatus, &ServiceStatus)| {
        seconds_between(old.last_transition_time.as_ref()?, new.last_transition_time.as_ref()?)
    };
    let longest = complete.iter().filter_map(|pair| took(&pair)).max().unwrap_or_default();
    let pods: i32 = complete.iter().map(|(_, new)| new.ready).sum();
    let image = after.effective.as_ref().map(|effective| effective.image.as_str()).unwrap_or_default();
    let note = format!("Rolled out {} ({pods} pods of {image}) in {longest} s", names.join(", "));
    (!names.is_empty()).then_some((note, names))
}

/// Losses of availability and their ends, and what a user has to change.
fn alerts(before: &MarketplaceStatus, after: &MarketplaceStatus) -> Vec<Milestone> {
    let mut found = Vec::new();
    let milestone = |reason: Reason, warning, note| Milestone { reason, warning, note, child: None };
    if let (Some(old), Some(new)) = (of(before, ConditionType::Available), of(after, ConditionType::Available)) {
        match (old.status.as_str(), new.status.as_str()) {
            ("False", "True") => {
                let seconds = seconds_between(&old.last_transition_time, &new.last_transition_time).unwrap_or_default();
                found.push(milestone(Reason::ShoppersCanBuy, false, format!("Shoppers can buy, after {seconds} s")));
            }
            ("True", "False") => {
                found.push(milestone(Reason::NotAvailable, true, format!("Shoppers cannot buy: {}", new.message)));
            }
            _ => {}
        }
    }
    let stalled = |status| of(status, ConditionType::Stalled).filter(|condition| condition.status == "True");
    if let Some(new) = stalled(after)
        && stalled(before).is_none_or(|old| old.reason != new.reason)
    {
        found.push(milestone(Reason::NeedsUser, true, format!("{}: {}", new.reason, new.message)));
    }
    found
}

fn of(status: &MarketplaceStatus, type_: ConditionType) -> Option<&Condition> {
    let name = type_.to_string();
    status.conditions.iter().find(|condition| condition.type_ == name)
}

fn seconds_between(start: &Time, end: &Time) -> Option<i64> {
    Some(end.0.as_second() - start.0.as_second()).filter(|seconds| *seconds >= 0)
}
