//! Validation rules generated from the service table of `agora-topology`. Must not depend on the controller.

use agora_topology as topology;

/// CEL expression: true if the operator does not set the variable `self.name`, neither as `NAME`, `<SERVICE>_NAME` nor with
/// the suffix `_FILE`.
pub fn env_name_is_free() -> String {
    let mut names: Vec<&str> = topology::ALL.iter().flat_map(topology::Service::environment).collect();
    names.sort_unstable();
    names.dedup();
    let services: Vec<String> = topology::ALL.iter().map(|service| service.name.to_ascii_uppercase()).collect();
    format!("!self.name.matches('^(({})_)?({})(_FILE)?$')", services.join("|"), names.join("|"))
}
