//! The desired state of the sample manifests, as YAML. The samples pass through `plan`.

use std::collections::BTreeSet;

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use agora_crd::Reason;
use agora_operator::decide::object::Object;
use agora_operator::decide::observed::ConditionError;
use agora_operator::decide::plan::plan;
use agora_operator::kinds::{Kind, ObjectKey};

fn yaml(objects: &[Object]) -> String {
    let documents: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(&object.body).unwrap()).collect();
    documents.join("---\n")
}

#[test]
fn the_objects_of_the_minimal_sample() {
    insta::assert_snapshot!(yaml(&Fixture::new(MINIMAL).migrated().desired().objects));
}

#[test]
fn the_objects_of_the_production_sample() {
    insta::assert_snapshot!(yaml(&Fixture::new(PRODUCTION).migrated().desired().objects));
}

#[test]
fn the_same_input_gives_the_same_objects() {
    for sample in [MINIMAL, PRODUCTION] {
        let fixture = Fixture::new(sample).migrated();
        assert_eq!(fixture.desired().objects, fixture.desired().objects);
    }
}

#[test]
fn every_object_has_owner_and_labels_and_every_pod_limits_and_probes() {
    for sample in [MINIMAL, PRODUCTION] {
        let fixture = Fixture::new(sample).migrated();
        let (plan, _) = plan(&fixture.market, Some(300));
        for object in fixture.desired().objects {
            let body = &object.body;
            let labels = &body["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/instance"], plan.name.as_str(), "{}", object.key);
            assert_eq!(labels["app.kubernetes.io/managed-by"], "agora-operator", "{}", object.key);
            assert_eq!(labels["app.kubernetes.io/part-of"], "agora", "{}", object.key);
            let kept = ["admin", "signing"].map(|name| ObjectKey::new(Kind::Secret, plan.child(name)));
            let owned = body["metadata"]["ownerReferences"][0]["uid"] == "uid-1";
            assert_eq!(owned, !kept.contains(&object.key), "{}", object.key);
            let container = &body["spec"]["template"]["spec"]["containers"][0];
            if container.is_null() {
                continue;
            }
            assert!(container["resources"]["limits"]["memory"].is_string(), "{}", object.key);
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{}", object.key);
            let user = &body["spec"]["template"]["spec"]["securityContext"]["runAsUser"];
            assert!(user.is_null(), "{}: any user id must work", object.key);
            if object.key.kind == Kind::Deployment {
                for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                    assert!(container[probe].is_object(), "{}: {probe}", object.key);
                }
            }
        }
    }
}

#[test]
fn only_secrets_contain_secret_values() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    for object in fixture.desired().objects {
        if object.key.kind != Kind::Secret {
            let text = object.body.to_string();
            assert!(!text.contains("hunter2"), "{}", object.key);
        }
    }
}

#[test]
fn only_a_deployment_without_an_autoscaler_sets_replicas() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let deployment = |fixture: &Fixture| {
        let objects = fixture.desired().objects;
        objects.into_iter().find(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-order")).unwrap()
    };
    assert!(deployment(&fixture).body["spec"]["replicas"].is_null());
    fixture.service("order", "scaling: {minReplicas: 2, maxReplicas: 2}");
    assert_eq!(deployment(&fixture).body["spec"]["replicas"], 2);
    let autoscaler = ObjectKey::new(Kind::HorizontalPodAutoscaler, "shop-order");
    assert!(fixture.desired().objects.iter().all(|object| object.key != autoscaler));
}

#[test]
fn disabling_a_service_removes_exactly_its_objects() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let keys = |fixture: &Fixture| -> BTreeSet<ObjectKey> {
        let desired = fixture.desired();
        desired.objects.into_iter().map(|object| object.key).chain(desired.held).collect()
    };
    let before = keys(&fixture);
    fixture.service("cart", "state: Disabled");
    let after = keys(&fixture);
    let removed: Vec<_> = before.difference(&after).collect();
    assert!(removed.iter().all(|key| key.name.starts_with("shop-cart")), "{removed:?}");
    assert!(removed.iter().any(|key| key.kind == Kind::Deployment));
    assert!(after.is_subset(&before));
    assert!(after.iter().all(|key| !key.name.starts_with("shop-cart")));
}

#[test]
fn pods_wait_for_their_migration_and_are_not_deleted_meanwhile() {
    let fixture = Fixture::new(MINIMAL);
    let desired = fixture.desired();
    let deployment = ObjectKey::new(Kind::Deployment, "shop-order");
    assert!(desired.held.contains(&deployment));
    assert!(desired.objects.iter().all(|object| object.key != deployment));
    assert_eq!(desired.waiting["order"].reason, Reason::MigrationRunning);
    assert!(desired.objects.iter().any(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-gateway")));
    assert!(desired.objects.iter().any(|object| object.key.name.starts_with("shop-order-migrate-")));
}

#[test]
fn a_migration_waits_for_its_database_and_a_migrated_service_does_not() {
    let mut fixture = Fixture::new(MINIMAL);
    fixture.observed.databases = None;
    let desired = fixture.desired();
    assert!(desired.objects.iter().all(|object| object.key.kind != Kind::Job));
    assert!(desired.held.iter().any(|key| key.kind == Kind::Job));
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.observed.databases = None;
    let desired = fixture.desired();
    assert!(desired.objects.iter().any(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-order")));
}

#[test]
fn no_topics_are_desired_if_another_marketplace_uses_the_isolation_key() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    assert!(fixture.desired().topics.is_ok());
    let conflict = ConditionError::new(Reason::IsolationConflict, "the database belongs to shop/other");
    let databases = &mut fixture.observed.databases.as_mut().unwrap().databases;
    databases.insert("shop_shop_cart".to_owned(), Err(conflict.clone()));
    assert_eq!(fixture.desired().topics.unwrap_err(), conflict);
    fixture.observed.databases.as_mut().unwrap().databases.clear();
    fixture.observed.databases.as_mut().unwrap().connections =
        Err(ConditionError::new(Reason::DatabaseUnreachable, "unreachable"));
    assert!(fixture.desired().topics.is_ok(), "topics do not wait for an unreachable database server");
}

#[test]
fn a_secret_without_the_label_holds_the_services_that_need_it() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    fixture
        .observed
        .referenced_secrets
        .insert("kafka-admin".to_owned(), agora_operator::decide::observed::ReferencedSecret::NotUsable);
    let desired = fixture.desired();
    assert_eq!(desired.waiting["order"].reason, Reason::SecretNotUsable);
    assert!(desired.topics.is_err());
    assert!(desired.databases.is_ok());
    assert!(desired.objects.iter().any(|object| object.key == ObjectKey::new(Kind::Deployment, "main-gateway")));
    assert!(desired.held.contains(&ObjectKey::new(Kind::Deployment, "main-order")));
}

#[test]
fn a_changed_setting_changes_the_pod_template_and_a_changed_replica_count_does_not() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let template = |fixture: &Fixture| {
        let objects = fixture.desired().objects;
        let key = ObjectKey::new(Kind::Deployment, "shop-order");
        objects.into_iter().find(|object| object.key == key).unwrap().body["spec"]["template"].clone()
    };
    let before = template(&fixture);
    fixture.service("order", "scaling: {minReplicas: 2, maxReplicas: 3}");
    assert_eq!(template(&fixture), before);
    fixture.service("order", "env: [{name: FEATURE_X, value: 'on'}]");
    assert_ne!(template(&fixture), before);
}
