//! NetworkPolicies: deny by default, and allow the calls in the service table.

use agora_crd::{EgressRule, NetworkPolicyMode, Profile, Protocol};
use agora_topology::{self as topology, ADMIN_PORT};
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{exact, labels};
use crate::decide::object::{Group, Object};
use crate::decide::plan::{Plan, ServicePlan, host_and_port};
use crate::kinds::Kind;

const DNS_PORT: i32 = 53;
const GATEWAY: &str = "gateway";
/// Value of the name label of the operator's pods, as in its chart.
const OPERATOR: &str = "agora-operator";

/// Ports of webhooks.
const WEB_PORTS: [i32; 2] = [443, 80];
/// All addresses of a kind, and those of private networks among them.
const PUBLIC_V4: (&str, [&str; 6]) =
    ("0.0.0.0/0", ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]);
const PUBLIC_V6: (&str, [&str; 2]) = ("::/0", ["fc00::/7", "fe80::/10"]);

pub const DEFAULT_DENY: &str = "default-deny";
pub const MIGRATION: &str = "migrate";

/// For all pods: allows DNS only.
pub fn default_deny(plan: &Plan) -> Option<Object> {
    let dns = NetworkPolicyEgressRule { to: None, ports: Some(vec![port(DNS_PORT, "UDP"), port(DNS_PORT, "TCP")]) };
    restricted(plan)
        .then(|| policy(plan, DEFAULT_DENY, labels::NETWORK, labels::instance_selector(plan), Vec::new(), vec![dns]))
}

/// For the pods of migrations: allows the database, and what the spec allows.
pub fn migration(plan: &Plan) -> Option<Object> {
    restricted(plan).then(|| {
        let needed = plan.ports_of(plan.database_address());
        policy(
            plan,
            MIGRATION,
            labels::NETWORK,
            labels::migration_selector(plan),
            Vec::new(),
            to_outside(plan, &needed),
        )
    })
}

fn restricted(plan: &Plan) -> bool {
    plan.network.policy == NetworkPolicyMode::Restricted
}

/// The calls from and to one service.
pub fn of_service(plan: &Plan, service: &ServicePlan) -> Option<Object> {
    restricted(plan).then(|| {
        let name = service.row.name;
        policy(plan, name, name, labels::selector(plan, name), ingress(plan, service), egress(plan, service))
    })
}

fn ingress(plan: &Plan, service: &ServicePlan) -> Vec<NetworkPolicyIngressRule> {
    let row = service.row;
    let rule = |from: Option<Vec<NetworkPolicyPeer>>, number: u16| NetworkPolicyIngressRule {
        from,
        ports: Some(vec![port(i32::from(number), "TCP")]),
    };
    let any_pod_in_namespace =
        NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let operator = plan.operator_namespace.as_deref().map(operator_pods);
    let monitoring = plan.network.monitoring.as_ref().map(|monitoring| NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(monitoring.namespace_selector.match_labels.clone()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    });
    let readers = [any_pod_in_namespace].into_iter().chain(operator).chain(monitoring).collect();
    let mut rules = vec![rule(Some(readers), ADMIN_PORT)];
    let public = if row.behind_gateway { Some(vec![pods_of(plan, GATEWAY)]) } else { None };
    rules.push(rule(public, row.port));
    rules.extend(plan.tls_port(row).map(|number| rule(None, number)));
    let callers: Vec<_> = topology::callers(row.name).map(|caller| pods_of(plan, caller)).collect();
    if let Some(number) = row.internal_port.filter(|_| !callers.is_empty()) {
        rules.push(rule(Some(callers), number));
    }
    rules
}

fn egress(plan: &Plan, service: &ServicePlan) -> Vec<NetworkPolicyEgressRule> {
    let row = service.row;
    let to = |name: &str, number: u16| NetworkPolicyEgressRule {
        to: Some(vec![pods_of(plan, name)]),
        ports: Some(vec![port(i32::from(number), "TCP")]),
    };
    let callees = row.calls.iter().filter_map(|callee| topology::service(callee));
    let mut rules: Vec<_> = callees.filter_map(|callee| Some(to(callee.name, callee.internal_port?))).collect();
    if row.name == GATEWAY {
        rules.extend(topology::ALL.iter().filter(|row| row.behind_gateway).map(|row| to(row.name, row.port)));
    }
    let mut needed = Vec::new();
    if row.database {
        needed.extend(plan.ports_of(plan.database_address()));
    }
    let brokers = plan.kafka.bootstrap.iter().filter(|_| row.speaks_to_broker());
    for address in brokers.chain(&plan.otlp_endpoint).filter_map(|address| host_and_port(address)) {
        needed.extend(plan.ports_of(address));
    }
    needed.extend(host_and_port(&plan.redis_endpoint).into_iter().flat_map(|address| plan.ports_of(address)));
    if row.name == topology::PAYMENT.name {
        needed.extend(plan.stripe.as_ref().map(|stripe| i32::from(stripe.port)));
    }
    if row.env.contains(&"OIDC_ISSUER_URL") {
        needed.extend(plan.staff_address().into_iter().flat_map(|address| plan.ports_of(address)));
    }
    if row.env.contains(&"DATABASE_READ_ADDRESS") {
        needed.extend(plan.replica_address().into_iter().flat_map(|address| plan.ports_of(address)));
    }
    if row.env.contains(&"ARCHIVE_URL") {
        needed.extend(plan.archive.iter().flat_map(|archive| plan.ports_of(archive.address())));
    }
    if row.env.contains(&"SMTP_HOST") {
        needed.extend(plan.mail_address().into_iter().flat_map(|address| plan.ports_of(address)));
    }
    needed.sort_unstable();
    needed.dedup();
    rules.extend(to_outside(plan, &needed));
    if row.env.contains(&"WEBHOOK_PORTS") {
        rules.extend(to_web(plan));
    }
    rules
}

