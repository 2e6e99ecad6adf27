//! The write of one child: no request, a creation, an update, or the repair of a change by another client.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::core::DynamicObject;

use super::Pass;
use super::requests::{Mode, is_stale};
use crate::cluster::changes::{WORKLOAD, log_change};
use crate::decide::correction::{Correction, Severity};
use crate::decide::diff::{Difference, changed_fields, diff, is_made_immutable, normal_form, reversible_changes};
use crate::decide::object::Object;
use crate::decide::repairs::{Contest, Repairs};
use crate::kinds::{Kind, ObjectKey};

/// What is repaired if another client deleted a whole child.
const WHOLE_OBJECT: &str = "the object itself";
const FIELDS_NAMED_MAX: usize = 5;

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot write {key}")]
    Api { key: ObjectKey, source: kube::Error },
    #[error("{key} exists and does not belong to this Marketplace: rename or delete it")]
    NotOwned { key: ObjectKey },
    /// The observed state is out of date; the next reconciliation writes.
    #[error("{key} was created or changed by another client during this reconciliation")]
    Conflict { key: ObjectKey },
    #[error("{} of {key} is changed again after each repair, last by {}", .contest.field, .contest.manager)]
    Contested { key: ObjectKey, contest: Contest },
}

impl WriteError {
    pub(super) fn api(key: &ObjectKey, source: kube::Error) -> Self {
        Self::Api { key: key.clone(), source }
    }

    pub(super) fn conflict(key: &ObjectKey) -> Self {
        Self::Conflict { key: key.clone() }
    }

    pub(super) fn stale_or_api(key: &ObjectKey, source: kube::Error) -> Self {
        match source {
            kube::Error::Api(status) if is_stale(&status) => Self::conflict(key),
            source => Self::api(key, source),
        }
    }
}

