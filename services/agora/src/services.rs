//! Which services this binary holds, how each is started, and what its database needs.

use agora_chassis::{Ports, Process, Routers, Service};
use clap::builder::PossibleValuesParser;
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;

/// Stands for every service.
const ALL: &str = "all";

/// A service on its way up.
type Starting = BoxFuture<'static, anyhow::Result<(Ports, Routers)>>;

/// A service of this binary.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name, as in the topology.
    pub name: &'static str,
    start: fn(Process) -> Starting,
    /// What its database needs, where it has one.
    pub migrations: Option<&'static Migrator>,
}

impl Entry {
    /// As the chassis runs it.
    pub fn service(self) -> Service {
        Service { name: self.name, start: self.start }
    }
}

/// Every service, in the topology's order.
const ENTRIES: &[Entry] = &[
    Entry { name: "gateway", start: agora_gateway::start, migrations: None },
    Entry { name: "user", start: agora_user::start, migrations: Some(&agora_user::MIGRATIONS) },
    Entry { name: "catalog", start: agora_catalog::start, migrations: Some(&agora_catalog::MIGRATIONS) },
    Entry { name: "cart", start: agora_cart::start, migrations: Some(&agora_cart::MIGRATIONS) },
    Entry { name: "order", start: agora_order::start, migrations: Some(&agora_order::MIGRATIONS) },
    Entry { name: "payment", start: agora_payment::start, migrations: Some(&agora_payment::MIGRATIONS) },
];

/// What may be named on the command line.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ENTRIES.iter().map(|entry| entry.name).chain([ALL]))
}

/// The services of these names, each once; every one for `all`.
pub fn chosen(names: &[String]) -> impl Iterator<Item = Entry> {
    ENTRIES.iter().copied().filter(|entry| names.iter().any(|name| name == entry.name || name == ALL))
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, chosen};

    #[test]
    fn the_binary_holds_the_topologys_services_and_migrates_those_with_a_database() {
        let rows = agora_topology::ALL.iter().map(|row| (row.name, row.database));
        let entries = ENTRIES.iter().map(|entry| (entry.name, entry.migrations.is_some()));
        assert_eq!(entries.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
    }

    #[test]
    fn all_stands_for_each_service_once() {
        let names = |chosen_by: &[&str]| {
            let chosen_by: Vec<String> = chosen_by.iter().map(ToString::to_string).collect();
            chosen(&chosen_by).map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["all", "user"]).len(), ENTRIES.len());
        assert_eq!(names(&["user", "gateway", "user"]), ["gateway", "user"]);
    }
}
