//! What every service gets of its own: a database with a login, the brokers, an autoscaler, and pods that are spread.

use std::collections::{BTreeMap, BTreeSet};

use agora_operator::kinds::{Kind, ObjectKey};
use agora_topology as topology;
use serde_json::{Value, json};

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};

fn body(fixture: &Fixture, kind: Kind, name: &str) -> Option<Value> {
    let key = ObjectKey::new(kind, name);
    fixture.objects().into_iter().find(|object| object.key == key).map(|object| object.body)
}

/// Names of the Secrets that the pods of a service mount or read.
fn secrets_of(deployment: &Value) -> BTreeSet<String> {
    let pod = &deployment["spec"]["template"]["spec"];
    let mounted = pod["volumes"].as_array().unwrap().iter().flat_map(|volume| {
        volume["projected"]["sources"].as_array().unwrap().iter().filter_map(|source| source["secret"]["name"].as_str())
    });
    mounted.map(str::to_owned).collect()
}

#[test]
fn da1_every_service_has_a_database_and_a_login_of_its_own_and_the_login_of_no_other_service() {
    for (sample, market) in [(MINIMAL, "shop"), (PRODUCTION, "main")] {
        let fixture = Fixture::new(sample).migrated();
        let rows: Vec<_> = topology::ALL.iter().filter(|row| row.database).collect();
        let databases = fixture.desired().databases.unwrap().databases;
        assert_eq!(databases.len(), rows.len());
        let distinct = |values: Vec<&str>| values.into_iter().collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(databases.iter().map(|one| one.name.as_str()).collect()), rows.len());
        assert_eq!(distinct(databases.iter().map(|one| one.login.as_str()).collect()), rows.len());
        assert_eq!(distinct(databases.iter().map(|one| one.owner_role.as_str()).collect()), rows.len());
        assert_eq!(distinct(databases.iter().map(|one| one.password.expose()).collect()), rows.len());
        for row in topology::ALL {
            let deployment = body(&fixture, Kind::Deployment, &format!("{market}-{}", row.name)).unwrap();
            let own = format!("{market}-{}-database", row.name);
            let of_databases: Vec<_> =
                secrets_of(&deployment).into_iter().filter(|name| name.ends_with("-database")).collect();
            let expected = if row.database { vec![own.clone()] } else { Vec::new() };
            assert_eq!(of_databases, expected, "{}", row.name);
            if row.database {
                let secret = body(&fixture, Kind::Secret, &own).unwrap();
                let url: k8s_openapi::ByteString = serde_json::from_value(secret["data"]["url"].clone()).unwrap();
                let url = String::from_utf8(url.0).unwrap();
                let database = databases.iter().find(|one| one.name.ends_with(&format!("_{}", row.name))).unwrap();
                assert!(url.contains(&format!("//{}:", database.login)), "{url}");
                assert!(url.contains(&format!("/{}?", database.name)), "{url}");
            }
        }
    }
}

#[test]
fn da10_every_service_has_an_autoscaler_with_the_bounds_and_the_target_of_the_spec() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    let autoscalers = |fixture: &Fixture| -> BTreeMap<&'static str, (Value, Value, Value)> {
        let of = |row: &topology::Service| {
            let autoscaler = body(fixture, Kind::HorizontalPodAutoscaler, &format!("main-{}", row.name)).unwrap();
            let spec = &autoscaler["spec"];
            assert_eq!(
                spec["scaleTargetRef"],
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("main-{}", row.name)})
            );
            let target = spec["metrics"][0]["resource"]["target"]["averageUtilization"].clone();
            (spec["minReplicas"].clone(), spec["maxReplicas"].clone(), target)
        };
        topology::ALL.iter().map(|row| (row.name, of(row))).collect()
    };
    // The sample sets three values of order; profile Small sets the others.
    for (name, found) in autoscalers(&fixture) {
        let row = topology::service(name).unwrap();
        let expected = if name == "order" {
            (json!(3), json!(8), json!(65))
        } else {
            (json!(2), json!(6), json!(row.cpu_target_percent))
        };
        assert_eq!(found, expected, "{name}");
    }
    fixture.service("cart", "scaling: {minReplicas: 4, maxReplicas: 5}");
    let after = autoscalers(&fixture);
    assert_eq!((&after["cart"].0, &after["cart"].1), (&json!(4), &json!(5)));
    assert_eq!(after["search"].0, json!(2), "the others stay");
}

