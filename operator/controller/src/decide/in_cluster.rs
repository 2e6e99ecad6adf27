//! Data servers behind a Service of the cluster. A network plugin compares the port of the pod, which may differ from the port
//! of the Service. Pure.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress {
    pub namespace: String,
    pub name: String,
    pub port: i32,
}

/// The ports of the pods behind a [`ServiceAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPorts {
    /// Those that differ from the port of the Service; empty also if there is no such Service.
    Known(Vec<i32>),
    /// The operator may not read the Service or its endpoints.
    Forbidden,
    /// The API server failed to answer.
    Unread,
}

/// The Service that a host name may mean to pods of `namespace`: `name`, `name.namespace` or `name.namespace.svc…`.
pub fn service_address(host: &str, port: i32, namespace: &str) -> Option<ServiceAddress> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let (name, namespace) = match labels.as_slice() {
        [name] => (*name, namespace),
        [name, namespace] | [name, namespace, "svc", ..] => (*name, *namespace),
        _ => return None,
    };
    (!name.is_empty() && !namespace.is_empty()).then(|| ServiceAddress {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port,
    })
}

/// The ports of the pods behind a port of a Service, except the same number. `slices` is `None` if they may not be read;
/// returns `None` if they are needed.
pub fn target_ports(service: &Service, slices: Option<&[EndpointSlice]>, port: i32) -> Option<Vec<i32>> {
    let spec = service.spec.clone().unwrap_or_default();
    let translates = spec.cluster_ip.as_deref() != Some("None") && spec.type_.as_deref() != Some("ExternalName");
    let Some(entry) = spec.ports.iter().flatten().find(|entry| entry.port == port).filter(|_| translates) else {
        return Some(Vec::new());
    };
    let given = match (&entry.target_port, spec.selector.is_some()) {
        (Some(IntOrString::Int(number)), true) => Some(*number),
        (None, true) => Some(port),
        _ => None,
    };
    let listed = slices.map(|slices| slices.iter().flat_map(|slice| ports_of(slice, entry)));
    if given.is_none() && listed.is_none() {
        return None;
    }
    let mut ports: Vec<i32> = given.into_iter().chain(listed.into_iter().flatten()).collect();
    ports.retain(|target| *target != port);
    ports.sort_unstable();
    ports.dedup();
    Some(ports)
}

fn ports_of(slice: &EndpointSlice, entry: &ServicePort) -> Vec<i32> {
    let name = entry.name.as_deref().unwrap_or_default();
    let same = slice.ports.iter().flatten().filter(|port| port.name.as_deref().unwrap_or_default() == name);
    same.filter_map(|port| port.port).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{service_address, target_ports};

    fn address(host: &str) -> Option<(String, String)> {
        service_address(host, 5432, "shop").map(|found| (found.namespace, found.name))
    }

    #[test]
    fn host_names_of_the_cluster_lead_to_services_and_others_do_not() {
        let data = Some(("data".to_owned(), "postgres".to_owned()));
        for host in ["postgres.data.svc", "postgres.data", "Postgres.data.svc.cluster.local."] {
            assert_eq!(address(host), data, "{host}");
        }
        assert_eq!(address("postgres"), Some(("shop".to_owned(), "postgres".to_owned())));
        for host in ["192.0.2.1", "fd00::1", "db.example.com", "postgres-0.postgres.data.svc", ""] {
            assert_eq!(address(host), None, "{host}");
        }
    }

    fn ports(service: &Value, slices: Option<&Value>) -> Option<Vec<i32>> {
        let slices = slices.map(|slice| vec![serde_json::from_value(slice.clone()).unwrap()]);
        target_ports(&serde_json::from_value(service.clone()).unwrap(), slices.as_deref(), 5432)
    }

    #[test]
    fn the_ports_of_the_pods_come_from_the_service_and_its_endpoints() {
        let service = |port: Value| json!({"spec": {"selector": {"app": "pg"}, "ports": [port, {"name": "x", "port": 1, "targetPort": 2}]}});
        let slice = json!({"addressType": "IPv4", "endpoints": [],
            "ports": [{"name": "sql", "port": 25_432}, {"name": "x", "port": 2}]});
        let number = service(json!({"name": "sql", "port": 5432, "targetPort": 15_432}));
        assert_eq!(ports(&number, None), Some(vec![15_432]));
        assert_eq!(ports(&number, Some(&slice)), Some(vec![15_432, 25_432]));
        let named = service(json!({"name": "sql", "port": 5432, "targetPort": "pg"}));
        assert_eq!(ports(&named, None), None);
        assert_eq!(ports(&named, Some(&slice)), Some(vec![25_432]));
        assert_eq!(ports(&service(json!({"name": "sql", "port": 5432})), None), Some(vec![]));
        assert_eq!(ports(&service(json!({"name": "other", "port": 9})), Some(&slice)), Some(vec![]));
        let headless =
            json!({"spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432, "targetPort": 15_432}]}});
        assert_eq!(ports(&headless, Some(&slice)), Some(vec![]));
        let by_hand = json!({"spec": {"ports": [{"name": "sql", "port": 5432}]}});
        assert_eq!(ports(&by_hand, Some(&slice)), Some(vec![25_432]));
    }
}
