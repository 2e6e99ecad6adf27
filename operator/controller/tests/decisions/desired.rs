//! The desired state of the sample manifests, as YAML. The samples pass through `plan`.

use std::collections::{BTreeMap, BTreeSet};

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use agora_crd::{ExposureType, Profile, Reason};
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::object::Object;
use agora_operator::decide::observed::{ConditionError, ReferencedSecret};
use agora_operator::decide::plan::plan;
use agora_operator::decide::purpose::Purposes;
use agora_operator::kinds::{Kind, ObjectKey};
use agora_vocab::Secret;

fn yaml(objects: &[Object]) -> String {
    let documents: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(&object.body).unwrap()).collect();
    documents.join("---\n")
}

#[test]
fn the_objects_of_the_minimal_sample() {
    insta::assert_snapshot!(yaml(&Fixture::new(MINIMAL).migrated().objects()));
}

#[test]
fn the_objects_of_the_production_sample() {
    insta::assert_snapshot!(yaml(&Fixture::new(PRODUCTION).migrated().objects()));
}

#[test]
fn the_same_input_gives_the_same_objects() {
    for sample in [MINIMAL, PRODUCTION] {
        let fixture = Fixture::new(sample).migrated();
        assert_eq!(fixture.objects(), fixture.objects());
    }
}

#[test]
fn de3_every_object_has_owner_and_labels_and_every_pod_limits_and_probes() {
    for sample in [MINIMAL, PRODUCTION] {
        let fixture = Fixture::new(sample).migrated();
        let (plan, _) = plan(&fixture.market, Some(300));
        for object in fixture.objects() {
            let body = &object.body;
            let labels = &body["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/managed-by"], "agora-operator", "{}", object.key);
            assert_eq!(labels["app.kubernetes.io/part-of"], "agora", "{}", object.key);
            let kept = ["admin", "signing", "payment-encryption", "notification-encryption"];
            let kept = kept.map(|name| ObjectKey::new(Kind::Secret, plan.child(name)));
            let owned = body["metadata"]["ownerReferences"][0]["uid"] == "uid-1";
            assert_eq!(owned, !kept.contains(&object.key), "{}", object.key);
            let market = if owned { "app.kubernetes.io/instance" } else { "agoraplatform.dev/marketplace" };
            assert_eq!(labels[market], plan.name.as_str(), "{}", object.key);
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
fn de4_only_secrets_contain_secret_values() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    for object in fixture.objects() {
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
        let objects = fixture.objects();
        objects.into_iter().find(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-order")).unwrap()
    };
    assert!(deployment(&fixture).body["spec"]["replicas"].is_null());
    fixture.service("order", "scaling: {minReplicas: 2, maxReplicas: 2}");
    assert_eq!(deployment(&fixture).body["spec"]["replicas"], 2);
    let autoscaler = ObjectKey::new(Kind::HorizontalPodAutoscaler, "shop-order");
    assert!(fixture.objects().iter().all(|object| object.key != autoscaler));
}

#[test]
fn disabling_a_service_removes_exactly_its_objects() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let gone = |fixture: &Fixture| -> BTreeSet<ObjectKey> {
        let children = fixture.desired().children;
        children.into_iter().filter(|(_, child)| *child == Maybe::Gone).map(|(key, _)| key).collect()
    };
    let (before, applied) = (gone(&fixture), fixture.objects());
    fixture.service("cart", "state: Disabled");
    let removed: BTreeSet<ObjectKey> = gone(&fixture).difference(&before).cloned().collect();
    let of_cart = applied.iter().map(|object| &object.key).filter(|key| key.name.starts_with("shop-cart"));
    assert_eq!(removed, of_cart.cloned().collect());
    assert!(removed.contains(&ObjectKey::new(Kind::Deployment, "shop-cart")));
}

#[test]
fn every_child_has_one_entry_in_each_state() {
    for sample in [MINIMAL, PRODUCTION] {
        let new = Fixture::new(sample);
        let mut disabled = new.clone();
        disabled.service("order", "state: Disabled");
        let mut unusable = new.clone();
        unusable.observed.referenced_secrets.values_mut().for_each(|secret| *secret = ReferencedSecret::NotUsable);
        let keys = |fixture: &Fixture| -> Vec<ObjectKey> { fixture.desired().children.into_keys().collect() };
        for fixture in [&new.clone().migrated(), &disabled, &unusable] {
            assert_eq!(keys(fixture), keys(&new));
            for (key, child) in fixture.desired().children {
                assert!(!matches!(child, Maybe::Want(object) if object.key != key), "{key}");
            }
        }
    }
}

#[test]
fn an_unknown_child_stays_and_children_of_other_releases_are_deleted() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let mut add = |kind: Kind, name: &str, service: &str| {
        let key = ObjectKey::new(kind, name);
        let body = serde_json::json!({"metadata": {"name": name, "labels": {"app.kubernetes.io/name": service}}});
        fixture.add(&key, body, serde_json::Value::Null);
        key
    };
    let unknown = add(Kind::ConfigMap, "shop-order-notes", "order");
    let old_job = add(Kind::Job, "shop-order-migrate-00000000", "order");
    let old_service = add(Kind::Deployment, "shop-wishlist", "wishlist");
    let desired = fixture.desired();
    assert!(!desired.is_gone(&unknown));
    assert!(desired.is_gone(&old_job) && desired.is_gone(&old_service));
}