#[test]
fn da11_the_pods_of_a_service_are_spread_over_zones_and_not_evicted_all_at_once() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    for row in topology::ALL {
        let name = format!("main-{}", row.name);
        let deployment = body(&fixture, Kind::Deployment, &name).unwrap();
        let pods = &deployment["spec"]["selector"];
        let all = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap();
        let keys: Vec<_> = all.iter().map(|spread| spread["topologyKey"].as_str().unwrap()).collect();
        assert_eq!(keys, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"], "{name}");
        for spread in all {
            assert_eq!((&spread["maxSkew"], &spread["labelSelector"]), (&json!(1), pods), "{name}");
            // Of each release by itself: a rollout is spread too.
            assert_eq!(spread["matchLabelKeys"], json!(["pod-template-hash"]), "{name}");
            // A zone that is full or gone keeps no pod from being placed.
            assert_eq!(spread["whenUnsatisfiable"], "ScheduleAnyway", "{name}");
        }
        let budget = body(&fixture, Kind::PodDisruptionBudget, &name).unwrap();
        assert_eq!((&budget["spec"]["maxUnavailable"], &budget["spec"]["selector"]), (&json!(1), pods), "{name}");
        // A pod that serves nothing must not hold up a drain.
        assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{name}");
    }
    // One pod a service: a budget would forbid every drain.
    let fixture = Fixture::new(MINIMAL).migrated();
    assert!(fixture.objects().iter().all(|object| object.key.kind != Kind::PodDisruptionBudget));
}

#[test]
fn da11_the_data_servers_are_named_by_the_addresses_of_the_spec() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let kafka = &mut fixture.market.spec.kafka.external;
    kafka.bootstrap_servers = ["a", "b", "c"].map(|zone| format!("kafka-{zone}.example.com:9092")).to_vec();
    fixture.market.spec.redis.external.standalone.endpoint = "redis.example.com:6380".to_owned();
    for row in topology::ALL {
        let settings = &body(&fixture, Kind::ConfigMap, &format!("shop-{}", row.name)).unwrap()["data"];
        assert_eq!(settings["REDIS_URL"], "redis://redis.example.com:6380", "{}", row.name);
        if row.speaks_to_broker() {
            let all = "kafka-a.example.com:9092,kafka-b.example.com:9092,kafka-c.example.com:9092";
            assert_eq!(settings["KAFKA_BROKERS"], all, "{}", row.name);
        }
    }
    let databases = fixture.desired().databases.unwrap();
    assert_eq!(databases.address(), "postgres.data.svc:5432");
}

