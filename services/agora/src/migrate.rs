//! Bringing databases to what this build needs: one service after the other, ended by the first that fails.

use agora_chassis::settings;
use anyhow::Context as _;

use crate::services::Entry;

/// Migrates the databases of these services; those without one are passed over.
pub fn run(services: impl Iterator<Item = Entry>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        for Entry { name, migrations, .. } in services {
            let Some(migrations) = migrations else { continue };
            let database = settings(name, agora_postgres::Config::read)?;
            let applied = agora_postgres::migrate(&database.url.current(), database.ca.as_ref(), migrations).await;
            let applied = applied.with_context(|| format!("the database of {name} was not migrated"))?;
            println!("{name}: {applied} migrations applied, {} in all", migrations.iter().count());
        }
        Ok(())
    })
}
