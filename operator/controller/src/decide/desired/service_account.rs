//! ServiceAccount: the pods of a service have no token, because no service calls the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{exact, labels};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan};
use crate::kinds::Kind;

pub fn service_account(plan: &Plan, service: &ServicePlan) -> Object {
    let mut metadata = labels::owned(plan, plan.child(service.row.name), service.row.name);
    if !plan.pod.service_account_annotations.is_empty() {
        metadata.annotations = Some(plan.pod.service_account_annotations.clone());
    }
    let account =
        ServiceAccount { metadata, automount_service_account_token: Some(false), ..ServiceAccount::default() };
    exact(Kind::ServiceAccount, Group::Workloads, &account)
}
