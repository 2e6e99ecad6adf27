//! The NetworkPolicies, evaluated for every pair of pods and every port, and compared with the service table.

use agora_operator::decide::desired::desired;
use agora_operator::decide::in_cluster::TargetPorts;
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::object::Object;
use agora_operator::decide::plan::{Plan, plan};
use agora_operator::kinds::{Kind, ObjectKey};
use agora_topology::{self as topology, ADMIN_PORT};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};

type Labels = BTreeMap<String, String>;

/// A sender or receiver.
#[derive(Clone)]
enum Party {
    /// A pod of the Marketplace's namespace.
    Pod(Labels),
    /// A pod of another namespace with these labels.
    Namespace(Labels),
    /// A pod of another namespace, or an address outside the cluster.
    Address([u8; 4]),
}

struct Policies(Vec<NetworkPolicySpec>);

impl Policies {
    fn of(fixture: &Fixture) -> Self {
        let objects = fixture.objects().into_iter().filter(|object| object.key.kind == Kind::NetworkPolicy);
        Self::parsed(objects)
    }

    fn parsed(objects: impl Iterator<Item = Object>) -> Self {
        Self(
            objects.map(|object| serde_json::from_value::<NetworkPolicy>(object.body).unwrap().spec.unwrap()).collect(),
        )
    }

    fn allow(&self, from: &Party, to: &Party, port: u16) -> bool {
        self.egress(from, to, port, "TCP") && self.ingress(from, to, port)
    }

    fn egress(&self, from: &Party, to: &Party, port: u16, protocol: &str) -> bool {
        let Party::Pod(labels) = from else {
            return true;
        };
        let own: Vec<_> =
            self.0.iter().filter(|policy| selects(policy.pod_selector.as_ref().unwrap(), labels)).collect();
        own.is_empty()
            || own
                .iter()
                .flat_map(|policy| policy.egress.iter().flatten())
                .any(|rule| matches_peer(rule.to.as_ref(), to) && matches_port(rule.ports.as_ref(), port, protocol))
    }

    fn ingress(&self, from: &Party, to: &Party, port: u16) -> bool {
        let Party::Pod(labels) = to else { return true };
        let own: Vec<_> =
            self.0.iter().filter(|policy| selects(policy.pod_selector.as_ref().unwrap(), labels)).collect();
        own.is_empty()
            || own
                .iter()
                .flat_map(|policy| policy.ingress.iter().flatten())
                .any(|rule| matches_peer(rule.from.as_ref(), from) && matches_port(rule.ports.as_ref(), port, "TCP"))
    }
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    assert!(selector.match_expressions.is_none());
    selector.match_labels.iter().flatten().all(|(name, value)| labels.get(name) == Some(value))
}

fn matches_peer(peers: Option<&Vec<NetworkPolicyPeer>>, party: &Party) -> bool {
    let Some(peers) = peers else { return true };
    peers.iter().any(|peer| match (party, &peer.pod_selector, &peer.namespace_selector, &peer.ip_block) {
        (Party::Pod(labels), Some(selector), None, None) | (Party::Namespace(labels), None, Some(selector), None) => {
            selects(selector, labels)
        }
        (Party::Address(address), None, None, Some(block)) => {
            contains(&block.cidr, *address) && !block.except.iter().flatten().any(|network| contains(network, *address))
        }
        _ => false,
    })
}

fn contains(cidr: &str, address: [u8; 4]) -> bool {
    let (network, bits) = cidr.split_once('/').unwrap();
    if network.contains(':') {
        return false;
    }
    let network: std::net::Ipv4Addr = network.parse().unwrap();
    let mask = u32::MAX.checked_shl(32 - bits.parse::<u32>().unwrap()).unwrap_or(0);
    u32::from(network) & mask == u32::from_be_bytes(address) & mask
}

fn matches_port(ports: Option<&Vec<NetworkPolicyPort>>, number: u16, protocol: &str) -> bool {
    ports.is_none_or(|ports| {
        ports.iter().any(|port| {
            port.port == Some(IntOrString::Int(i32::from(number))) && port.protocol.as_deref() == Some(protocol)
        })
    })
}

/// Labels of the pods of a Deployment or a Job.
fn pods(fixture: &Fixture, kind: Kind, name: &str) -> Party {
    let objects = fixture.objects();
    let found = objects.into_iter().find(|object| object.key.kind == kind && object.key.name.contains(name)).unwrap();
    let labels = found.body["spec"]["template"]["metadata"]["labels"].clone();
    Party::Pod(serde_json::from_value(labels).unwrap())
}

