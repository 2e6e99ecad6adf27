//! Two Marketplaces in one namespace, on one database server and one broker: neither sees or touches what is the
//! other's, and a third cannot claim what is taken.

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

use crate::{deletion::nothing_is_left, production, secrecy::no_secret_is_told_anywhere};

const STALLED_SECONDS_MAX: u64 = 60;
const GROUPS_SECONDS_MAX: u64 = 30;
const RELAYED_SECONDS_MAX: u64 = 30;
/// Lacking the right to connect, by SQLSTATE.
const NOT_ALLOWED: &str = "42501";

/// Needs the one of the production sample.
pub async fn two_shops_on_one_broker_and_server_never_see_each_other(first: &World) -> anyhow::Result<()> {
    let second = &first.beside(production::NAME);
    second.market.ready().await?;
    let (shop, other) = (first.filled_shop().await?, second.filled_shop().await?);
    buy_one(&shop).await?;
    let token = production::enter(&other, "isolation").await?;
    production::order_one(&other, &token, "isolation").await?;

    names_are_apart(first, second).await?;
    logins_stay_at_home(first, second).await?;
    facts_stay_at_home(first, second).await?;
    members_stay_at_home(first).await?;
    members_stay_at_home(second).await?;
    policies_stay_at_home(first).await?;
    policies_stay_at_home(second).await?;
    catalogues_are_apart(second, &shop, &other).await?;
    let stranger = shop.send(&Call::get("/users/me").by(&token)).await;
    ensure!(stranger.status() == Some(401), "a token of the other shop: {}", stranger.describe());

    a_claimed_key_stays_claimed(first).await?;

    // While the pods that log in at the broker are still there to be looked at.
    no_secret_is_told_anywhere(first).await?;

    let before = held(first).await?;
    production::it_ends_when_its_server_is_trusted(second).await?;
    nothing_is_left(second).await?;
    ensure!(held(first).await? == before, "deleting one shop changed what the other holds");
    buy_one(&shop).await?;
    println!("    one is gone with its data, the other sells");
    Ok(())
}

async fn names_are_apart(first: &World, second: &World) -> anyhow::Result<()> {
    let (one, two) = (names(first).await?, names(second).await?);
    let both: Vec<_> = one.intersection(&two).collect();
    ensure!(both.is_empty(), "belongs to both shops: {both:?}");
    println!("    {} and {} databases, roles, topics and groups, none in common", one.len(), two.len());
    Ok(())
}

/// Databases, roles, topics and groups of a shop.
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

/// One for each service that consumes.
async fn groups(world: &World) -> anyhow::Result<Vec<String>> {
    let wanted = ALL.iter().filter(|service| !service.consumes.is_empty()).count();
    let key = world.market.isolation_key();
    until("every consumer has its group", Duration::from_secs(GROUPS_SECONDS_MAX), async || {
        let groups = broker::groups(&key).await?;
        Ok((groups.len() >= wanted).then(|| groups.into_iter().map(|(name, _)| name).collect()))
    })
    .await
}

/// Each login of each shop tries to enter each database of the other.
async fn logins_stay_at_home(first: &World, second: &World) -> anyhow::Result<()> {
    let mut refused = 0;
    for (guest, host) in [(first, second), (second, first)] {
        for service in ALL.iter().filter(|service| service.database) {
            let secret = format!("{}-database", guest.market.child(service.name));
            let secret = guest.cluster.get(SECRET, &secret).await?.with_context(|| secret.clone())?;
            let (login, password) = (field(&secret, "username")?, field(&secret, "password")?);
            let home = guest.market.database(service.name);
            let at_home = guest.tables.refusal(&login, &password, &home).await?;
            ensure!(at_home.is_none(), "{login} cannot enter its own {home}: {at_home:?}");
            for database in host.tables.databases().await? {
                let code = guest.tables.refusal(&login, &password, &database).await?;
                ensure!(code.as_deref() == Some(NOT_ALLOWED), "{login} at {database}: {code:?}");
                refused += 1;
            }
        }
    }
    println!("    {refused} tries of logins to enter a database of the other shop, all refused");
    Ok(())
}