#[test]
fn an_existing_ingress_is_held_while_its_certificate_is_missing() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    let ingress = ObjectKey::new(Kind::Ingress, "main-gateway");
    assert!(matches!(fixture.desired().children[&ingress], Maybe::Want(_)));
    fixture.observed.referenced_secrets.insert("shop-certificate".to_owned(), ReferencedSecret::Missing);
    assert_eq!(fixture.desired().children[&ingress], Maybe::Hold);
    fixture.market.spec.exposure.type_ = ExposureType::None;
    assert_eq!(fixture.desired().children[&ingress], Maybe::Gone);
}

#[test]
fn da2_pods_wait_for_the_job_of_their_migration_and_are_not_deleted_meanwhile() {
    let fixture = Fixture::new(MINIMAL);
    let desired = fixture.desired();
    let deployment = |name: &str| ObjectKey::new(Kind::Deployment, name);
    assert_eq!(desired.children[&deployment("shop-order")], Maybe::Hold);
    assert_eq!(desired.waiting["order"].reason, Reason::MigrationRunning);
    assert!(matches!(desired.children[&deployment("shop-gateway")], Maybe::Want(_)));
    assert!(desired.objects().any(|object| object.key.name.starts_with("shop-order-migrate-")));
}

#[test]
fn rs2_a_migration_waits_for_its_database_and_a_migrated_service_does_not() {
    let mut fixture = Fixture::new(MINIMAL);
    fixture.observed.databases = None;
    let desired = fixture.desired();
    assert!(desired.objects().all(|object| object.key.kind != Kind::Job));
    assert!(desired.children.iter().any(|(key, child)| key.kind == Kind::Job && *child == Maybe::Hold));
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.observed.databases = None;
    let desired = fixture.desired();
    assert!(desired.objects().any(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-order")));
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
    fixture.observed.referenced_secrets.insert("kafka-admin".to_owned(), ReferencedSecret::NotUsable);
    let desired = fixture.desired();
    assert_eq!(desired.waiting["order"].reason, Reason::SecretNotUsable);
    assert!(desired.topics.is_err());
    assert!(desired.databases.is_ok());
    assert!(desired.objects().any(|object| object.key == ObjectKey::new(Kind::NetworkPolicy, "main-order")));
    for service in ["main-order", "main-gateway"] {
        assert_eq!(desired.children[&ObjectKey::new(Kind::Deployment, service)], Maybe::Hold, "{service}");
    }
}

#[test]
fn a_changed_setting_changes_the_pod_template_and_a_changed_replica_count_does_not() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let template = |fixture: &Fixture| {
        let objects = fixture.objects();
        let key = ObjectKey::new(Kind::Deployment, "shop-order");
        objects.into_iter().find(|object| object.key == key).unwrap().body["spec"]["template"].clone()
    };
    let before = template(&fixture);
    fixture.service("order", "scaling: {minReplicas: 2, maxReplicas: 3}");
    assert_eq!(template(&fixture), before);
    fixture.service("order", "env: [{name: FEATURE_X, value: 'on'}]");
    assert_ne!(template(&fixture), before);
}

#[test]
fn a_secret_is_used_only_for_what_its_owner_allows() {
    let allow = |fixture: &mut Fixture, name: &str, purposes: &str| {
        let values =
            BTreeMap::from(["username", "password", "ca.crt"].map(|key| (key.to_owned(), Secret::new("hunter2"))));
        let secret = ReferencedSecret::Usable { values, purposes: Purposes::parse(purposes) };
        fixture.observed.referenced_secrets.insert(name.to_owned(), secret);
    };
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.service("order", "env: [{name: STOLEN, valueFrom: {secretKeyRef: {name: postgres-admin, key: password}}}]");
    allow(&mut fixture, "postgres-admin", "database=postgres.data.svc:5432, env");
    let desired = fixture.desired();
    assert_eq!(desired.waiting["order"].reason, Reason::SecretNotUsable);
    assert_eq!(desired.children[&ObjectKey::new(Kind::Deployment, "shop-order")], Maybe::Hold);
    assert!(desired.databases.is_ok());

    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.market.spec.database.external.host = "evil.example.com".to_owned();
    let error = fixture.desired().databases.unwrap_err();
    assert_eq!(error.reason, Reason::SecretNotUsable);
    assert!(error.message.contains("database=evil.example.com:5432"), "{}", error.message);

    let mut fixture = Fixture::new(PRODUCTION).migrated();
    allow(&mut fixture, "kafka-admin", "database=kafka.data.svc:9093");
    assert_eq!(fixture.desired().topics.unwrap_err().reason, Reason::SecretNotUsable);
    allow(&mut fixture, "data-ca", "env");
    assert_eq!(fixture.desired().databases.unwrap_err().reason, Reason::SecretNotUsable);
}

#[test]
fn pods_refer_to_the_generated_objects_that_another_owner_may_have() {
    let objects = Fixture::new(MINIMAL).migrated().objects();
    let user = objects.iter().find(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-user")).unwrap();
    for (kind, name) in [
        (Kind::Secret, "shop-admin"),
        (Kind::Secret, "shop-signing"),
        (Kind::Secret, "shop-user-database"),
        (Kind::ConfigMap, "shop-user"),
        (Kind::ServiceAccount, "shop-user"),
    ] {
        assert!(user.refers_to(&ObjectKey::new(kind, name)), "{name}");
    }
    assert!(!user.refers_to(&ObjectKey::new(Kind::Secret, "grafana-admin")));
}

#[test]
fn ca22_the_catalog_gets_the_schedule_of_promotions_if_the_spec_has_one() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let settings = |fixture: &Fixture| {
        let key = ObjectKey::new(Kind::ConfigMap, "shop-catalog");
        fixture.objects().into_iter().find(|object| object.key == key).unwrap().body["data"].clone()
    };
    assert_eq!(settings(&fixture)["PROMOTION_INTERVAL_SECONDS"], serde_json::Value::Null);
    fixture.market.spec.promotions = Some(serde_json::from_str(r#"{"intervalSeconds": 3600}"#).unwrap());
    let found = settings(&fixture);
    assert_eq!(found["PROMOTION_INTERVAL_SECONDS"], "3600");
    assert_eq!(found["PROMOTION_TITLE"], "Recommended this week");
}

#[test]
fn the_catalog_gets_the_language_of_the_spec_and_a_change_of_it_restarts_the_catalog_alone() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let language = |fixture: &Fixture| {
        let objects = fixture.objects().into_iter().filter(|object| object.key.kind == Kind::ConfigMap);
        let set = objects.filter_map(|object| {
            let language = object.body["data"]["DEFAULT_LANGUAGE"].as_str().map(str::to_owned);
            language.map(|language| (object.key.name.clone(), language))
        });
        set.collect::<Vec<_>>()
    };
    let pods = |fixture: &Fixture| {
        let objects = fixture.objects().into_iter().filter(|object| object.key.kind == Kind::Deployment);
        let templates = objects.map(|object| (object.key.name.clone(), object.body["spec"]["template"].clone()));
        templates.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(language(&fixture), [("shop-catalog".to_owned(), "en".to_owned())]);
    let before = pods(&fixture);
    fixture.market.spec.languages = serde_json::from_str(r#"{"default": "de-AT"}"#).unwrap();
    assert_eq!(language(&fixture), [("shop-catalog".to_owned(), "de-AT".to_owned())]);
    let after = pods(&fixture);
    let restarted: Vec<&String> = before.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(restarted, ["shop-catalog"]);
}

#[test]
fn gw4_the_gateway_gets_the_list_of_graphql_documents_and_introspection_in_development_alone() {
    let body = |fixture: &Fixture, kind: Kind, name: &str| {
        let key = ObjectKey::new(kind, name);
        fixture.objects().into_iter().find(|object| object.key == key).unwrap().body
    };
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let data = body(&fixture, Kind::ConfigMap, "shop-gateway")["data"].clone();
    assert_eq!(data["GRAPHQL_INTROSPECTION"], "Enabled");
    assert_eq!(data["GRAPHQL_DOCUMENTS"], serde_json::Value::Null);
    let production = body(&Fixture::new(PRODUCTION).migrated(), Kind::ConfigMap, "main-gateway");
    assert_eq!(production["data"]["GRAPHQL_INTROSPECTION"], serde_json::Value::Null);

    let documents = agora_crd::PersistedDocuments { name: "storefront-documents".to_owned() };
    fixture.market.spec.exposure.persisted_documents = Some(documents);
    let data = body(&fixture, Kind::ConfigMap, "shop-gateway")["data"].clone();
    assert_eq!(data["GRAPHQL_DOCUMENTS"], "Persisted");
    assert_eq!(data["GRAPHQL_PERSISTED_DOCUMENTS_FILE"], "/etc/agora/graphql-documents.json");
    let pods = body(&fixture, Kind::Deployment, "shop-gateway")["spec"]["template"]["spec"]["volumes"].to_string();
    assert!(pods.contains("storefront-documents") && pods.contains("documents.json"), "{pods}");
}

#[test]
fn re4_a_service_that_caches_gets_the_address_of_redis_its_password_and_the_schedule_of_the_spec() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let settings = |fixture: &Fixture, service: &str| {
        let key = ObjectKey::new(Kind::ConfigMap, format!("shop-{service}"));
        fixture.objects().into_iter().find(|object| object.key == key).unwrap().body["data"].clone()
    };
    let found = settings(&fixture, "recommendation");
    assert_eq!(found["REDIS_URL"], "redis://redis.data.svc:6379");
    assert_eq!(found["REDIS_PASSWORD_FILE"], serde_json::Value::Null);
    assert_eq!(found["RECOMMENDATION_INTERVAL_SECONDS"], "300");
    // Every service refuses tokens of revoked sessions, whose list is in Redis.
    for row in agora_topology::ALL {
        assert_eq!(settings(&fixture, row.name)["REDIS_URL"], "redis://redis.data.svc:6379", "{}", row.name);
    }

    let spec = &mut fixture.market.spec;
    (spec.recommendations.interval_seconds, spec.recommendations.default_category) = (60, "Books".to_owned());
    spec.redis.external.secret_ref = Some(agora_crd::SecretRef { name: "redis-login".to_owned() });
    let values = BTreeMap::from([("password".to_owned(), Secret::new("hunter2"))]);
    let usable = ReferencedSecret::Usable { values, purposes: Purposes::parse("redis=redis.data.svc:6379") };
    fixture.observed.referenced_secrets.insert("redis-login".to_owned(), usable);
    let found = settings(&fixture, "recommendation");
    assert_eq!(found["REDIS_PASSWORD_FILE"], "/etc/agora/redis-password");
    assert_eq!(found["RECOMMENDATION_INTERVAL_SECONDS"], "60");
    assert_eq!(found["RECOMMENDATION_DEFAULT_CATEGORY"], "Books");
    assert!(!found.to_string().contains("hunter2"));
}

#[test]
fn the_limits_of_unpaid_orders_are_those_of_the_spec_or_the_defaults_of_the_service() {
    let names = ["ORDER_PAYMENT_WINDOW_SECONDS", "ORDER_UNPAID_ORDERS_MAX", "ORDER_UNPAID_UNITS_MAX"];
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let settings = |fixture: &Fixture| {
        let key = ObjectKey::new(Kind::ConfigMap, "shop-order");
        let map = fixture.objects().into_iter().find(|object| object.key == key).unwrap();
        names.map(|name| map.body["data"][name].as_str().map(str::to_owned))
    };
    assert_eq!(settings(&fixture), [None, None, None]);
    fixture.market.spec.orders =
        agora_crd::Orders { payment_window_seconds: Some(600), unpaid_orders_max: Some(2), unpaid_units_max: Some(20) };
    assert_eq!(settings(&fixture), ["600", "2", "20"].map(|value| Some(value.to_owned())));
}

#[test]
fn de5_a_request_is_never_above_the_limit_of_the_profile() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let resources = |fixture: &Fixture| {
        let objects = fixture.objects();
        let order = objects.into_iter().find(|object| object.key == ObjectKey::new(Kind::Deployment, "shop-order"));
        order.unwrap().body["spec"]["template"]["spec"]["containers"][0]["resources"].clone()
    };
    fixture.service("order", "resources: {requests: {memory: 1Gi}}");
    assert_eq!(resources(&fixture)["limits"]["memory"], "1Gi");
    fixture.service("order", "resources: {limits: {memory: 16Mi, cpu: 10m}}");
    assert_eq!(resources(&fixture)["requests"], serde_json::json!({"cpu": "10m", "memory": "16Mi"}));
}

#[test]
fn an_ipv6_address_of_the_database_server_is_used_as_an_address() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.market.spec.database.external.host = "fd00::5".to_owned();
    let purposes = Purposes::parse("database=[fd00::5]:5432");
    let values = BTreeMap::from(["username", "password"].map(|key| (key.to_owned(), Secret::new("hunter2"))));
    let usable = ReferencedSecret::Usable { values, purposes };
    fixture.observed.referenced_secrets.insert("postgres-admin".to_owned(), usable);
    let objects = fixture.objects();
    let key = ObjectKey::new(Kind::Secret, "shop-order-database");
    let secret = objects.into_iter().find(|object| object.key == key).unwrap();
    let url: k8s_openapi::ByteString = serde_json::from_value(secret.body["data"]["url"].clone()).unwrap();
    let url = String::from_utf8(url.0).unwrap();
    assert!(url.contains("@[fd00::5]:5432/") && url.ends_with("&host=fd00::5"), "{url}");
}

#[test]
fn secrets_that_outlive_their_marketplace_carry_no_label_of_another_tool() {
    for object in Fixture::new(MINIMAL).migrated().objects() {
        let metadata = &object.body["metadata"];
        if metadata["ownerReferences"].is_null() {
            assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], serde_json::Value::Null, "{}", object.key);
            assert_eq!(metadata["labels"]["agoraplatform.dev/marketplace"], "shop", "{}", object.key);
            assert_eq!(metadata["annotations"]["agoraplatform.dev/owner"], "shop/shop", "{}", object.key);
        }
    }
}