#[test]
fn exactly_the_calls_in_the_service_table_are_allowed() {
    let fixture = Fixture::new(MINIMAL).migrated();
    let policies = Policies::of(&fixture);
    let ports: Vec<u16> = topology::ALL
        .iter()
        .flat_map(|row| [Some(row.port), row.internal_port])
        .flatten()
        .chain([ADMIN_PORT])
        .collect();
    let other_pod = Party::Pod([("app".to_owned(), "other".to_owned())].into());
    for callee in topology::ALL {
        let to = pods(&fixture, Kind::Deployment, &format!("shop-{}", callee.name));
        for port in &ports {
            for caller in topology::ALL {
                let from = pods(&fixture, Kind::Deployment, &format!("shop-{}", caller.name));
                let command = callee.internal_port == Some(*port) && caller.calls.contains(&callee.name);
                let request = callee.port == *port && callee.behind_gateway && caller.name == "gateway";
                let expected = command || request;
                assert_eq!(policies.allow(&from, &to, *port), expected, "{} to {}:{port}", caller.name, callee.name);
            }
            let open = callee.name == "gateway" && *port == callee.port;
            let outside = Party::Address([192, 0, 2, 1]);
            assert_eq!(policies.allow(&outside, &to, *port), open, "an outside address to {}:{port}", callee.name);
            let in_namespace = open || *port == ADMIN_PORT;
            assert_eq!(policies.allow(&other_pod, &to, *port), in_namespace, "another pod to {}:{port}", callee.name);
        }
    }
}

#[test]
fn data_servers_are_reachable_at_the_listed_addresses_by_the_services_that_need_them() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    let policies = Policies::of(&fixture);
    let (inside, outside) = (Party::Address([10, 1, 2, 3]), Party::Address([192, 0, 2, 1]));
    for row in topology::ALL {
        let from = pods(&fixture, Kind::Deployment, &format!("main-{}", row.name));
        for port in [5432, 9093] {
            // A rule of the spec applies as a whole, also to a port of it that the service does not need.
            assert!(policies.allow(&from, &inside, port), "{}:{port}", row.name);
            assert!(!policies.allow(&from, &outside, port), "{}:{port}", row.name);
        }
        assert!(policies.allow(&from, &inside, 6379) && !policies.allow(&from, &outside, 6379), "{}", row.name);
        assert!(!policies.allow(&from, &inside, 22));
        assert!(policies.egress(&from, &outside, 53, "UDP"));
    }
    let migration = pods(&fixture, Kind::Job, "main-order-migrate");
    assert!(policies.allow(&migration, &inside, 5432));
    assert!(!policies.allow(&migration, &outside, 5432));
}

/// Its own check is the first; this is the second.
#[test]
fn webhooks_reach_the_public_web_and_no_private_network_outside_of_development() {
    let (public, private) = (Party::Address([1, 1, 1, 1]), Party::Address([169, 254, 169, 254]));
    for (sample, name, development) in [(MINIMAL, "shop", true), (PRODUCTION, "main", false)] {
        let fixture = Fixture::new(sample).migrated();
        let policies = Policies::of(&fixture);
        for row in topology::ALL {
            let from = pods(&fixture, Kind::Deployment, &format!("{name}-{}", row.name));
            let sends = row.name == "notification";
            for port in [443, 80] {
                assert_eq!(policies.allow(&from, &public, port), sends, "{}:{port}", row.name);
                assert_eq!(policies.allow(&from, &private, port), sends && development, "{}:{port}", row.name);
            }
        }
        let path = format!("{name}-notification");
        let key = ObjectKey::new(Kind::ConfigMap, path);
        let settings = fixture.objects().into_iter().find(|object| object.key == key).unwrap().body["data"].clone();
        for (setting, value) in
            [("WEBHOOK_PLAIN_HTTP", "Enabled"), ("WEBHOOK_PRIVATE_ADDRESSES", "Enabled"), ("WEBHOOK_PORTS", "any")]
        {
            assert_eq!(settings[setting].as_str(), development.then_some(value), "{setting}");
        }
    }
}

