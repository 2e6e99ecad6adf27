//! The addresses of data servers, mail server and trace collector, and the ports to which connections to them lead.

use agora_crd::NetworkPolicyMode;

use super::{ArchivePlan, Plan};
use crate::decide::in_cluster::{ServiceAddress, TargetPorts, service_address};

impl Plan {
    /// The Services of the cluster that the addresses may mean; empty without network policies.
    pub fn data_services(&self) -> Vec<ServiceAddress> {
        if self.network.policy != NetworkPolicyMode::Restricted {
            return Vec::new();
        }
        let addresses = self.kafka.bootstrap.iter().chain(&self.otlp_endpoint).chain([&self.redis_endpoint]);
        let addresses = addresses.filter_map(|text| host_and_port(text));
        let archive = self.archive.as_ref().map(ArchivePlan::address);
        let optional =
            self.replica_address().into_iter().chain(self.mail_address()).chain(archive).chain(self.staff_address());
        let all = [self.database_address()].into_iter().chain(optional).chain(addresses);
        let mut found: Vec<_> = all.filter_map(|(host, port)| service_address(host, port, &self.namespace)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Host and port of the database server.
    pub fn database_address(&self) -> (&str, i32) {
        (&self.database.host, i32::from(self.database.port))
    }

    /// Host and port of the read replica.
    pub fn replica_address(&self) -> Option<(&str, i32)> {
        Some((self.database.read_host.as_deref()?, i32::from(self.database.port)))
    }

    /// Host and port of the mail server.
    pub fn mail_address(&self) -> Option<(&str, i32)> {
        self.mail.as_ref().map(|mail| (mail.host.as_str(), i32::from(mail.port)))
    }

    /// Host and port of the identity provider of the staff.
    pub fn staff_address(&self) -> Option<(&str, i32)> {
        self.staff.as_ref().map(|staff| (staff.host.as_str(), i32::from(staff.port)))
    }

    /// The ports to which a connection to an address may lead: its own, and those of the pods behind a Service.
    pub fn ports_of(&self, (host, port): (&str, i32)) -> Vec<i32> {
        let targets = match self.targets(host, port) {
            Some((_, TargetPorts::Known(ports))) => ports.as_slice(),
            Some((_, TargetPorts::Forbidden | TargetPorts::Unread)) | None => &[],
        };
        [port].into_iter().chain(targets.iter().copied()).collect()
    }

    /// What a user can do if the network policies may lack a port of the pods behind a Service, as the end of a message.
    pub fn port_remedy(&self, (host, port): (&str, i32)) -> String {
        match self.targets(host, port) {
            Some((service, TargetPorts::Forbidden)) => format!(
                "; if the pods behind Service {} of namespace {} listen on another port than {port}, add that port to \
                 spec.network.egress, or list the namespace in the chart's value dataNamespaces, so that the operator reads it",
                service.name, service.namespace
            ),
            Some((_, TargetPorts::Known(_) | TargetPorts::Unread)) | None => String::new(),
        }
    }

    fn targets(&self, host: &str, port: i32) -> Option<(&ServiceAddress, &TargetPorts)> {
        self.target_ports.get_key_value(&service_address(host, port, &self.namespace)?)
    }
}

/// Host and port of `host:9092`, `[::1]:9092` or `http://host:4317/`.
pub fn host_and_port(address: &str) -> Option<(&str, i32)> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// Host, in small letters and with the brackets of IPv6, and port of a URL; the port of its scheme if it has none.
pub(super) fn host_and_port_of_url(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    // A colon within brackets is part of an IPv6 address.
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    let port = after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let host = if port.is_some() { authority.rsplit_once(':').map_or(authority, |(host, _)| host) } else { authority };
    Some((host.to_ascii_lowercase(), port.unwrap_or(if scheme == "https" { 443 } else { 80 })))
}