#[test]
fn de3_a_shop_has_an_object_of_each_kind_for_each_service() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    let keys: BTreeSet<_> = fixture.objects().into_iter().map(|object| object.key).collect();
    for row in agora_topology::ALL {
        let name = format!("main-{}", row.name);
        for kind in [
            Kind::ServiceAccount,
            Kind::Service,
            Kind::NetworkPolicy,
            Kind::ConfigMap,
            Kind::Deployment,
            Kind::HorizontalPodAutoscaler,
            Kind::PodDisruptionBudget,
        ] {
            assert!(keys.contains(&ObjectKey::new(kind, name.clone())), "{kind:?} {name}");
        }
        let has_job = keys.iter().any(|key| key.kind == Kind::Job && key.name.starts_with(&format!("{name}-migrate-")));
        let has_login = keys.contains(&ObjectKey::new(Kind::Secret, format!("{name}-database")));
        assert_eq!((has_job, has_login), (row.database, row.database), "{name}");
    }
    assert!(keys.iter().any(|key| key.kind == Kind::Ingress));
}

#[test]
fn de5_a_medium_shop_has_three_replicas_with_these_requests_and_limits() {
    let mut fixture = Fixture::new(PRODUCTION);
    fixture.market.spec.profile = Profile::Medium;
    fixture.market.spec.services.clear();
    let (plan, _) = plan(&fixture.market, Some(2_000));
    assert_eq!(plan.services.len(), agora_topology::ALL.len());
    for service in &plan.services {
        let (requests, limits) = (&service.requests, &service.limits);
        assert_eq!((requests["cpu"].as_str(), requests["memory"].as_str()), ("250m", "256Mi"), "{}", service.row.name);
        assert_eq!(limits["memory"], "512Mi", "{}", service.row.name);
        assert_eq!((service.replicas.min, service.replicas.max), (3, 12), "{}", service.row.name);
    }
}