impl Pass<'_> {
    /// Returns whether a request was sent that changed something.
    pub(super) async fn write(&self, object: &Object) -> Result<bool, WriteError> {
        let live = self.observed.children.get(&object.key);
        let difference = self.cluster.writes(self.market, |writes| {
            let last = writes.get(&object.key);
            diff(object, live, last.and_then(|last| last.verified(object)))
        });
        let written = match (difference, live) {
            (Difference::None, _) => false,
            (Difference::Missing, _) | (_, None) => self.write_missing(object).await?,
            (_, Some(live)) if is_made_immutable(object, live) => self.unlock(object, live).await?,
            (Difference::Outdated, Some(live)) => {
                let new = self.replace(object, live, Mode::Write).await?;
                let fields = changed_fields(&normal_form(object, live), &normal_form(object, &new));
                self.record(object, new, &format!("the desired state changed in {}", named(&fields)));
                true
            }
            (Difference::Unverified, Some(live)) => self.verify(object, live).await?,
            (Difference::Changed, Some(live)) => self.revert(object, live, &reversible_changes(object, live)).await?,
        };
        let contest = self.repairs(object, |repairs| repairs.contest(self.observed.now));
        contest.map_or(Ok(written), |contest| Err(WriteError::Contested { key: object.key.clone(), contest }))
    }

    /// Creates a child. If this process created it before, another client deleted it.
    async fn write_missing(&self, object: &Object) -> Result<bool, WriteError> {
        let now = self.observed.now;
        let deleted =
            self.cluster.writes(self.market, |writes| writes.get(&object.key).is_some_and(|last| last.existed));
        let whole = [WHOLE_OBJECT.to_owned()];
        if deleted && !self.repairs(object, |repairs| repairs.are_due(&whole, now)) {
            return Ok(false);
        }
        self.create(object).await?;
        if deleted {
            self.repairs(object, |repairs| repairs.record(&whole, "an unknown client", now));
            self.report(object, None, recreated(object)).await;
        }
        Ok(true)
    }

    /// Compares a child with what the API server would store for it, and repairs it if they differ.
    async fn verify(&self, object: &Object, live: &DynamicObject) -> Result<bool, WriteError> {
        // The semaphore is never closed.
        let permit = self.cluster.comparisons.acquire().await;
        let expected = self.replace(object, live, Mode::DryRun).await?;
        drop(permit);
        self.cluster.writes(self.market, |writes| {
            writes.entry(object.key.clone()).or_default().verify(object, &expected);
        });
        let fields = changed_fields(&normal_form(object, &expected), &normal_form(object, live));
        self.revert(object, live, &fields).await
    }

    /// Changes fields back that another client changed, if that is due.
    async fn revert(&self, object: &Object, live: &DynamicObject, fields: &[String]) -> Result<bool, WriteError> {
        let now = self.observed.now;
        if fields.is_empty() || !self.repairs(object, |repairs| repairs.are_due(fields, now)) {
            return Ok(false);
        }
        let manager = self.last_manager(object).await;
        let new = self.replace(object, live, Mode::Write).await?;
        self.record(object, new, &format!("{manager} changed {}", named(fields)));
        self.repairs(object, |repairs| repairs.record(fields, &manager, now));
        self.report(object, live.resource_version(), reverted(object, fields, &manager)).await;
        Ok(true)
    }

    /// Replaces a child that another client made immutable, under its name.
    async fn unlock(&self, object: &Object, live: &DynamicObject) -> Result<bool, WriteError> {
        let (now, field) = (self.observed.now, ["immutable".to_owned()]);
        if !self.repairs(object, |repairs| repairs.are_due(&field, now)) {
            return Ok(false);
        }
        let manager = self.last_manager(object).await;
        let reason = format!("{manager} made it immutable");
        let new = self.recreate(object, live, &reason).await?;
        self.record(object, new, &reason);
        self.repairs(object, |repairs| repairs.record(&field, &manager, now));
        self.report(object, live.resource_version(), reverted(object, &field, &manager)).await;
        Ok(true)
    }

    fn repairs<T>(&self, object: &Object, work: impl FnOnce(&mut Repairs) -> T) -> T {
        self.cluster.writes(self.market, |writes| work(&mut writes.entry(object.key.clone()).or_default().repairs))
    }

    /// Logs and stores a write.
    pub(super) fn record(&self, object: &Object, mut live: DynamicObject, reason: &str) {
        metrics::counter!("operator_writes_total", "kind" => object.key.kind.word()).increment(1);
        log_change(self.market, WORKLOAD, &format!("wrote {}", object.key), reason);
        live.metadata.managed_fields = None;
        self.cluster.writes(self.market, |writes| writes.entry(object.key.clone()).or_default().wrote(object, live));
    }

    async fn report(&self, object: &Object, version: Option<String>, (severity, note): (Severity, String)) {
        let object = reference(object, &self.market.namespace, version);
        self.cluster.events.corrected(self.reference, Correction { object, severity, note }).await;
    }
}

/// The first fields, separated by commas.
fn named(fields: &[String]) -> String {
    let first = fields.iter().take(FIELDS_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match fields.len().saturating_sub(FIELDS_NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more fields"),
    }
}

fn reverted(object: &Object, fields: &[String], manager: &str) -> (Severity, String) {
    let (key, fields) = (&object.key, named(fields));
    let note = format!("Reverted {fields} of {key} (changed by {manager}): to change it, edit the Marketplace");
    (Severity::Reverted, note)
}

fn recreated(object: &Object) -> (Severity, String) {
    let key = &object.key;
    if key.kind == Kind::Secret {
        let note = format!(
            "Recreated {key} with new values (deleted by another client): the old values are lost unless you restore the \
             Secret from a backup"
        );
        return (Severity::DataLoss, note);
    }
    (Severity::Reverted, format!("Recreated {key} (deleted by another client): to remove it, edit the Marketplace"))
}

fn reference(object: &Object, namespace: &str, version: Option<String>) -> ObjectReference {
    let api = object.key.kind.resource();
    ObjectReference {
        api_version: Some(api.api_version),
        kind: Some(api.kind),
        name: Some(object.key.name.clone()),
        namespace: Some(namespace.to_owned()),
        resource_version: version,
        ..ObjectReference::default()
    }
}
