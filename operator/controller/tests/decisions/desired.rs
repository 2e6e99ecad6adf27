//! What is built for the sample manifests, as others see it: YAML. The samples pass the real `plan`.

use std::collections::BTreeSet;

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use agora_crd::Reason;
use agora_operator::decide::object::Object;
use agora_operator::decide::observed::Trouble;
use agora_operator::decide::plan::plan;
use agora_operator::kinds::{Kind, ObjectKey};

fn yaml(objects: &[Object]) -> String {
    let documents: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(&object.body).unwrap()).collect();
    documents.join("---\n")
}

#[test]
fn the_minimal_sample_becomes_these_objects() {
    insta::assert_snapshot!(yaml(&Fixture::new(MINIMAL).migrated().desired().objects));
}

#[test]
fn the_production_sample_becomes_these_objects() {
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
            assert!(user.is_null(), "{}: any user must do", object.key);
            if object.key.kind == Kind::Deployment {
                for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                    assert!(container[probe].is_object(), "{}: {probe}", object.key);
                }
            }
        }
    }
}

#[test]
fn nothing_secret_is_outside_of_secrets() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    for object in fixture.desired().objects {
        if object.key.kind != Kind::Secret {
            let text = object.body.to_string();
            assert!(!text.contains("hunter2"), "{}", object.key);
        }
    }
}

#[test]
fn an_autoscaled_deployment_says_nothing_of_replicas_and_a_fixed_one_does() {
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
fn disabling_a_service_takes_away_exactly_its_objects() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let keys = |fixture: &Fixture| -> BTreeSet<ObjectKey> {
        let desired = fixture.desired();
        desired.objects.into_iter().map(|object| object.key).chain(desired.held).collect()
    };
    let before = keys(&fixture);
    fixture.service("cart", "state: Disabled");
    let after = keys(&fixture);
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(gone.iter().all(|key| key.name.starts_with("shop-cart")), "{gone:?}");
    assert!(gone.iter().any(|key| key.kind == Kind::Deployment));
    assert!(after.is_subset(&before));
    assert!(after.iter().all(|key| !key.name.starts_with("shop-cart")));
}

#[test]
fn pods_wait_for_their_migration_and_are_held_and_not_pruned() {
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
fn a_migration_waits_for_its_database_and_what_is_migrated_does_not() {
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
fn an_isolation_key_of_another_marketplace_leaves_its_topics_alone() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    assert!(fixture.desired().topics.is_ok());
    let conflict = Trouble::new(Reason::IsolationConflict, "it belongs to shop/other");
    let databases = &mut fixture.observed.databases.as_mut().unwrap().databases;
    databases.insert("shop_shop_cart".to_owned(), Err(conflict.clone()));
    assert_eq!(fixture.desired().topics.unwrap_err(), conflict);
    fixture.observed.databases.as_mut().unwrap().databases.clear();
    fixture.observed.databases.as_mut().unwrap().connections = Err(Trouble::new(Reason::DatabaseUnreachable, "away"));
    assert!(fixture.desired().topics.is_ok(), "a server that is away keeps no broker waiting");
}

#[test]
fn a_secret_that_may_not_be_used_holds_what_needs_it() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    fixture.observed.named.insert("kafka-admin".to_owned(), agora_operator::decide::observed::Named::NotUsable);
    let desired = fixture.desired();
    assert_eq!(desired.waiting["order"].reason, Reason::SecretNotUsable);
    assert!(desired.topics.is_err());
    assert!(desired.databases.is_ok());
    assert!(desired.objects.iter().any(|object| object.key == ObjectKey::new(Kind::Deployment, "main-gateway")));
    assert!(desired.held.contains(&ObjectKey::new(Kind::Deployment, "main-order")));
}

#[test]
fn a_changed_setting_changes_the_pods_and_a_changed_replica_count_does_not() {
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
