//! The table of services in this binary: name, start function and migrations.

use agora_chassis::{Ports, Process, Routers, Service};
use clap::builder::PossibleValuesParser;
use futures::future::BoxFuture;
use sqlx::migrate::Migrator;

/// Name on the command line that selects every service.
const ALL: &str = "all";

/// The future of a starting service.
type Starting = BoxFuture<'static, anyhow::Result<(Ports, Routers)>>;

/// A service of this binary.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the service in the topology and on the command line.
    pub name: &'static str,
    start: fn(Process) -> Starting,
    /// Migrations of its database; `None` for a service without a database.
    pub migrations: Option<&'static Migrator>,
}

impl Entry {
    /// Converts to the type that the chassis runs.
    pub fn service(self) -> Service {
        Service { name: self.name, start: self.start }
    }
}

/// Every service, in the order of the topology.
const ENTRIES: &[Entry] = &[
    Entry { name: "gateway", start: agora_gateway::start, migrations: None },
    Entry { name: "user", start: agora_user::start, migrations: Some(&agora_user::MIGRATIONS) },
    Entry { name: "catalog", start: agora_catalog::start, migrations: Some(&agora_catalog::MIGRATIONS) },
    Entry { name: "cart", start: agora_cart::start, migrations: Some(&agora_cart::MIGRATIONS) },
    Entry { name: "order", start: agora_order::start, migrations: Some(&agora_order::MIGRATIONS) },
    Entry { name: "payment", start: agora_payment::start, migrations: Some(&agora_payment::MIGRATIONS) },
    Entry { name: "notification", start: agora_notification::start, migrations: Some(&agora_notification::MIGRATIONS) },
    Entry {
        name: "recommendation",
        start: agora_recommendation::start,
        migrations: Some(&agora_recommendation::MIGRATIONS),
    },
    Entry { name: "search", start: agora_search::start, migrations: Some(&agora_search::MIGRATIONS) },
];

/// The names that the command line accepts.
pub fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ENTRIES.iter().map(|entry| entry.name).chain([ALL]))
}

/// Returns the services with these names without duplicates; every service for `all`.
pub fn chosen(names: &[String]) -> impl Iterator<Item = Entry> {
    ENTRIES.iter().copied().filter(|entry| names.iter().any(|name| name == entry.name || name == ALL))
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, chosen};

    #[test]
    fn the_table_matches_the_services_and_databases_of_the_topology() {
        let rows = agora_topology::ALL.iter().map(|row| (row.name, row.database));
        let entries = ENTRIES.iter().map(|entry| (entry.name, entry.migrations.is_some()));
        assert_eq!(entries.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
    }

    #[test]
    fn all_selects_each_service_once() {
        let names = |chosen_by: &[&str]| {
            let chosen_by: Vec<String> = chosen_by.iter().map(ToString::to_string).collect();
            chosen(&chosen_by).map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["all", "user"]).len(), ENTRIES.len());
        assert_eq!(names(&["user", "gateway", "user"]), ["gateway", "user"]);
    }
}
