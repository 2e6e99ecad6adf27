//! Scenario of isolation: two Marketplaces in one namespace share database server and broker without access to each
//! other's data; a third one cannot claim a used isolation key.

use std::{collections::BTreeSet, time::Duration};

use agora_api::catalog::Product;
use agora_e2e::{
    broker,
    cluster::{DEPLOYMENT, MARKETPLACE, NETWORK_POLICY, POD, SECRET, name, text},
    wait::{until, when},
    world::{World, field},
};
use agora_shopper::{Shop, buy_one, client::Call, load::products};
use agora_topology::{ADMIN_PORT, ALL};
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{deletion::nothing_is_left, production, secrecy::no_secret_appears_in_objects_logs_or_files};

const STALLED_SECONDS_MAX: u64 = 60;
const GROUPS_SECONDS_MAX: u64 = 30;
const RELAYED_SECONDS_MAX: u64 = 30;
/// SQLSTATE insufficient_privilege: the role may not connect to the database.
const NOT_ALLOWED: &str = "42501";

/// Requires the Marketplace of the production scenario.
pub async fn two_marketplaces_on_one_broker_and_server_are_isolated(first: &World) -> anyhow::Result<()> {
    let second = &first.with_marketplace(production::NAME);
    second.market.ready().await?;
    let (shop, other) = (first.filled_shop().await?, second.filled_shop().await?);
    buy_one(&shop).await?;
    let token = production::enter(&other, "isolation").await?;
    production::order_one(&other, &token, "isolation").await?;

    names_are_disjoint(first, second).await?;
    logins_reach_only_own_databases(first, second).await?;
    events_stay_on_own_topics(first, second).await?;
    group_members_are_own_pods(first).await?;
    group_members_are_own_pods(second).await?;
    policies_select_only_own_pods(first).await?;
    policies_select_only_own_pods(second).await?;
    products_are_separate(second, &shop, &other).await?;
    let response = shop.send(&Call::get("/users/me").bearer(&token)).await;
    ensure!(response.status() == Some(401), "a token of the other shop: {}", response.describe());

    a_claimed_key_stays_claimed(first).await?;

    // Before the deletion, so that pods with broker credentials are searched too.
    no_secret_appears_in_objects_logs_or_files(first).await?;

    let before = claims_and_topics(first).await?;
    production::deletion_completes_when_the_server_is_trusted(second).await?;
    nothing_is_left(second).await?;
    ensure!(
        claims_and_topics(first).await? == before,
        "deleting one Marketplace changed databases, roles or topics of the other"
    );
    buy_one(&shop).await?;
    println!("    one Marketplace is deleted with its data, the other still accepts orders");
    Ok(())
}

async fn names_are_disjoint(first: &World, second: &World) -> anyhow::Result<()> {
    let (one, two) = (names(first).await?, names(second).await?);
    let both: Vec<_> = one.intersection(&two).collect();
    ensure!(both.is_empty(), "used by both Marketplaces: {both:?}");
    println!("    {} and {} databases, roles, topics and groups, none in common", one.len(), two.len());
    Ok(())
}

/// Names of databases, roles, topics and consumer groups of a Marketplace.
async fn names(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let databases = world.tables.databases().await?;
    let roles: Vec<_> = world.tables.roles().await?.into_iter().map(|(role, _)| role).collect();
    let topics = broker::topics(&world.market.isolation_key()).await?;
    let groups = groups(world).await?;
    for (what, found) in [("database", &databases), ("role", &roles), ("topic", &topics), ("group", &groups)] {
        ensure!(!found.is_empty(), "{} has no {what}", world.market.name);
    }
    let kinds = [("database", databases), ("role", roles), ("topic", topics), ("group", groups)];
    Ok(kinds
        .into_iter()
        .flat_map(|(kind, names)| names.into_iter().map(move |name| format!("{kind} {name}")))
        .collect())
}

