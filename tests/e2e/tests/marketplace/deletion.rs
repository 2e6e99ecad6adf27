//! How a Marketplace ends: with its data kept and taken up again, and with nothing left.

use std::time::Duration;

use agora_e2e::{
    cluster::{MARKETPLACE, SECRET},
    wait::{until, when},
    world::World,
};
use agora_shopper::{
    checker::{Evidence, Residue, check},
    load::products,
};
use anyhow::{bail, ensure};

/// The garbage collector's, not the operator's.
const COLLECT_SECONDS_MAX: u64 = 60;

pub async fn retained_data_is_taken_up_again(world: &World) -> anyhow::Result<()> {
    let orders = world.tables.order_count().await?;
    ensure!(orders > 0, "there is no order to keep");
    let admin = world.admin().await?;

    world.market.delete().await?;

    collected(world, |kind| kind == SECRET.word).await?;
    let live: Vec<_> = world.tables.roles().await?.into_iter().filter(|(_, may_log_in)| *may_log_in).collect();
    ensure!(live.is_empty(), "logins of a deleted shop still work: {live:?}");
    ensure!(world.tables.order_count().await? == orders, "orders are gone");
    println!("    gone, with {orders} orders kept and every login locked");

    world.market.apply(&world.market.manifest(&world.settings)?).await?;
    world.market.ready().await?;
    ensure!(world.tables.order_count().await? == orders, "the shop began anew");
    let again = world.admin().await?;
    ensure!(again.email == admin.email && again.password == admin.password, "the admin is another");
    let shop = world.shop().await?;
    ensure!(!products(&shop).await?.is_empty(), "the catalogue is empty");
    agora_shopper::buy_one(&shop).await?;
    println!("    taken up again, and sold something");
    Ok(())
}

/// Waits until the cluster's garbage collector has taken every child but those that may stay.
async fn collected(world: &World, may_stay: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let waited = until("the children are gone", Duration::from_secs(COLLECT_SECONDS_MAX), async || {
        Ok(when(world.market.children().await?.keys().all(|(kind, _)| may_stay(kind))))
    });
    if let Err(error) = waited.await {
        let left = world.market.children().await?;
        bail!("{error:#}; left: {:?}", left.keys().filter(|(kind, _)| !may_stay(kind)).collect::<Vec<_>>());
    }
    Ok(())
}

pub async fn deleted_with_its_data_leaves_nothing(world: &World) -> anyhow::Result<()> {
    world.delete_with_data().await?;
    nothing_is_left(world).await
}

/// Waits for the garbage collector, then looks for what a deleted Marketplace could have left anywhere.
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
    let residue = Residue { found, waiting: waiting.into_iter().collect(), ..Residue::default() };
    let violations = check(&[], &Evidence { residue, ..Evidence::default() });
    ensure!(violations.is_empty(), "left behind: {violations:#?}");
    Ok(())
}
