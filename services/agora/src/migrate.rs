//! Migrates the databases of services one after another; stops at the first failure. Independent of the services' code.

use agora_chassis::settings;
use anyhow::Context as _;

use crate::services::Entry;

/// Migrates the databases of these services; skips services without a database. Idempotent.
pub async fn run(services: impl Iterator<Item = Entry>) -> anyhow::Result<()> {
    for Entry { name, migrations, .. } in services {
        let Some(migrations) = migrations else { continue };
        let database = settings(name, agora_postgres::Config::read)?;
        let applied = agora_postgres::migrate(&database.url.current(), database.ca.as_ref(), migrations).await;
        let applied = applied.with_context(|| format!("could not migrate the database of {name}"))?;
        println!("{name}: {applied} migrations applied, {} in all", migrations.iter().count());
    }
    Ok(())
}