/// Consumer groups; waits until every service has its own.
async fn groups(world: &World) -> anyhow::Result<Vec<String>> {
    // These shops have no archive.
    let groups = ALL.iter().flat_map(|service| service.groups);
    let wanted = groups.filter(|group| **group != agora_topology::ARCHIVE_GROUP).count();
    let key = world.market.isolation_key();
    until("every consuming service has its consumer groups", Duration::from_secs(GROUPS_SECONDS_MAX), async || {
        let groups = broker::groups(&key).await?;
        Ok((groups.len() >= wanted).then(|| groups.into_iter().map(|(name, _)| name).collect()))
    })
    .await
}

/// Every role of each Marketplace tries to connect to every database of the other.
async fn logins_reach_only_own_databases(first: &World, second: &World) -> anyhow::Result<()> {
    let mut refused = 0;
    for (guest, host) in [(first, second), (second, first)] {
        for service in ALL.iter().filter(|service| service.database) {
            let secret = format!("{}-database", guest.market.child(service.name));
            let secret = guest.cluster.get(SECRET, &secret).await?.with_context(|| secret.clone())?;
            let (login, password) = (field(&secret, "username")?, field(&secret, "password")?);
            let home = guest.market.database(service.name);
            let at_home = guest.tables.login_error(&login, &password, &home).await?;
            ensure!(at_home.is_none(), "{login} cannot connect to its own database {home}: {at_home:?}");
            for database in host.tables.databases().await? {
                let code = guest.tables.login_error(&login, &password, &database).await?;
                ensure!(code.as_deref() == Some(NOT_ALLOWED), "{login} at {database}: {code:?}");
                refused += 1;
            }
        }
    }
    println!("    {refused} connections to databases of the other Marketplace tried, all rejected");
    Ok(())
}

/// Every event on a Marketplace's order topic belongs to an order in its own table; at least one exists.
async fn events_stay_on_own_topics(first: &World, second: &World) -> anyhow::Result<()> {
    for world in [first, second] {
        let key = world.market.isolation_key();
        let own: BTreeSet<String> = world.tables.order_events().await?.into_iter().map(|event| event.key).collect();
        let timeout = Duration::from_secs(RELAYED_SECONDS_MAX);
        let seen: BTreeSet<String> = until("the orders' events are on the topic", timeout, async || {
            let events = broker::events(&key, agora_events::topics::ORDER).await?;
            let seen: BTreeSet<String> = events.into_iter().map(|event| event.key).collect();
            Ok((!seen.is_empty() && own.is_subset(&seen)).then_some(seen))
        })
        .await?;
        // Includes orders that were created meanwhile.
        let own: BTreeSet<String> = world.tables.order_events().await?.into_iter().map(|event| event.key).collect();
        let strange: Vec<_> = seen.difference(&own).collect();
        ensure!(strange.is_empty(), "events of other orders on the topic of {}: {strange:?}", world.market.name);
    }
    Ok(())
}

/// Every member of a Marketplace's consumer groups is one of its pods.
async fn group_members_are_own_pods(world: &World) -> anyhow::Result<()> {
    let pods = world.cluster.list(POD, &format!("app.kubernetes.io/instance={}", world.market.name)).await?;
    let own: BTreeSet<String> = pods.iter().map(|pod| text(&pod["status"]["podIP"]).to_owned()).collect();
    for (group, members) in broker::groups(&world.market.isolation_key()).await? {
        let strange: Vec<_> = members.difference(&own).collect();
        ensure!(strange.is_empty(), "members of {group} are not pods of the Marketplace: {strange:?}");
    }
    Ok(())
}

/// Every selector in a Marketplace's NetworkPolicies selects only its own pods, except for the admin port.
async fn policies_select_only_own_pods(world: &World) -> anyhow::Result<()> {
    let policies = world.market.children_of(NETWORK_POLICY).await?;
    ensure!(!policies.is_empty(), "{} has no NetworkPolicy", world.market.name);
    for policy in policies {
        let spec = &policy["spec"];
        ensure!(is_of(&spec["podSelector"], world), "{} selects {}", name(&policy), spec["podSelector"]);
        for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
            for rule in spec[rules].as_array().into_iter().flatten() {
                let to_admin = rule["ports"] == json!([{ "port": ADMIN_PORT, "protocol": "TCP" }]);
                let selectors = rule[peers].as_array().into_iter().flatten().map(|peer| &peer["podSelector"]);
                for selector in selectors.filter(|selector| !selector.is_null()) {
                    ensure!(is_of(selector, world) || to_admin, "{} {rules} of {selector}", name(&policy));
                }
            }
        }
    }
    Ok(())
}