#[test]
fn the_operator_may_read_the_readiness_of_every_service() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    let (mut plan, _) = plan(&fixture.market, Some(300));
    plan.operator_namespace = Some("agora-system".to_owned());
    let desired = desired(&plan, &fixture.observed);
    for row in topology::ALL {
        let key = ObjectKey::new(Kind::NetworkPolicy, format!("main-{}", row.name));
        let policy = desired.objects().find(|object| object.key == key).unwrap();
        let rule = &policy.body["spec"]["ingress"][0];
        let labels = |peer: &serde_json::Value, of: &str| peer[of]["matchLabels"].clone();
        let from_operator = |peer: &serde_json::Value| {
            labels(peer, "namespaceSelector")["kubernetes.io/metadata.name"] == "agora-system"
                && labels(peer, "podSelector")["app.kubernetes.io/name"] == "agora-operator"
        };
        assert!(rule["from"].as_array().unwrap().iter().any(from_operator), "{key}");
        assert_eq!(rule["ports"][0]["port"], ADMIN_PORT, "{key}");
    }
}

#[test]
fn rules_of_the_spec_serve_migrations_and_udp_and_metrics_are_read_from_the_monitoring_namespace() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let rule = |name: &str, protocol: &str, port: i32| {
        format!("{{name: {name}, cidr: 10.0.0.0/8, protocol: {protocol}, ports: [{port}]}}")
    };
    let network = format!(
        "{{egress: [{}, {}], monitoring: {{namespaceSelector: {{matchLabels: {{team: metrics}}}}}}}}",
        rule("pod-of-postgres", "TCP", 15_432),
        rule("ntp", "UDP", 123)
    );
    fixture.market.spec.network = serde_yaml::from_str(&network).unwrap();
    let policies = Policies::of(&fixture);
    let inside = Party::Address([10, 1, 2, 3]);
    for (kind, name) in [(Kind::Job, "shop-order-migrate"), (Kind::Deployment, "shop-order")] {
        let from = pods(&fixture, kind, name);
        assert!(policies.allow(&from, &inside, 15_432) && policies.allow(&from, &inside, 5_432), "{name}");
        assert!(policies.egress(&from, &inside, 123, "UDP") && !policies.egress(&from, &inside, 123, "TCP"), "{name}");
    }
    let to = pods(&fixture, Kind::Deployment, "shop-order");
    let metrics: Labels = [("team".to_owned(), "metrics".to_owned())].into();
    assert!(policies.allow(&Party::Namespace(metrics.clone()), &to, ADMIN_PORT));
    assert!(!policies.allow(&Party::Namespace(metrics), &to, 3_004));
    assert!(!policies.allow(&Party::Namespace(Labels::new()), &to, ADMIN_PORT));
}

#[test]
fn the_ports_of_the_pods_behind_a_data_servers_service_are_reachable_by_the_services_that_need_them() {
    let fixture = Fixture::new(MINIMAL).migrated();
    let (mut plan, _) = plan(&fixture.market, Some(300));
    let services = plan.data_services();
    assert_eq!(
        services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        ["kafka", "postgres", "redis"]
    );
    for service in services {
        plan.target_ports.insert(service.clone(), TargetPorts::Known(vec![service.port + 10_000]));
    }
    let policies = |plan: &Plan| {
        let objects = desired(plan, &fixture.observed).children.into_values().filter_map(|child| match child {
            Maybe::Want(object) if object.key.kind == Kind::NetworkPolicy => Some(object),
            _ => None,
        });
        Policies::parsed(objects)
    };
    let reachable = policies(&plan);
    let server = Party::Address([10, 1, 2, 3]);
    for row in topology::ALL {
        let from = pods(&fixture, Kind::Deployment, &format!("shop-{}", row.name));
        for port in [5_432, 15_432] {
            assert_eq!(reachable.allow(&from, &server, port), row.database, "{}:{port}", row.name);
        }
        for port in [9_092, 19_092] {
            assert_eq!(reachable.allow(&from, &server, port), row.speaks_to_broker(), "{}:{port}", row.name);
        }
        for port in [6_379, 16_379] {
            assert!(reachable.allow(&from, &server, port), "{}:{port}", row.name);
        }
    }
    let migration = pods(&fixture, Kind::Job, "shop-order-migrate");
    assert!(reachable.allow(&migration, &server, 15_432) && !reachable.allow(&migration, &server, 19_092));

    // Not known for a moment: existing policies stay as they are.
    plan.target_ports.values_mut().for_each(|ports| *ports = TargetPorts::Unread);
    let desired = desired(&plan, &fixture.observed);
    assert_eq!(desired.children[&ObjectKey::new(Kind::NetworkPolicy, "shop-order")], Maybe::Hold);
    assert!(matches!(desired.children[&ObjectKey::new(Kind::NetworkPolicy, "shop-default-deny")], Maybe::Want(_)));
}