/// Every event on a shop's topic is of an order in its own table, and there are some.
async fn facts_stay_at_home(first: &World, second: &World) -> anyhow::Result<()> {
    for world in [first, second] {
        let key = world.market.isolation_key();
        let own: BTreeSet<String> = world.tables.order_facts().await?.into_iter().map(|fact| fact.key).collect();
        let patience = Duration::from_secs(RELAYED_SECONDS_MAX);
        let seen: BTreeSet<String> = until("the orders' events are on the topic", patience, async || {
            let events = broker::events(&key, agora_events::topics::ORDER).await?;
            let seen: BTreeSet<String> = events.into_iter().map(|event| event.key).collect();
            Ok((!seen.is_empty() && own.is_subset(&seen)).then_some(seen))
        })
        .await?;
        // Orders made meanwhile are own ones too.
        let own: BTreeSet<String> = world.tables.order_facts().await?.into_iter().map(|fact| fact.key).collect();
        let strange: Vec<_> = seen.difference(&own).collect();
        ensure!(strange.is_empty(), "on the topic of {}: {strange:?}", world.market.name);
    }
    Ok(())
}

/// Every member of a shop's groups is one of its pods.
async fn members_stay_at_home(world: &World) -> anyhow::Result<()> {
    let pods = world.cluster.list(POD, &format!("app.kubernetes.io/instance={}", world.market.name)).await?;
    let own: BTreeSet<String> = pods.iter().map(|pod| text(&pod["status"]["podIP"]).to_owned()).collect();
    for (group, members) in broker::groups(&world.market.isolation_key()).await? {
        let strange: Vec<_> = members.difference(&own).collect();
        ensure!(strange.is_empty(), "{group} has members that are no pods of the shop: {strange:?}");
    }
    Ok(())
}

/// Every selector of a shop's policies names the shop; the admin port alone answers the whole namespace.
async fn policies_stay_at_home(world: &World) -> anyhow::Result<()> {
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

/// A product that one shop gets is in no list of the other.
async fn catalogues_are_apart(second: &World, shop: &Shop, other: &Shop) -> anyhow::Result<()> {
    let admin = second.admin().await?;
    let login = json!({ "email": admin.email, "password": admin.password.expose() });
    let login = other.send(&Call::post("/auth/login", login)).await;
    let tokens: agora_api::user::Tokens = login.success().with_context(|| login.describe())?;
    let product =
        json!({ "name": "Only here", "sku": "ONLY-HERE", "price": { "amount": 100, "currency": "EUR" }, "stock": 1 });
    let made = other.send(&Call::post("/products", product).by(&tokens.access_token)).await;
    let made: Product = made.success().with_context(|| format!("making a product: {}", made.describe()))?;
    let here = other.send(&Call::get(format!("/products/{}", made.id))).await;
    ensure!(here.status() == Some(200), "the product in its own shop: {}", here.describe());
    let there = shop.send(&Call::get(format!("/products/{}", made.id))).await;
    ensure!(there.status() == Some(404), "the product in the other shop: {}", there.describe());
    ensure!(products(shop).await?.iter().all(|product| product.id != made.id), "the other shop lists it");
    Ok(())
}

/// A Marketplace that names the isolation key of another is told so, runs nothing and alters nothing, even by its end.
async fn a_claimed_key_stays_claimed(first: &World) -> anyhow::Result<()> {
    let third = &first.beside("third");
    let before = held(first).await?;
    let mut manifest = third.market.manifest(&third.settings)?;
    manifest["spec"]["isolationKey"] = json!(first.market.isolation_key());
    // What it would do to the topics if it touched them.
    manifest["spec"]["kafka"]["topicDefaults"] = json!({ "config": { "retention.ms": "60000" } });
    third.market.apply(&manifest).await?;
    let waited = until("it is stalled by the conflict", Duration::from_secs(STALLED_SECONDS_MAX), async || {
        let market = third.cluster.get(MARKETPLACE, &third.market.name).await?.unwrap_or_default();
        let conditions = market["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let stalled = conditions.into_iter().find(|condition| condition["type"] == "Stalled").unwrap_or_default();
        Ok(when(stalled["status"] == "True" && stalled["reason"] == "IsolationConflict"))
    });
    waited.await.with_context(|| "a third Marketplace claims the first one's isolation key")?;
    // The gateway knows neither database nor broker; nothing else may run.
    let running = third.market.children_of(DEPLOYMENT).await?;
    let strange: Vec<_> = running.iter().map(name).filter(|child| !child.ends_with("-gateway")).collect();
    ensure!(strange.is_empty(), "it runs {strange:?}");
    ensure!(held(first).await? == before, "it changed what the first one holds");
    third.delete_with_data().await?;
    ensure!(held(first).await? == before, "its deletion changed what the first one holds");
    println!("    a third claim of the same isolation key is stalled by IsolationConflict and touches nothing");
    Ok(())
}

/// Databases and roles with their claims, topics with their settings: what nobody else may change.
async fn held(world: &World) -> anyhow::Result<Value> {
    let topics = broker::topics(&world.market.isolation_key()).await?;
    Ok(json!({ "claims": world.tables.claims().await?, "topics": broker::settings(&topics).await? }))
}