/// The receivers of webhooks: public addresses, in profile Development any. A port for which the spec lists addresses is
/// reachable at these alone.
fn to_web(plan: &Plan) -> Option<NetworkPolicyEgressRule> {
    let listed = |number: i32| plan.network.egress.iter().any(|rule| is_for(rule, number));
    let ports: Vec<_> = WEB_PORTS.into_iter().filter(|number| !listed(*number)).collect();
    let block = |cidr: &str, except: &[&str]| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except.iter().map(|&network| network.to_owned()).collect()),
        }),
        ..NetworkPolicyPeer::default()
    };
    let public = || vec![block(PUBLIC_V4.0, &PUBLIC_V4.1), block(PUBLIC_V6.0, &PUBLIC_V6.1)];
    (!ports.is_empty()).then(|| NetworkPolicyEgressRule {
        to: (plan.profile != Profile::Development).then(public),
        ports: Some(ports.into_iter().map(|number| port(number, "TCP")).collect()),
    })
}

/// The ports outside the cluster that the pods need, and the rules of the spec.
fn to_outside(plan: &Plan, needed: &[i32]) -> Vec<NetworkPolicyEgressRule> {
    let named = plan.network.egress.iter().filter(|rule| !needed.iter().any(|number| is_for(rule, *number)));
    needed.iter().flat_map(|number| outside(plan, *number)).chain(named.map(addresses)).collect()
}

/// Whether a rule says where a port that the pods need may be reached.
fn is_for(rule: &EgressRule, number: i32) -> bool {
    rule.protocol == Protocol::Tcp && rule.ports.contains(&number)
}

/// A port outside the cluster: at the addresses that the spec lists for it, otherwise at any address.
fn outside(plan: &Plan, number: i32) -> Vec<NetworkPolicyEgressRule> {
    let given: Vec<_> = plan.network.egress.iter().filter(|rule| is_for(rule, number)).collect();
    if given.is_empty() {
        return vec![NetworkPolicyEgressRule { to: None, ports: Some(vec![port(number, "TCP")]) }];
    }
    given.into_iter().map(addresses).collect()
}

fn addresses(rule: &EgressRule) -> NetworkPolicyEgressRule {
    let protocol = match rule.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            ip_block: Some(IPBlock { cidr: rule.cidr.clone(), except: None }),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(rule.ports.iter().map(|number| port(*number, protocol)).collect()),
    }
}

fn pods_of(plan: &Plan, service: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(labels::selector(plan, service)), ..NetworkPolicyPeer::default() }
}

/// The pods of the operator, which read the readiness of services.
fn operator_pods(namespace: &str) -> NetworkPolicyPeer {
    let selector = |name: &str, value: &str| LabelSelector {
        match_labels: Some([(name.to_owned(), value.to_owned())].into()),
        ..LabelSelector::default()
    };
    NetworkPolicyPeer {
        namespace_selector: Some(selector("kubernetes.io/metadata.name", namespace)),
        pod_selector: Some(selector("app.kubernetes.io/name", OPERATOR)),
        ip_block: None,
    }
}

fn port(number: i32, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number)), protocol: Some(protocol.to_owned()), end_port: None }
}

fn policy(
    plan: &Plan,
    name: &str,
    label: &str,
    pod_selector: LabelSelector,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> Object {
    let policy = NetworkPolicy {
        metadata: labels::owned(plan, plan.child(name), label),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pod_selector),
            ingress: Some(ingress).filter(|rules| !rules.is_empty()),
            egress: Some(egress).filter(|rules| !rules.is_empty()),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        }),
    };
    exact(Kind::NetworkPolicy, Group::Workloads, &policy)
}
