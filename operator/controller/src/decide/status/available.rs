//! Condition Available: whether shoppers can buy. It is based on the pods, on what the services report of themselves, and
//! where the operator cannot read that, on the inspection of the database server.

use agora_crd::{ConditionType, Reason, ServiceStatus};
use agora_topology as topology;

use super::evidence::{self, DATABASE};
use super::{ConditionState, View};
use crate::decide::observed::Evidence;

fn needed_to_buy() -> impl Iterator<Item = &'static topology::Service> {
    topology::ALL.iter().filter(|service| service.needed_to_buy)
}

/// Lost data makes a shop unavailable even if its pods are ready: what they would show is wrong.
pub fn available(
    view: &View,
    services: &[ServiceStatus],
    groups: &[(ConditionType, ConditionState)],
) -> ConditionState {
    if let Some((type_, lost)) = groups.iter().find(|(_, state)| state.reason == Reason::DataLost) {
        return ConditionState::no(Reason::DataLost, format!("{type_}: {}", lost.message));
    }
    let up = |name: &str| services.iter().any(|service| service.name == name && service.ready > 0);
    let down: Vec<&str> = needed_to_buy().map(|row| row.name).filter(|name| !up(name)).collect();
    if !down.is_empty() {
        let message = format!("no ready pod of: {}: see condition WorkloadsReady", down.join(", "));
        return ConditionState::no(Reason::Progressing, message);
    }
    for row in needed_to_buy() {
        match evidence::of_service(view, row.name) {
            Evidence::Silent(error) => return super::no_answer(row.name, error),
            Evidence::Reported(degraded) => {
                if let Some(reason) = degraded.get(DATABASE) {
                    let message = format!(
                        "service {} reports that its database does not answer ({reason}): see condition DatabaseReady",
                        row.name
                    );
                    return ConditionState::no(Reason::DatabaseUnreachable, message);
                }
            }
            Evidence::NeverAnswered => {}
        }
    }
    let unproven =
        |row: &&topology::Service| row.database && *evidence::of_service(view, row.name) == Evidence::NeverAnswered;
    if needed_to_buy().any(|row| unproven(&row)) {
        return by_inspection(view);
    }
    let message = "every service that a purchase needs has a ready pod and reports that its database answers";
    ConditionState::yes(Reason::ShoppersCanBuy, message)
}

/// Without reports of the services, the shop counts as available if the database server answers.
fn by_inspection(view: &View) -> ConditionState {
    let address = format!("{}:{}", view.plan.database.host, view.plan.database.port);
    match view.observed.databases.as_ref().map(|observation| &observation.connections) {
        None => ConditionState::unknown(format!("waiting for the first inspection of the database server {address}")),
        Some(Err(error)) if error.reason == Reason::DatabaseUnreachable => ConditionState::of(error),
        Some(_) => ConditionState::yes(
            Reason::ShoppersCanBuy,
            format!(
                "every service that a purchase needs has a ready pod, and the database server {address} answers the \
                 operator; the operator has not read the services' own reports at their admin ports"
            ),
        ),
    }
}
