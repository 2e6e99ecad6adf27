//! Scenarios of deletion: data is retained and adopted by a new Marketplace, or deleted without leftover objects.

use std::time::Duration;

use agora_e2e::{
    cluster::{MARKETPLACE, SECRET},
    wait::{until, when},
    world::World,
};
use agora_shopper::{
    checker::{Evidence, Leftovers, check},
    load::products,
};
use anyhow::{bail, ensure};

/// Time limit of Kubernetes' garbage collector.
const COLLECT_SECONDS_MAX: u64 = 60;

pub async fn a_recreated_marketplace_adopts_retained_data(world: &World) -> anyhow::Result<()> {
    let orders = world.tables.order_count().await?;
    ensure!(orders > 0, "there is no order to retain");
    let admin = world.admin().await?;

    world.market.delete().await?;

    collected(world, |kind| kind == SECRET.word).await?;
    let live: Vec<_> = world.tables.roles().await?.into_iter().filter(|(_, may_log_in)| *may_log_in).collect();
    ensure!(live.is_empty(), "roles of a deleted Marketplace can still log in: {live:?}");
    ensure!(world.tables.order_count().await? == orders, "retained orders are missing");
    println!("    deleted; {orders} orders are retained, no role can log in");

    world.market.apply(&world.market.manifest(&world.settings)?).await?;
    world.market.ready().await?;
    ensure!(world.tables.order_count().await? == orders, "the new Marketplace did not adopt the retained orders");
    let again = world.admin().await?;
    ensure!(again.email == admin.email && again.password == admin.password, "the admin's login has changed");
    let shop = world.shop().await?;
    ensure!(!products(&shop).await?.is_empty(), "the catalog is empty");
    agora_shopper::buy_one(&shop).await?;
    println!("    retained data adopted, a new order is paid");
    Ok(())
}

/// Waits until the garbage collector has deleted all child objects except those of kinds that `may_stay` accepts.
async fn collected(world: &World, may_stay: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let waited = until("the child objects are deleted", Duration::from_secs(COLLECT_SECONDS_MAX), async || {
        Ok(when(world.market.children().await?.keys().all(|(kind, _)| may_stay(kind))))
    });
    if let Err(error) = waited.await {
        let left = world.market.children().await?;
        bail!("{error:#}; remaining: {:?}", left.keys().filter(|(kind, _)| !may_stay(kind)).collect::<Vec<_>>());
    }
    Ok(())
}

pub async fn deletion_with_data_leaves_nothing(world: &World) -> anyhow::Result<()> {
    world.delete_with_data().await?;
    nothing_is_left(world).await
}

/// Waits for the garbage collector, then checks that no child object, database, role or topic of the Marketplace
/// remains.
pub async fn nothing_is_left(world: &World) -> anyhow::Result<()> {
    collected(world, |_| false).await?;
    let children = world.market.children().await?;
    let found = children.keys().map(|(kind, name)| format!("{kind}/{name}"));
    let databases = world.tables.databases().await?.into_iter().map(|name| format!("Database/{name}"));
    let roles = world.tables.roles().await?.into_iter().map(|(name, _)| format!("Role/{name}"));
    let topics = agora_e2e::broker::topics(&world.market.isolation_key()).await?;
    let topics = topics.into_iter().map(|name| format!("Topic/{name}"));
    let found = found.chain(databases).chain(roles).chain(topics).collect();
    let waiting = world.cluster.get(MARKETPLACE, &world.market.name).await?.map(|_| "Marketplace".to_owned());
    let leftovers = Leftovers { found, waiting: waiting.into_iter().collect(), ..Leftovers::default() };
    let violations = check(&[], &Evidence { leftovers, ..Evidence::default() });
    ensure!(violations.is_empty(), "leftover objects: {violations:#?}");
    Ok(())
}