#[test]
fn rs10_every_address_of_a_service_is_the_dns_name_and_a_port_of_its_service_object() {
    let fixture = Fixture::new(MINIMAL).migrated();
    let objects = fixture.objects();
    let body = |kind: Kind, name: &str| {
        let key = ObjectKey::new(kind, name);
        &objects.iter().find(|object| object.key == key).unwrap().body
    };
    let mut addresses = 0;
    for row in agora_topology::ALL {
        let settings = body(Kind::ConfigMap, &format!("shop-{}", row.name))["data"].as_object().unwrap();
        let internal = row.calls.iter().map(|callee| (format!("{}_INTERNAL_URL", callee.to_uppercase()), *callee));
        let behind = agora_topology::ALL.iter().filter(|other| other.behind_gateway && row.name == "gateway");
        let public = behind.map(|other| (format!("{}_URL", other.name.to_uppercase()), other.name));
        for (name, callee) in internal.chain(public) {
            let address = settings[&name].as_str().unwrap();
            let (host, port) = address.strip_prefix("http://").unwrap().split_once(':').unwrap();
            let ports = body(Kind::Service, host)["spec"]["ports"].as_array().unwrap();
            assert_eq!(host, format!("shop-{callee}"), "{}: {name}", row.name);
            assert!(ports.iter().any(|listed| listed["port"].to_string() == port), "{}: {name}={address}", row.name);
            addresses += 1;
        }
    }
    assert!(addresses >= 15, "{addresses}");
}
