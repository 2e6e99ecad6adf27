//! A lost database or topic, another server, and another cluster's Marketplace on the same servers.

use agora_operator::decide::servers::{Broker, BrokerAuthentication};
use agora_operator::external::kafka::KafkaTopics;
use agora_operator::external::ports::TopicAdmin as _;
use agora_testkit::{KafkaServer, kafka, postgres, postgres15};
use sqlx::Connection as _;

use crate::api_server::ApiServer;
use crate::shop::{Operator, Server, Shop, databases_of_a_shop, until};

const ACCEPT_LOSS: &str = "agoraplatform.dev/accept-data-loss";

async fn broker() -> Broker {
    Broker { bootstrap: vec![kafka().await], tls: None, authentication: BrokerAuthentication::None }
}

async fn topic_exists(name: &str) -> bool {
    let seen = KafkaTopics::default().inspect(&broker().await, &[name.to_owned()], "none", false).await.unwrap();
    seen.topics.contains_key(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_database_is_reported_and_not_created_again_until_its_loss_is_accepted() {
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "loss_admin").await;
    let shop = Shop::prepare(&cluster, "loss", &server).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    until("the database of cart is to be migrated", async || (shop.migrations("cart").await.len() == 1).then_some(()))
        .await;
    let migrated = shop.migrations("cart").await;
    operator.stop().await;

    server.postgres.as_admin("drop database shop_loss_cart with (force)").await;
    let operator = Operator::start(cluster.config().await).await;
    let (status, message) = shop.reason("DatabaseReady", "DataLost").await;
    assert_eq!(status, "False");
    assert!(message.contains("database shop_loss_cart was deleted"), "{message}");
    for summary in ["Ready", "Available", "Stalled"] {
        let (status, _) = shop.reason(summary, "DataLost").await;
        assert_eq!(status == "True", summary == "Stalled", "{summary}");
    }
    operator.stop().await;
    let operator = Operator::start(cluster.config().await).await;
    shop.reason("DatabaseReady", "DataLost").await;
    assert_eq!(server.databases("shop_loss_").await.len(), databases_of_a_shop() - 1, "nothing was created");

    shop.follow(&message).await;
    shop.provisioned().await;
    assert_eq!(server.databases("shop_loss_").await.len(), databases_of_a_shop());
    until("an acceptance is used once", async || shop.annotation(ACCEPT_LOSS).await.is_none().then_some(())).await;
    until("the new database is migrated too", async || {
        let now = shop.migrations("cart").await;
        now.iter().any(|job| !migrated.contains(job)).then_some(())
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_is_reported_and_not_created_again_until_its_loss_is_accepted() {
    const TOPIC: &str = "shop-topicloss.order-events";
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "topicloss_admin").await;
    let shop = Shop::prepare(&cluster, "topicloss", &server).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    operator.stop().await;

    KafkaTopics::default().delete(&broker().await, &[TOPIC.to_owned()]).await.unwrap();
    let operator = Operator::start(cluster.config().await).await;
    let (_, message) = shop.reason("KafkaReady", "DataLost").await;
    assert!(message.contains(&format!("topic {TOPIC} was deleted")), "{message}");
    shop.reason("Ready", "DataLost").await;
    assert!(!topic_exists(TOPIC).await);
    shop.follow(&message).await;
    shop.provisioned().await;
    assert!(topic_exists(TOPIC).await);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_created_on_another_server_until_it_is_accepted() {
    let cluster = ApiServer::start().await;
    let (old, new) =
        (Server::new(postgres().await, "moved_admin").await, Server::new(postgres15().await, "moved_admin").await);
    let shop = Shop::prepare(&cluster, "moved", &old).await;
    shop.apply(&old, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    let login = until("the login is stored", async || shop.secret("moved-order-database").await).await;

    shop.usable_at(&new).await;
    shop.apply(&new, &kafka().await, "Retain").await;
    let (_, message) = shop.reason("DatabaseReady", "DataServerChanged").await;
    shop.reason("Ready", "DataServerChanged").await;
    assert_eq!(new.databases("shop_moved_").await, [""; 0], "nothing was created");
    assert_eq!(shop.secret("moved-order-database").await.unwrap(), login, "services stay at the old server");

    shop.follow(&message).await;
    shop.provisioned().await;
    assert_eq!(new.databases("shop_moved_").await.len(), databases_of_a_shop());
    until("services are sent to the new server", async || {
        shop.secret("moved-order-database").await.filter(|now| *now != login)
    })
    .await;
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_on_a_former_database_server_are_locked_once_the_services_use_the_new_one() {
    let cluster = ApiServer::start().await;
    let (old, new) =
        (Server::new(postgres().await, "former_admin").await, Server::new(postgres15().await, "former_admin").await);
    let shop = Shop::prepare(&cluster, "former", &old).await;
    shop.apply(&old, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;
    let login = until("the login is stored", async || shop.secret("former-order-database").await).await;
    let mut before = shop.log_in("order").await.unwrap();

    shop.usable_at(&new).await;
    shop.apply(&new, &kafka().await, "Retain").await;
    let (_, message) = shop.reason("DatabaseReady", "DataServerChanged").await;
    shop.follow(&message).await;
    until("services are sent to the new server", async || {
        shop.secret("former-order-database").await.filter(|now| *now != login)
    })
    .await;
    let former = async || shop.markets().get("former").await.unwrap().status.unwrap().database.unwrap().former_servers;
    until("the old server is a former one", async || (former().await.len() == 1).then_some(())).await;
    before.ping().await.expect("no service uses the new server yet");

    let mut sessions = Vec::new();
    for service in agora_topology::ALL.iter().filter(|row| row.database) {
        sessions.push(shop.log_in(service.name).await.unwrap());
    }
    until("an event says that the logins stay open", async || {
        let notes = shop.notes("DataServerChanged").await;
        notes.iter().any(|note| note.contains("may not be used there")).then_some(())
    })
    .await;
    before.ping().await.expect("the Secret may not be used at the old server any more");
    operator.stop().await;

    shop.usable_at_all(&new, &[&old, &new]).await;
    let operator = Operator::start(cluster.config().await).await;
    until("the session at the old server is ended", async || before.ping().await.is_err().then_some(())).await;
    until("no former server is left", async || former().await.is_empty().then_some(())).await;
    for session in &mut sessions {
        session.ping().await.expect("sessions at the new server go on");
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_created_at_another_kafka_cluster_until_it_is_accepted() {
    const TOPIC: &str = "shop-otherkafka.order-events";
    let cluster = ApiServer::start().await;
    let server = Server::new(postgres().await, "otherkafka_admin").await;
    let shop = Shop::prepare(&cluster, "otherkafka", &server).await;
    shop.apply(&server, &kafka().await, "Retain").await;
    let operator = Operator::start(cluster.config().await).await;
    shop.provisioned().await;

    let other = KafkaServer::start();
    shop.apply(&server, &other.brokers(), "Retain").await;
    let (status, message) = shop.reason("KafkaReady", "DataServerChanged").await;
    assert_eq!(status, "False");
    shop.reason("Ready", "DataServerChanged").await;
    let elsewhere = Broker { bootstrap: vec![other.brokers()], tls: None, authentication: BrokerAuthentication::None };
    let exists = async || {
        let seen = KafkaTopics::default().inspect(&elsewhere, &[TOPIC.to_owned()], "shop-otherkafka.", false).await;
        let seen = seen.unwrap();
        (seen.topics.contains_key(TOPIC), seen.markers)
    };
    assert_eq!(exists().await, (false, Vec::new()), "neither a topic nor a marker was created");
    operator.stop().await;

    let operator = Operator::start(cluster.config().await).await;
    shop.reason("KafkaReady", "DataServerChanged").await;
    shop.follow(&message).await;
    shop.provisioned().await;
    assert!(exists().await.0);
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_marketplace_of_another_cluster_gets_a_conflict_and_its_remedy_works() {
    let (first, second) = (ApiServer::start().await, ApiServer::start().await);
    let server = Server::new(postgres().await, "claim_admin").await;
    let brokers = kafka().await;
    let owner = Shop::prepare(&first, "claim", &server).await;
    owner.apply(&server, &brokers, "Retain").await;
    let operator = Operator::start(first.config().await).await;
    owner.provisioned().await;
    operator.stop().await;

    let rival = Shop::prepare(&second, "claim", &server).await;
    rival.apply(&server, &brokers, "Retain").await;
    let operator = Operator::start(second.config().await).await;
    let (_, message) = rival.reason("DatabaseReady", "IsolationConflict").await;
    let (status, _) = rival.reason("KafkaReady", "IsolationConflict").await;
    assert_eq!(status, "False");
    operator.stop().await;

    let operator = Operator::start(first.config().await).await;
    owner.provisioned().await;
    operator.stop().await;

    let operator = Operator::start(second.config().await).await;
    rival.follow(&message).await;
    rival.provisioned().await;
    operator.stop().await;
}
