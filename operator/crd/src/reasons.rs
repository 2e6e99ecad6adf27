//! The documentation of each reason of a condition or event: the source of `docs/CONDITIONS.md`.

use crate::Reason;

/// What a reason means to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonDocumentation {
    /// The conditions that have this reason, or `event`.
    pub place: &'static str,
    /// What the operator has seen.
    pub evidence: &'static str,
    /// What a user does about it; `–` if there is nothing to do.
    pub remedy: &'static str,
    /// Name of a test that produces it.
    pub test: &'static str,
}

macro_rules! document {
    ($($reason:ident: $place:literal, $evidence:literal, $remedy:literal, $test:literal;)*) => {
        impl Reason {
            /// All reasons, in the order of `docs/CONDITIONS.md`.
            pub const ALL: &'static [Self] = &[$(Self::$reason),*];

            /// What the reason means to a user.
            pub const fn documentation(self) -> ReasonDocumentation {
                match self {
                    $(Self::$reason => ReasonDocumentation {
                        place: $place, evidence: $evidence, remedy: $remedy, test: $test,
                    },)*
                }
            }
        }
    };
}

document! {
    ShoppersCanBuy: "Available; event", "every service that a purchase needs has a ready pod, and reports that its database answers", "–", "a_running_shop_reports_what_it_saw";
    AllComponentsReady: "Ready", "all other conditions are True, apart from AutoscalingReady", "–", "a_running_shop_reports_what_it_saw";
    UpToDate: "Reconciling", "nothing is being changed", "–", "a_running_shop_reports_what_it_saw";
    Progressing: "any", "an object is being written, or pods are being replaced", "wait", "a_changed_spec_is_not_ready_before_its_pods_are_replaced";
    Provisioned: "DatabaseReady; event", "every database exists with its logins, and no service misses its database", "–", "a_running_shop_reports_what_it_saw";
    TopicsInSync: "KafkaReady", "every topic exists with the settings of the spec, and no service misses the broker", "–", "a_running_shop_reports_what_it_saw";
    Reachable: "RedisReady, ArchiveReady", "Redis answered a PING, and no service misses it; or the service that writes the archive has reported no failure of it", "–", "a_running_shop_reports_what_it_saw";
    NotRequested: "AutoscalingReady, RouteReady, ArchiveReady", "the spec asks for no autoscaler, no Ingress or no archive", "–", "a_running_shop_reports_what_it_saw";
    Current: "CredentialsReady", "the generated Secrets exist, and the Secrets that the spec names can be used", "–", "a_running_shop_reports_what_it_saw";
    MinimumReplicasAvailable: "WorkloadsReady", "the Deployment controller has observed the current template, and all its pods are available", "–", "a_running_shop_reports_what_it_saw";
    ValidMetricFound: "AutoscalingReady", "each HorizontalPodAutoscaler reports ScalingActive", "–", "the_autoscalers_report_their_metrics";
    Applied: "RouteReady", "the Ingress exists as desired", "–", "the_ingress_of_a_running_shop_is_reported";
    WaitingForDependency: "any", "a data server has not been inspected yet", "wait; if it lasts, check that the server is reachable", "availability_is_unknown_without_any_evidence_and_false_without_the_database_server";
    MigrationRunning: "WorkloadsReady, Ready", "a migration Job has not ended", "wait", "an_image_that_cannot_be_pulled_is_reported_while_the_migration_waits";
    InvalidSpec: "Ready, Stalled, WorkloadsReady, KafkaReady", "a part of the spec cannot be realised, or the Marketplace cannot be decoded", "correct the field that the message names", "a_part_of_the_spec_that_cannot_be_realised_holds_only_what_it_describes";
    ImageUnavailable: "WorkloadsReady, Ready, Stalled", "the kubelet cannot pull the image of a pod; its message is quoted", "correct spec.release or its pull Secrets", "an_image_that_cannot_be_pulled_is_reported_while_the_migration_waits";
    CrashLooping: "WorkloadsReady, Ready, Stalled", "a container ends after each start; reason and exit code are quoted", "see kubectl logs --previous of the named pod", "a_container_that_cannot_be_created_or_ends_is_reported_with_the_cause";
    ContainerNotCreated: "WorkloadsReady, Ready, Stalled", "the kubelet cannot create a container; its message is quoted", "correct what the message names, often a Secret or ConfigMap", "a_container_that_cannot_be_created_or_ends_is_reported_with_the_cause";
    Unschedulable: "WorkloadsReady, Ready", "no node can run a pod; the scheduler's message is quoted", "add a node, or lower spec.services[].resources or spec.pod", "a_pod_that_no_node_can_run_is_reported_with_the_schedulers_message";
    PodsRefused: "WorkloadsReady, Ready, Stalled", "the API server refuses the pods of a Deployment, or a Job has no pod 20 s after its start", "correct the namespace's admission policy, or spec.pod", "pods_that_a_quota_or_a_policy_refuses_are_reported";
    ProgressDeadlineExceeded: "WorkloadsReady, Ready, Stalled", "new pods did not become ready within the progress deadline of their Deployment", "see the logs of the new pods", "a_rollout_without_progress_and_a_failed_migration_are_reported";
    DatabaseUnreachable: "Available, DatabaseReady, Ready", "the database server does not answer, or a service reports that its database does not", "check the server, spec.database.external and the network policies", "a_shop_whose_services_lose_their_databases_is_not_available";
    RedisUnreachable: "RedisReady, Ready", "Redis does not answer the operator or a service", "check the server, spec.redis.external and the network policies", "a_server_that_never_answers_is_reported_and_asked_again";
    ServiceUnreachable: "Available, WorkloadsReady, Ready", "a service answered at its admin port before, and does not any more", "see its pods and their logs", "a_service_that_stops_answering_is_reported_and_one_that_never_answered_is_not";
    AuthenticationFailed: "DatabaseReady, KafkaReady, RedisReady, Ready, Stalled", "a data server rejects the login", "correct the Secret that the message names", "the_refusals_of_data_servers_are_told_apart";
    RoleConflict: "DatabaseReady, Ready, Stalled", "a role of the computed name exists, and this operator does not manage it", "choose another spec.isolationKey, or drop the role", "the_refusals_of_data_servers_are_told_apart";
    IsolationConflict: "DatabaseReady, KafkaReady, Ready, Stalled", "another Marketplace owns a database of the same isolation key", "choose another spec.isolationKey", "the_refusals_of_data_servers_are_told_apart";
    SecretMissing: "CredentialsReady, Ready, Stalled", "a Secret or key that the spec names does not exist", "create it, or add the key, with the label agoraplatform.dev/usable and the annotation agoraplatform.dev/usable-for that the message shows", "an_error_that_needs_a_change_by_a_user_stalls_and_comes_first";
    SecretNotUsable: "CredentialsReady, Ready, Stalled", "a Secret that the spec names lacks the label that allows its use, or its annotation does not name that use", "add the label agoraplatform.dev/usable and the annotation agoraplatform.dev/usable-for that the message shows", "a_secret_without_the_label_holds_the_services_that_need_it";
    SecretCorrupt: "CredentialsReady, DatabaseReady, KafkaReady, RedisReady, Ready, Stalled", "a signing or encryption key cannot be read, or a login contains a line break", "correct or restore the key of the Secret that the message names", "a_corrupt_signing_key_is_reported_and_stays_and_the_rest_is_reconciled";
    MigrationFailed: "WorkloadsReady, Ready, Stalled", "a migration Job failed", "see its log; it is retried every two minutes", "a_rollout_without_progress_and_a_failed_migration_are_reported";
    BrokerUnreachable: "KafkaReady, Ready", "the broker does not answer the operator or a service", "check the broker, spec.kafka.external and the network policies", "with_an_unreachable_broker_the_shop_is_available_and_not_ready";
    ArchiveUnavailable: "ArchiveReady, Ready", "the service that writes the archive reports that it cannot store events; they wait in the broker", "do what the message says: correct the bucket, the Secret or the endpoint of spec.archive", "ms6_an_archive_that_cannot_be_written_is_reported_with_its_remedy";
    PartitionIncreaseNotAccepted: "KafkaReady, Ready, Stalled", "the spec asks for more partitions than a topic has", "annotate the Marketplace as the message says: keys move to other partitions", "an_increase_of_partitions_must_be_accepted_with_its_number";
    PartitionDecreaseRefused: "KafkaReady, Ready, Stalled", "the spec asks for fewer partitions than a topic has", "raise the number in the spec: Kafka cannot remove partitions", "an_increase_of_partitions_must_be_accepted_with_its_number";
    ReplicationChangeUnsupported: "KafkaReady, Ready, Stalled", "a topic has another number of replicas than the spec", "reassign its partitions with Kafka's tools, or correct the spec", "a_different_number_of_replicas_is_reported_and_changed_settings_are_reset";
    TopicConflict: "KafkaReady, Ready, Stalled", "the broker refuses a topic or a setting, or returns another value than was set", "correct spec.kafka or the broker's limits", "settings_of_other_clients_stay_and_refused_ones_are_reported";
    MetricsUnavailable: "AutoscalingReady", "a HorizontalPodAutoscaler reports that it has no metrics", "check that metrics-server is installed and runs", "the_autoscalers_report_their_metrics";
    DriftCorrected: "event", "another client changed or deleted an object, and the operator restored it", "make the change in the Marketplace", "each_step_of_a_shops_life_is_an_event_with_its_objects_and_its_duration";
    DriftContested: "WorkloadsReady, CredentialsReady, AutoscalingReady, RouteReady, Ready, Stalled", "a field was changed back after each of three repairs", "stop the client that the message names, or set the field in the Marketplace", "a_field_that_is_back_after_three_repairs_is_reported_and_repaired_less_often";
    FieldConflict: "WorkloadsReady, CredentialsReady, AutoscalingReady, RouteReady, Ready, Stalled", "an object of the same name has another owner, or the API server rejects a field", "rename or delete the object, or correct the field in the Marketplace", "an_object_of_another_owner_is_reported_and_stays";
    ConnectionBudgetExceeded: "Ready, Stalled", "the database server accepts too few connections for all pods", "raise max_connections and spec.database.maxConnections, or lower maxReplicas or database.poolSize in spec.services", "a_spec_with_violations_stalls_and_the_running_shop_stays_available";
    DataLost: "Available, DatabaseReady, KafkaReady, Ready, Stalled", "a database or topic that existed is gone from its server", "restore it from a backup, or accept the loss with the annotation that the message shows", "a_dropped_database_is_reported_and_not_created_again_until_its_loss_is_accepted";
    DataServerChanged: "DatabaseReady, KafkaReady, Ready, Stalled", "the address of a data server leads to another server than before", "correct the address, or accept the server with the annotation that the message shows", "nothing_is_created_on_another_server_until_it_is_accepted";
    Paused: "Ready, Reconciling", "the annotation agoraplatform.dev/paused is set", "remove the annotation", "a_paused_marketplace_is_not_ready";
    QuotaExceeded: "WorkloadsReady, Ready, Stalled", "a ResourceQuota of the namespace refuses objects or pods; the refusal is quoted", "raise the quota, or lower spec.services[].scaling or resources", "pods_that_a_quota_or_a_policy_refuses_are_reported";
    Forbidden: "DatabaseReady, KafkaReady, WorkloadsReady, Ready, Stalled", "a login or the operator's Role lacks a right", "grant the right that the message names", "the_refusals_of_data_servers_are_told_apart";
    Terminating: "Available, Ready, Reconciling", "the Marketplace is being deleted and waits for the server that the message names", "wait, or correct the server", "a_blocked_deletion_reports_its_reason";
    RetainedOnDelete: "event", "a deleted Marketplace has left databases or topics in place", "remove them by hand if they are not needed", "a_deletion_with_data_on_an_unreachable_server_ends_and_says_what_stays";
    Migrated: "event", "the migration Jobs of the named services ended", "–", "each_step_of_a_shops_life_is_an_event_with_its_objects_and_its_duration";
    RolledOut: "event", "all pods of the named services have the current template and are available", "–", "each_step_of_a_shops_life_is_an_event_with_its_objects_and_its_duration";
    Scaled: "event", "the number of desired pods of a service changed", "–", "each_step_of_a_shops_life_is_an_event_with_its_objects_and_its_duration";
    NotAvailable: "event", "condition Available became False", "see the message", "a_loss_of_availability_and_a_stall_are_warnings";
    NeedsUser: "event", "condition Stalled became True", "see the message", "a_loss_of_availability_and_a_stall_are_warnings";
}
