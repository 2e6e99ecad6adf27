//! Validation rules generated from the service table of `agora-topology`. Must not depend on the controller.

use agora_topology as topology;

/// Pattern of `host:port`: a name or an IPv4 address, or an IPv6 address in brackets, and a port of 1 to 65535.
pub const HOST_AND_PORT: &str = r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})$";
/// Pattern of a host: a name or an IPv4 address, or an IPv6 address without brackets.
pub const HOST: &str = r"^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$";

/// Pattern of the address of an HTTP server: scheme, host, and an optional port and path.
pub const HTTP_ADDRESS: &str = r"^https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?(/[-A-Za-z0-9._~/]*)?$";

/// CEL expression: true if the amount `name` of `self.requests` is not greater than that of `self.limits`.
pub fn request_is_within_limit(name: &str) -> String {
    let (request, limit) = (format!("self.requests.{name}"), format!("self.limits.{name}"));
    format!(
        "!has(self.requests) || !has(self.limits) || !has({request}) || !has({limit}) || \
         !quantity({request}).isGreaterThan(quantity({limit}))"
    )
}

/// CEL expression: true if the service `self` has a database, or no settings of one.
pub fn database_is_of_a_service_that_has_one() -> String {
    let without: Vec<String> =
        topology::ALL.iter().filter(|row| !row.database).map(|row| format!("'{}'", row.name)).collect();
    format!("!has(self.database) || !(self.name in [{}])", without.join(", "))
}

/// CEL expression: true if the operator does not set the variable `self.name`, neither as `NAME`, `<SERVICE>_NAME` nor with
/// the suffix `_FILE`.
pub fn env_name_is_free() -> String {
    let mut names: Vec<&str> = topology::ALL.iter().flat_map(topology::Service::environment).collect();
    names.sort_unstable();
    names.dedup();
    let services: Vec<String> = topology::ALL.iter().map(|service| service.name.to_ascii_uppercase()).collect();
    format!("!self.name.matches('^(({})_)?({})(_FILE)?$')", services.join("|"), names.join("|"))
}
