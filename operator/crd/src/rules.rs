//! Rules that are made from the table of services.

use agora_topology as topology;

/// CEL: the name is none that the operator itself sets, in no form in which a service would read it.
pub fn env_name_is_free() -> String {
    let mut names: Vec<&str> = topology::ALL.iter().flat_map(topology::Service::environment).collect();
    names.sort_unstable();
    names.dedup();
    let services: Vec<String> = topology::ALL.iter().map(|service| service.name.to_ascii_uppercase()).collect();
    format!("!self.name.matches('^(({})_)?({})(_FILE)?$')", services.join("|"), names.join("|"))
}
