//! What the conditions are based on: written children, and the reports of the services about themselves.

use agora_crd::Reason;

use super::View;
use crate::decide::diff::is_written_for;
use crate::decide::object::{Group, Object, Ownership};
use crate::decide::observed::{ConditionError, Evidence};

/// Names that services give to their dependencies.
pub const DATABASE: &str = "database";
pub const BROKER: &str = "kafka";
pub const REDIS: &str = "redis";
pub const ARCHIVE: &str = "archive";

/// Why the children of a group are not as desired: a failed write, or a child that is not observed as it was last written.
pub fn not_written(view: &View, group: Group) -> Option<ConditionError> {
    failed_write(view, group).or_else(|| pending_write(view, group))
}

pub fn failed_write(view: &View, group: Group) -> Option<ConditionError> {
    view.applied.errors.iter().find(|(of, _)| *of == group).map(|(_, error)| error.clone())
}

pub fn pending_write(view: &View, group: Group) -> Option<ConditionError> {
    let pending =
        view.desired.objects().filter(|object| object.group == group).find(|object| !is_current(view, object))?;
    Some(ConditionError::new(Reason::Progressing, format!("{} is being written", pending.key)))
}

/// Whether a child was observed as it is desired now.
pub fn is_current(view: &View, object: &Object) -> bool {
    let live = view.observed.children.get(&object.key);
    live.is_some_and(|live| object.ownership == Ownership::CreateOnce || is_written_for(object, live))
}

/// What a service reports of itself.
pub fn of_service<'a>(view: &'a View, service: &str) -> &'a Evidence {
    let services = view.observed.services.as_ref();
    services.and_then(|observation| observation.services.get(service)).unwrap_or(&Evidence::NeverAnswered)
}

/// The first service that reports that it lacks this dependency, with the reason.
pub fn reported_missing<'a>(view: &'a View, dependency: &str) -> Option<(&'static str, &'a str)> {
    view.plan.services.iter().find_map(|service| match of_service(view, service.row.name) {
        Evidence::Reported(degraded) => degraded.get(dependency).map(|reason| (service.row.name, reason.as_str())),
        Evidence::NeverAnswered | Evidence::Silent(_) => None,
    })
}

/// The first service that answered before and does not any more, with the error.
pub fn silent<'a>(view: &'a View) -> Option<(&'static str, &'a str)> {
    view.plan.services.iter().find_map(|service| match of_service(view, service.row.name) {
        Evidence::Silent(error) => Some((service.row.name, error.as_str())),
        Evidence::NeverAnswered | Evidence::Reported(_) => None,
    })
}
