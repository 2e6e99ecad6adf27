//! The sample for production on the data services' verified doors: TLS to PostgreSQL, TLS and SCRAM to Kafka, no payment
//! provider. It runs beside the shop under test and stays for the scenario about two shops.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use agora_api::{order::Order, user::Tokens};
use agora_e2e::{
    broker,
    cluster::{CONFIG_MAP, DEPLOYMENT, INGRESS, JOB, MARKETPLACE, POD, SECRET, text},
    settings::KAFKA_PODS,
    wait::{until, when},
    world::World,
};
use agora_shopper::{
    Shop,
    client::{Call, Reply},
    load::products,
};
use agora_topology::ALL;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

/// The name that the sample has.
pub const NAME: &str = "main";
const SAMPLE: &str = "manifests/samples/production.yaml";
const AUTHORITY: &str = "data-ca";
/// A look at the servers that failed is repeated within 15 s.
const NOTICED_SECONDS_MAX: u64 = 60;

pub async fn the_production_sample_runs_over_verified_tls(world: &World) -> anyhow::Result<()> {
    let world = world.beside(NAME);
    world.delete_with_data().await?;
    logins(&world).await?;
    // An authority that signed nothing of the data services.
    authority(&world, "ca.crt").await?;
    world.market.apply(&manifest(&world)?).await?;
    until("the conditions name the untrusted certificates", Duration::from_secs(NOTICED_SECONDS_MAX), async || {
        let database = condition(&world, "DatabaseReady").await?;
        let kafka = condition(&world, "KafkaReady").await?;
        Ok(when([database, kafka].iter().all(names_the_authority)))
    })
    .await
    .with_context(|| "with an authority that signed nothing")?;
    println!("    with a wrong authority the conditions name spec.….tls.caSecretRef");

    let begun = Instant::now();
    authority(&world, "data-ca.crt").await?;
    world.market.ready().await?;
    println!("    Available and Ready by itself {:.1} s after the right one came", begun.elapsed().as_secs_f64());
    ensure!(!world.market.children_of(INGRESS).await?.is_empty(), "there is no Ingress");

    only_encrypted_sessions(&world).await?;
    only_logged_in_clients(&world).await?;
    nothing_is_charged(&world).await
}

/// Deletes it with its data while the database server cannot be trusted: it says what it waits for, and ends by itself
/// once the right authority is back.
pub async fn it_ends_when_its_server_is_trusted(world: &World) -> anyhow::Result<()> {
    authority(world, "ca.crt").await?;
    let spec = json!({ "database": { "deletionPolicy": "Delete" }, "kafka": { "deletionPolicy": "Delete" } });
    world.market.change(&json!({ "spec": spec })).await?;
    world.cluster.delete(MARKETPLACE, NAME).await?;
    until("Ready says what the deletion waits for", Duration::from_secs(NOTICED_SECONDS_MAX), async || {
        let ready = condition(world, "Ready").await?;
        Ok(when(names_the_authority(&ready) && text(&ready["message"]).starts_with("the deletion waits")))
    })
    .await?;
    authority(world, "data-ca.crt").await?;
    world.market.delete().await
}

/// The sample, with the fewest changes that this machine asks for.
fn manifest(world: &World) -> anyhow::Result<Value> {
    let mut object = world.market.sample(&world.settings, SAMPLE)?;
    let spec = &mut object["spec"];
    // One broker cannot hold two replicas of anything.
    spec["kafka"]["topicDefaults"] = json!({ "replicas": 1, "config": { "min.insync.replicas": "1" } });
    // Two cores, another shop and the tests themselves: one pod of each service, and no more than a trifle requested.
    let services = ALL.iter().map(|service| {
        let scaling = json!({ "minReplicas": 1, "maxReplicas": 1 });
        json!({ "name": service.name, "scaling": scaling, "resources": { "requests": { "cpu": "10m" } } })
    });
    spec["services"] = services.collect();
    Ok(object)
}

/// The Secrets that the sample names; the admin login of PostgreSQL is there already.
async fn logins(world: &World) -> anyhow::Result<()> {
    let state = |file: &str| {
        let file = world.settings.state.join(file);
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    };
    let password = state("kafka/agora.password")?;
    let login = json!({ "username": "agora", "password": password.trim() });
    world.cluster.apply(SECRET, &secret("kafka-admin", "kubernetes.io/basic-auth", &login)).await?;
    // Nobody here looks at the name in it: there is no ingress controller.
    let certificate = json!({ "tls.crt": state("pki/data.crt")?, "tls.key": state("pki/data.key")? });
    world.cluster.apply(SECRET, &secret("shop-certificate", "kubernetes.io/tls", &certificate)).await?;
    Ok(())
}

async fn authority(world: &World, file: &str) -> anyhow::Result<()> {
    let pem = std::fs::read_to_string(world.settings.state.join("pki").join(file))?;
    world.cluster.apply(SECRET, &secret(AUTHORITY, "Opaque", &json!({ "ca.crt": pem }))).await?;
    Ok(())
}

fn secret(name: &str, type_: &str, values: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_, "stringData": values,
        "metadata": { "name": name, "labels": { "agoraplatform.dev/usable": "true" } },
    })
}