fn is_of(selector: &Value, world: &World) -> bool {
    selector["matchLabels"]["app.kubernetes.io/instance"] == world.market.name.as_str()
}

/// A product that is created in one shop does not exist in the other.
async fn products_are_separate(second: &World, shop: &Shop, other: &Shop) -> anyhow::Result<()> {
    let admin = second.admin().await?;
    let login = json!({ "email": admin.email, "password": admin.password.expose() });
    let login = other.send(&Call::post("/auth/login", login)).await;
    let tokens: agora_api::user::Tokens = login.success().with_context(|| login.describe())?;
    let product =
        json!({ "name": "Only here", "sku": "ONLY-HERE", "price": { "amount": 100, "currency": "EUR" }, "stock": 1 });
    let made = other.send(&Call::post("/products", product).bearer(&tokens.access_token)).await;
    let made: Product = made.success().with_context(|| format!("creating a product: {}", made.describe()))?;
    let here = other.send(&Call::get(format!("/products/{}", made.id))).await;
    ensure!(here.status() == Some(200), "the product in its own shop: {}", here.describe());
    let there = shop.send(&Call::get(format!("/products/{}", made.id))).await;
    ensure!(there.status() == Some(404), "the product in the other shop: {}", there.describe());
    ensure!(products(shop).await?.iter().all(|product| product.id != made.id), "the other shop lists the product");
    Ok(())
}

/// A Marketplace with the isolation key of another one gets condition Stalled, runs only a gateway, and changes
/// nothing, not even when it is deleted.
async fn a_claimed_key_stays_claimed(first: &World) -> anyhow::Result<()> {
    let third = &first.with_marketplace("third");
    let before = claims_and_topics(first).await?;
    let mut manifest = third.market.manifest(&third.settings)?;
    manifest["spec"]["isolationKey"] = json!(first.market.isolation_key());
    // A setting that would be visible if the third Marketplace changed the topics.
    manifest["spec"]["kafka"]["topicDefaults"] = json!({ "config": { "retention.ms": "60000" } });
    third.market.apply(&manifest).await?;
    let waited = until(
        "the third Marketplace is Stalled with reason IsolationConflict",
        Duration::from_secs(STALLED_SECONDS_MAX),
        async || {
            let market = third.cluster.get(MARKETPLACE, &third.market.name).await?.unwrap_or_default();
            let conditions = market["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let stalled = conditions.into_iter().find(|condition| condition["type"] == "Stalled").unwrap_or_default();
            Ok(when(stalled["status"] == "True" && stalled["reason"] == "IsolationConflict"))
        },
    );
    waited.await.with_context(|| "a third Marketplace with the isolation key of the first")?;
    // Only the gateway may run; it uses neither database nor broker.
    let running = third.market.children_of(DEPLOYMENT).await?;
    let strange: Vec<_> = running.iter().map(name).filter(|child| !child.ends_with("-gateway")).collect();
    ensure!(strange.is_empty(), "unexpected Deployments {strange:?}");
    ensure!(
        claims_and_topics(first).await? == before,
        "the third Marketplace changed databases, roles or topics of the first"
    );
    third.delete_with_data().await?;
    ensure!(
        claims_and_topics(first).await? == before,
        "deleting the third Marketplace changed databases, roles or topics of the first"
    );
    println!("    a third Marketplace with the same isolation key is Stalled (IsolationConflict) and changes nothing");
    Ok(())
}

/// Databases and roles with their owner comments, and topics with their settings.
async fn claims_and_topics(world: &World) -> anyhow::Result<Value> {
    let topics = broker::topics(&world.market.isolation_key()).await?;
    Ok(json!({ "claims": world.tables.claims().await?, "topics": broker::settings(&topics).await? }))
}
