//! Scenarios of lost data: a database and a topic that disappear, the return of the database as by a restore, and the deletion of
//! the whole namespace.

use std::time::Duration;

use agora_e2e::{
    broker,
    cluster::{MARKETPLACE, NAMESPACE, text},
    wait::{until, when},
    world::{SHOP_NAMESPACE, World},
};
use anyhow::ensure;
use serde_json::{Value, json};

/// Time limit until the operator has seen a change at a data server: it inspects each server once per minute.
const NOTICED_SECONDS_MAX: u64 = 120;
/// Time limit for the deletion of a namespace with a Marketplace. The operator's part is limited to 60 s.
const NAMESPACE_SECONDS_MAX: u64 = 180;

/// The database is renamed instead of dropped, so that it can return with its data as after a restore.
pub async fn lost_data_is_reported_and_not_created_again(world: &World) -> anyhow::Result<()> {
    let (cart, away) = (world.market.database("cart"), world.market.database("cart_away"));
    let topic = format!("{}.cart-events", world.market.isolation_key());
    let orders = world.tables.order_count().await?;
    world.tables.rename(&cart, &away).await?;
    broker::delete_topic(&topic).await?;

    lost(world, "DatabaseReady", &cart).await?;
    lost(world, "KafkaReady", &topic).await?;
    for summary in ["Available", "Ready"] {
        let now = condition(world, summary).await?;
        ensure!(now["status"] != "True", "{summary} is True although data is lost: {now}");
    }
    ensure!(!world.tables.databases().await?.contains(&cart), "the lost database was created again");
    ensure!(!broker::topics(&world.market.isolation_key()).await?.contains(&topic), "the lost topic was created again");
    println!("    a lost database and a lost topic are reported, and nothing was created in their place");

    world.tables.rename(&away, &cart).await?;
    let accept = json!({ "metadata": { "annotations": { "agoraplatform.dev/accept-data-loss": topic } } });
    world.market.change(&accept).await?;
    world.market.ready().await?;
    ensure!(broker::topics(&world.market.isolation_key()).await?.contains(&topic), "the accepted topic is missing");
    ensure!(world.tables.order_count().await? == orders, "the orders have changed");
    let shop = world.shop().await?;
    agora_shopper::buy_one(&shop).await?;
    println!("    the database is back, the loss of the topic was accepted, a new order is paid");
    Ok(())
}

async fn lost(world: &World, type_: &str, name: &str) -> anyhow::Result<()> {
    let what = format!("{type_} is DataLost and names {name}");
    until(&what, Duration::from_secs(NOTICED_SECONDS_MAX), async || {
        let now = condition(world, type_).await?;
        Ok(when(now["reason"] == "DataLost" && text(&now["message"]).contains(name)))
    })
    .await
}

async fn condition(world: &World, type_: &str) -> anyhow::Result<Value> {
    let market = world.cluster.get(MARKETPLACE, &world.market.name).await?.unwrap_or_default();
    let conditions = market["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Ok(conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default())
}

/// The namespace controller deletes the operator's Role and the Marketplace in any order.
pub async fn the_deletion_of_a_namespace_ends_and_keeps_the_data(world: &World) -> anyhow::Result<()> {
    world.market.apply(&world.market.manifest(&world.settings)?).await?;
    world.market.ready().await?;
    let databases = world.tables.databases().await?;
    world.cluster.delete(NAMESPACE, SHOP_NAMESPACE).await?;
    until("the namespace is deleted", Duration::from_secs(NAMESPACE_SECONDS_MAX), async || {
        Ok(when(world.cluster.get(NAMESPACE, SHOP_NAMESPACE).await?.is_none()))
    })
    .await?;
    ensure!(world.tables.databases().await? == databases, "databases of the deleted namespace are missing");
    println!("    the namespace is deleted, its databases are retained");
    Ok(())
}
