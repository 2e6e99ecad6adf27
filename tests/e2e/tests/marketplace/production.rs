//! Scenario of the production sample: verified TLS to PostgreSQL, TLS and SCRAM to Kafka, no payment provider. The
//! Marketplace stays for the scenario of isolation.

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
use agora_shopper::{Shop, client::Call, load::products};
use agora_topology::ALL;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

/// Name of the Marketplace in the sample.
pub const NAME: &str = "main";
const SAMPLE: &str = "manifests/samples/production.yaml";
const AUTHORITY: &str = "data-ca";
/// Time limit until a condition changes; the operator retries a failed check of a server within 15 s.
const NOTICED_SECONDS_MAX: u64 = 60;

pub async fn the_production_sample_runs_over_verified_tls(world: &World) -> anyhow::Result<()> {
    let world = world.with_marketplace(NAME);
    world.delete_with_data().await?;
    logins(&world).await?;
    // A CA that did not sign the certificates of the data services.
    authority(&world, "ca.crt").await?;
    world.market.apply(&manifest(&world)?).await?;
    until("the conditions report the untrusted certificates", Duration::from_secs(NOTICED_SECONDS_MAX), async || {
        let database = condition(&world, "DatabaseReady").await?;
        let kafka = condition(&world, "KafkaReady").await?;
        Ok(when([database, kafka].iter().all(names_the_authority)))
    })
    .await
    .with_context(|| "with a CA that signed no certificate of the data services")?;
    println!("    with a wrong CA the conditions name spec.….tls.caSecretRef");

    let started = Instant::now();
    authority(&world, "data-ca.crt").await?;
    world.market.ready().await?;
    println!("    Available and Ready {:.1} s after the CA was corrected", started.elapsed().as_secs_f64());
    ensure!(!world.market.children_of(INGRESS).await?.is_empty(), "there is no Ingress");

    only_encrypted_sessions(&world).await?;
    only_logged_in_clients(&world).await?;
    nothing_is_charged(&world).await
}

/// Deletes the Marketplace with its data while the server's certificate is not trusted: condition Ready gives the
/// reason, and the deletion completes after the CA is corrected.
pub async fn deletion_completes_when_the_server_is_trusted(world: &World) -> anyhow::Result<()> {
    authority(world, "ca.crt").await?;
    let spec = json!({ "database": { "deletionPolicy": "Delete" }, "kafka": { "deletionPolicy": "Delete" } });
    world.market.change(&json!({ "spec": spec })).await?;
    world.cluster.delete(MARKETPLACE, NAME).await?;
    until(
        "condition Ready gives the reason why the deletion waits",
        Duration::from_secs(NOTICED_SECONDS_MAX),
        async || {
            let ready = condition(world, "Ready").await?;
            Ok(when(names_the_authority(&ready) && text(&ready["message"]).starts_with("the deletion waits")))
        },
    )
    .await?;
    authority(world, "data-ca.crt").await?;
    world.market.delete().await
}

/// The sample with the changes that one broker and a small machine require.
fn manifest(world: &World) -> anyhow::Result<Value> {
    let mut object = world.market.sample(&world.settings, SAMPLE)?;
    let spec = &mut object["spec"];
    // The single broker cannot store two replicas.
    spec["kafka"]["topicDefaults"] = json!({ "replicas": 1, "config": { "min.insync.replicas": "1" } });
    // One pod per service with a small CPU request, because the machine has two cores.
    let services = ALL.iter().map(|service| {
        let scaling = json!({ "minReplicas": 1, "maxReplicas": 1 });
        json!({ "name": service.name, "scaling": scaling, "resources": { "requests": { "cpu": "10m" } } })
    });
    spec["services"] = services.collect();
    Ok(object)
}

/// Creates the Secrets that the sample references, except for PostgreSQL's admin login, which exists.
async fn logins(world: &World) -> anyhow::Result<()> {
    let state = |file: &str| {
        let file = world.settings.state.join(file);
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    };
    let password = state("kafka/agora.password")?;
    let login = json!({ "username": "agora", "password": password.trim() });
    world
        .cluster
        .apply(SECRET, &secret("kafka-admin", "kubernetes.io/basic-auth", "kafka=kafka.data.svc:9093", &login))
        .await?;
    // No mail is sent here: the server does not have to answer.
    let mail = json!({ "username": "shop", "password": "only-for-tests" });
    world.cluster.apply(SECRET, &secret("mail", "kubernetes.io/basic-auth", "smtp=mail.data.svc:587", &mail)).await?;
    // The host names do not matter: the cluster has no ingress controller.
    let certificate = json!({ "tls.crt": state("pki/data.crt")?, "tls.key": state("pki/data.key")? });
    world.cluster.apply(SECRET, &secret("shop-certificate", "kubernetes.io/tls", "tls", &certificate)).await?;
    Ok(())
}

async fn authority(world: &World, file: &str) -> anyhow::Result<()> {
    let pem = std::fs::read_to_string(world.settings.state.join("pki").join(file))?;
    world.cluster.apply(SECRET, &secret(AUTHORITY, "Opaque", "tls", &json!({ "ca.crt": pem }))).await?;
    Ok(())
}