#[test]
fn gw6_limits_of_the_spec_replace_those_of_the_profile_and_their_change_restarts_no_pod() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    fixture.market.spec.exposure.rate_limits.clear();
    let limits = |fixture: &Fixture| -> BTreeMap<(String, String), Value> {
        let map = body(fixture, Kind::ConfigMap, "main-rate-limits").unwrap();
        let list: Value = serde_json::from_str(map["data"]["rate-limits.json"].as_str().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list.as_array()
            .unwrap()
            .iter()
            .map(|limit| ((text(&limit["name"]), text(&limit["key"])), limit.clone()))
            .collect()
    };
    let checkout = ("checkout".to_owned(), "User".to_owned());
    let before = limits(&fixture);
    assert_eq!(
        before[&checkout],
        json!({"name": "checkout", "key": "User", "requestsPerMinute": 60, "burst": 10}),
        "the default of the profile"
    );
    let pods = body(&fixture, Kind::Deployment, "main-gateway").unwrap();
    let limit = "{name: checkout, key: User, requestsPerMinute: 7, burst: 3}";
    fixture.market.spec.exposure.rate_limits.push(serde_yaml::from_str(limit).unwrap());
    let after = limits(&fixture);
    assert_eq!(after[&checkout], json!({"name": "checkout", "key": "User", "requestsPerMinute": 7, "burst": 3}));
    assert_eq!(after.len(), before.len(), "the others stay");
    assert_eq!(body(&fixture, Kind::Deployment, "main-gateway").unwrap(), pods);
    let mounted = pods["spec"]["template"]["spec"]["volumes"].to_string();
    assert!(mounted.contains("main-rate-limits"), "{mounted}");
    let settings = &body(&fixture, Kind::ConfigMap, "main-gateway").unwrap()["data"];
    assert_eq!(settings["RATE_LIMITS_FILE"], "/etc/agora/rate-limits.json");
    assert_eq!(settings["TRUSTED_PROXIES"], "1", "of the sample");
}

#[test]
fn ms1_the_services_that_write_or_read_events_get_the_brokers_of_the_spec_and_no_other_service_does() {
    for (sample, market, brokers) in
        [(MINIMAL, "shop", "kafka.data.svc:9092"), (PRODUCTION, "main", "kafka.data.svc:9093")]
    {
        let fixture = Fixture::new(sample).migrated();
        let topics = fixture.desired().topics.unwrap();
        assert_eq!(topics.address(), brokers);
        for row in topology::ALL {
            let settings = &body(&fixture, Kind::ConfigMap, &format!("{market}-{}", row.name)).unwrap()["data"];
            let expected = if row.speaks_to_broker() { json!(brokers) } else { Value::Null };
            assert_eq!(settings["KAFKA_BROKERS"], expected, "{}", row.name);
            // Every topic that it writes or reads is created at that broker.
            for topic in row.publishes.iter().chain(row.consumes) {
                assert!(topics.topics.iter().any(|known| known.bare_name == topic.to_string()), "{topic}");
            }
        }
    }
}

#[test]
fn ms2_topics_have_the_partitions_the_replicas_and_the_retention_of_the_spec() {
    let topics = |fixture: &Fixture| -> BTreeMap<String, (i32, i32, BTreeMap<String, String>)> {
        let topics = fixture.desired().topics.unwrap().topics.into_iter();
        topics.map(|topic| (topic.bare_name, (topic.partitions, topic.replicas, topic.config))).collect()
    };
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    let before = topics(&fixture);
    let names: BTreeSet<_> = topology::all_topics().iter().map(ToString::to_string).collect();
    assert_eq!(before.keys().cloned().collect::<BTreeSet<_>>(), names, "a topic for everything that is written");
    for (name, (partitions, replicas, config)) in &before {
        assert_eq!((*partitions, *replicas), (12, 3), "{name}: the default outside of profile Development");
        assert_eq!(config["min.insync.replicas"], "2", "{name}");
    }
    assert_eq!(before["order-events"].2["retention.ms"], "604800000", "604 800 s");
    let spec = "{name: cart-events, partitions: 24, retentionSeconds: 60}";
    fixture.market.spec.kafka.topics.push(serde_yaml::from_str(spec).unwrap());
    let after = topics(&fixture);
    let (partitions, replicas, config) = &after["cart-events"];
    assert_eq!((*partitions, *replicas, config["retention.ms"].as_str()), (24, 3, "60000"));
    assert_eq!(after["order-events"], before["order-events"], "the others stay");
    fixture.market.spec.kafka.topic_defaults.replicas = Some(2);
    assert!(topics(&fixture).values().all(|(_, replicas, _)| *replicas == 2));
    let development = topics(&Fixture::new(MINIMAL).migrated());
    assert!(development.values().all(|(partitions, replicas, _)| (*partitions, *replicas) == (3, 1)));
}