async fn condition(world: &World, type_: &str) -> anyhow::Result<Value> {
    let market = world.cluster.get(MARKETPLACE, NAME).await?.unwrap_or_default();
    let conditions = market["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Ok(conditions.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default())
}

fn names_the_authority(condition: &Value) -> bool {
    let message = text(&condition["message"]);
    condition["status"] == "False" && message.contains("is not trusted") && message.contains("tls.caSecretRef")
}

/// Every service with a database has sessions, and none of them in the clear.
async fn only_encrypted_sessions(world: &World) -> anyhow::Result<()> {
    let sessions = world.tables.sessions().await?;
    for service in ALL.iter().filter(|service| service.database) {
        let login = world.market.database(service.name);
        ensure!(sessions.iter().any(|(user, _)| user.starts_with(&login)), "{} has no session", service.name);
    }
    let clear: Vec<_> = sessions.iter().filter(|(_, encrypted)| !encrypted).collect();
    ensure!(clear.is_empty(), "sessions in the clear: {clear:?}");
    println!("    {} database sessions, all of them encrypted", sessions.len());
    Ok(())
}

/// No object names the door in the clear, and no pod has a connection to it; every pod with topics has one to the other.
async fn only_logged_in_clients(world: &World) -> anyhow::Result<()> {
    for kind in [CONFIG_MAP, DEPLOYMENT, JOB] {
        for object in world.market.children_of(kind).await? {
            ensure!(!object.to_string().contains(":9092"), "{} {}", kind.word, object["metadata"]["name"]);
        }
    }
    let (clear, secured) = (broker::peers(KAFKA_PODS.0)?, broker::peers(KAFKA_PODS.1)?);
    let mut speakers = 0;
    for service in ALL.iter().filter(|service| service.speaks_to_broker()) {
        let settings = world.cluster.get(CONFIG_MAP, &world.market.child(service.name)).await?.unwrap_or_default();
        let data = &settings["data"];
        ensure!(data["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL", "{}: {data}", service.name);
        ensure!(data["KAFKA_SASL_MECHANISM"] == "SCRAM-SHA-512", "{}: {data}", service.name);
        for address in addresses(world, service.name).await? {
            ensure!(!clear.contains(&address), "{} speaks to the broker in the clear", service.name);
            // A producer connects when there is something to send; a consumer at once.
            ensure!(service.consumes.is_empty() || secured.contains(&address), "{} has no connection", service.name);
            speakers += usize::from(secured.contains(&address));
        }
    }
    println!("    {speakers} pods are logged in at the broker over TLS, none in the clear");
    Ok(())
}

/// Addresses of a service's pods.
async fn addresses(world: &World, service: &str) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    let selector = format!("app.kubernetes.io/instance={},app.kubernetes.io/name={service}", world.market.name);
    let pods = world.cluster.list(POD, &selector).await?;
    let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
    Ok(running.filter_map(|pod| text(&pod["status"]["podIP"]).parse().ok()).collect())
}

/// A shopper browses and orders; paying is refused as long as there is nobody to pay.
async fn nothing_is_charged(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let token = enter(&shop, "production").await?;
    let order = order_one(&shop, &token, "production").await?;
    ensure!(order.status == "pending", "the order is {}", order.status);
    let pay = Call::post("/payments", json!({ "orderId": order.id, "method": "card", "token": "tok_ok" }));
    let refused = shop.send(&pay.by(&token).keyed("pay-production")).await;
    ensure!(refused.status() == Some(503), "paying: {}", refused.describe());
    ensure!(refused.code().as_deref() == Some("NO_PROVIDER"), "paying: {}", refused.describe());
    ensure!(world.tables.payments().await? == (0, 0), "something of the payment is stored");
    let read = shop.send(&Call::get(format!("/orders/{}", order.id)).by(&token)).await;
    let read: Order = read.success().with_context(|| format!("reading the order: {}", read.describe()))?;
    ensure!(read.status == "pending" && read.payment_status == "unpaid", "{} {}", read.status, read.payment_status);
    println!("    order {} is pending, and paying answers 503 NO_PROVIDER", read.number);
    Ok(())
}

/// A shopper's access token.
pub async fn enter(shop: &Shop, name: &str) -> anyhow::Result<String> {
    let (email, password) = (format!("{name}@example.com"), format!("pass-{name}-of-e2e"));
    let register = Call::post("/auth/register", json!({ "email": email, "password": password, "firstname": "Ada" }));
    let registered = settled(shop, &register).await;
    ensure!(matches!(registered.status(), Some(201 | 409)), "registering: {}", registered.describe());
    let login = settled(shop, &Call::post("/auth/login", json!({ "email": email, "password": password }))).await;
    let tokens: Tokens = login.success().with_context(|| format!("logging in: {}", login.describe()))?;
    Ok(tokens.access_token)
}

/// An order of one piece of the first product that is in stock.
pub async fn order_one(shop: &Shop, token: &str, name: &str) -> anyhow::Result<Order> {
    let stocked = products(shop).await?.into_iter().find(|product| product.stock > 0).context("nothing in stock")?;
    let address =
        json!({ "recipient": "Ada", "street": "Square 1", "city": "London", "postalCode": "SW1", "country": "GB" });
    let body = json!({ "items": [{ "productId": stocked.id, "quantity": 1 }], "shippingAddress": address });
    let call = Call::post("/orders", body).by(token).keyed(format!("order-{name}"));
    let ordered = settled(shop, &call).await;
    ensure!(ordered.status() == Some(201), "ordering: {}", ordered.describe());
    ordered.success().with_context(|| format!("ordering: {}", ordered.describe()))
}

/// The final answer, from a shop that may just be starting.
async fn settled(shop: &Shop, call: &Call<'_>) -> Reply {
    const TRIES_MAX: u32 = 50;
    for _ in 1..TRIES_MAX {
        let reply = shop.send(call).await;
        if !reply.may_be_repeated() {
            return reply;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    shop.send(call).await
}