fn secret(name: &str, type_: &str, purpose: &str, values: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_, "stringData": values,
        "metadata": {
            "name": name, "labels": { "agoraplatform.dev/usable": "true" },
            "annotations": { "agoraplatform.dev/usable-for": purpose },
        },
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

/// Every service with a database has sessions, and all of them are encrypted.
async fn only_encrypted_sessions(world: &World) -> anyhow::Result<()> {
    let sessions = world.tables.sessions().await?;
    for service in ALL.iter().filter(|service| service.database) {
        let login = world.market.database(service.name);
        ensure!(sessions.iter().any(|(user, _)| user.starts_with(&login)), "{} has no session", service.name);
    }
    let clear: Vec<_> = sessions.iter().filter(|(_, encrypted)| !encrypted).collect();
    ensure!(clear.is_empty(), "unencrypted sessions: {clear:?}");
    println!("    {} database sessions, all of them encrypted", sessions.len());
    Ok(())
}

/// No object contains the plaintext port and no pod is connected to it; every consuming pod is connected to the TLS
/// port.
async fn only_logged_in_clients(world: &World) -> anyhow::Result<()> {
    for kind in [CONFIG_MAP, DEPLOYMENT, JOB] {
        for object in world.market.children_of(kind).await? {
            ensure!(!object.to_string().contains(":9092"), "{} {}", kind.word, object["metadata"]["name"]);
        }
    }
    let (clear, secured) = (broker::peers(KAFKA_PODS.0)?, broker::peers(KAFKA_PODS.1)?);
    let mut connected = 0;
    for service in ALL.iter().filter(|service| service.speaks_to_broker()) {
        let settings = world.cluster.get(CONFIG_MAP, &world.market.child(service.name)).await?.unwrap_or_default();
        let data = &settings["data"];
        ensure!(data["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL", "{}: {data}", service.name);
        ensure!(data["KAFKA_SASL_MECHANISM"] == "SCRAM-SHA-512", "{}: {data}", service.name);
        for address in addresses(world, service.name).await? {
            ensure!(!clear.contains(&address), "{} has a plaintext connection to the broker", service.name);
            // A consumer connects at start, a producer when it sends.
            ensure!(service.consumes.is_empty() || secured.contains(&address), "{} has no connection", service.name);
            connected += usize::from(secured.contains(&address));
        }
    }
    println!("    {connected} pods are connected to the broker over TLS, none in plaintext");
    Ok(())
}

/// IP addresses of a service's running pods.
async fn addresses(world: &World, service: &str) -> anyhow::Result<BTreeSet<Ipv4Addr>> {
    let selector = format!("app.kubernetes.io/instance={},app.kubernetes.io/name={service}", world.market.name);
    let pods = world.cluster.list(POD, &selector).await?;
    let running = pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
    Ok(running.filter_map(|pod| text(&pod["status"]["podIP"]).parse().ok()).collect())
}

/// A shopper can order but not pay: without a payment provider payments are rejected and nothing is stored.
async fn nothing_is_charged(world: &World) -> anyhow::Result<()> {
    let shop = world.filled_shop().await?;
    let token = enter(&shop, "production").await?;
    let order = order_one(&shop, &token, "production").await?;
    ensure!(order.status == "pending", "the order is {}", order.status);
    let pay = Call::post("/payments", json!({ "orderId": order.id, "method": "card", "token": "tok_ok" }));
    let refused = shop.send(&pay.bearer(&token).idempotency_key("pay-production")).await;
    ensure!(refused.status() == Some(503), "paying: {}", refused.describe());
    ensure!(refused.code().as_deref() == Some("NO_PROVIDER"), "paying: {}", refused.describe());
    ensure!(world.tables.payments().await? == (0, 0), "a rejected payment was stored");
    let read = shop.send(&Call::get(format!("/orders/{}", order.id)).bearer(&token)).await;
    let read: Order = read.success().with_context(|| format!("reading the order: {}", read.describe()))?;
    ensure!(read.status == "pending" && read.payment_status == "unpaid", "{} {}", read.status, read.payment_status);
    println!("    order {} is pending, and paying answers 503 NO_PROVIDER", read.number);
    Ok(())
}

/// Registers a shopper and returns the access token. Idempotent.
pub async fn enter(shop: &Shop, name: &str) -> anyhow::Result<String> {
    let (email, password) = (format!("{name}@example.com"), format!("pass-{name}-of-e2e"));
    let register = Call::post("/auth/register", json!({ "email": email, "password": password, "firstname": "Ada" }));
    let registered = shop.send_until_final(&register).await;
    ensure!(matches!(registered.status(), Some(201 | 409)), "registering: {}", registered.describe());
    let login = Call::post("/auth/login", json!({ "email": email, "password": password }));
    let login = shop.send_until_final(&login).await;
    let tokens: Tokens = login.success().with_context(|| format!("logging in: {}", login.describe()))?;
    Ok(tokens.access_token)
}

/// Orders one unit of the first product in stock.
pub async fn order_one(shop: &Shop, token: &str, name: &str) -> anyhow::Result<Order> {
    let stocked =
        products(shop).await?.into_iter().find(|product| product.stock > 0).context("no product has stock")?;
    let address =
        json!({ "recipient": "Ada", "street": "Square 1", "city": "London", "postalCode": "SW1", "country": "GB" });
    let body = json!({ "items": [{ "productId": stocked.id, "quantity": 1 }], "shippingAddress": address });
    let call = Call::post("/orders", body).bearer(token).idempotency_key(format!("order-{name}"));
    let ordered = shop.send_until_final(&call).await;
    ensure!(ordered.status() == Some(201), "ordering: {}", ordered.describe());
    ordered.success().with_context(|| format!("ordering: {}", ordered.describe()))
}
