//! Tests of the adapter with a broker.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::collections::BTreeMap;
use std::time::Instant;

use agora_testkit::{KafkaServer, kafka};
use futures::future::join_all;

use super::connection::METADATA_SECONDS_MAX;
use super::*;
use crate::decide::servers::{BrokerAuthentication, ObservedTopic};

const MARKER: &str = "first.owner-";

async fn inspect(broker: &Broker, names: &[String]) -> BTreeMap<String, ObservedTopic> {
    KafkaTopics::default().inspect(broker, names, MARKER, false).await.unwrap().topics
}

async fn broker() -> Broker {
    at(kafka().await)
}

fn at(bootstrap: String) -> Broker {
    Broker { bootstrap: vec![bootstrap], tls: None, authentication: BrokerAuthentication::None }
}

fn topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> DesiredTopic {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    DesiredTopic { name: name.to_owned(), partitions, replicas: 1, config }
}

fn all_succeeded(results: &PerName) -> bool {
    !results.is_empty() && results.values().all(Result::is_ok)
}

#[tokio::test]
async fn ms2_topics_are_created_once_inspected_changed_and_deleted() {
    let broker = broker().await;
    let order = topic("first.order-events", 3, &[("retention.ms", "60000")]);
    let cart = topic("first.cart-events", 2, &[]);
    let names = [order.name.clone(), cart.name.clone(), "first.absent".to_owned()];
    let both = [order.clone(), cart.clone()];
    assert!(all_succeeded(&KafkaTopics::default().create(&broker, &both).await.unwrap()));
    assert!(all_succeeded(&KafkaTopics::default().create(&broker, &both).await.unwrap()), "create is idempotent");

    let observed = inspect(&broker, &names).await;
    assert_eq!(observed.len(), 2);
    let created = ObservedTopic { partitions: 3, replicas: 1, config: order.config.clone() };
    assert_eq!(observed[&order.name], created);
    assert_eq!(observed[&cart.name], ObservedTopic { partitions: 2, replicas: 1, config: BTreeMap::new() });

    let changed = topic(&order.name, 5, &[("cleanup.policy", "compact")]);
    assert!(all_succeeded(&KafkaTopics::default().set_config(&broker, std::slice::from_ref(&changed)).await.unwrap()));
    assert!(all_succeeded(
        &KafkaTopics::default().add_partitions(&broker, std::slice::from_ref(&changed)).await.unwrap()
    ));
    let observed = inspect(&broker, &names).await;
    assert_eq!(observed[&order.name], ObservedTopic { partitions: 5, replicas: 1, config: changed.config });

    assert!(
        all_succeeded(&KafkaTopics::default().delete(&broker, &names).await.unwrap()),
        "deleting a missing topic is no error"
    );
    assert!(inspect(&broker, &names).await.is_empty());
}

#[tokio::test]
async fn a_rejected_topic_is_named_and_the_others_are_created() {
    let broker = broker().await;
    let good = topic("second.good", 1, &[]);
    let bad = DesiredTopic { replicas: 3, ..topic("second.bad", 1, &[]) };
    let results = KafkaTopics::default().create(&broker, &[good.clone(), bad.clone()]).await.unwrap();
    assert!(results[&good.name].is_ok());
    assert!(matches!(&results[&bad.name], Err(BrokerError::Refused { name, .. }) if *name == bad.name));
    let fewer = KafkaTopics::default().add_partitions(&broker, &[topic(&good.name, 1, &[])]).await.unwrap();
    assert!(matches!(fewer[&good.name], Err(BrokerError::Refused { .. })));
}

#[tokio::test]
async fn deleting_a_missing_group_is_no_error() {
    let broker = broker().await;
    let results = KafkaTopics::default().delete_groups(&broker, &["third.order".to_owned()]).await.unwrap();
    assert!(all_succeeded(&results), "{results:?}");
}

#[tokio::test]
async fn a_broker_that_does_not_listen_is_unreachable() {
    let unreachable = at("127.0.0.1:1".to_owned());
    assert!(matches!(
        KafkaTopics::default().inspect(&unreachable, &[], MARKER, true).await,
        Err(BrokerError::Unreachable { .. })
    ));
}

#[tokio::test]
async fn the_cluster_id_and_the_markers_of_owners_are_read() {
    let broker = broker().await;
    let (marker, plain) = (topic("fourth.owner-abc", 1, &[]), topic("fourth.order-events", 1, &[]));
    assert!(all_succeeded(&KafkaTopics::default().create(&broker, &[marker.clone(), plain.clone()]).await.unwrap()));
    let observe = async |names: &[String], identify| {
        KafkaTopics::default().inspect(&broker, names, "fourth.owner-", identify).await.unwrap()
    };
    let first = observe(std::slice::from_ref(&plain.name), true).await;
    assert_eq!(first.markers, [marker.name]);
    assert!(first.cluster_id.is_some());
    let missing = observe(&["fourth.absent".to_owned()], false).await;
    assert_eq!(missing.cluster_id, first.cluster_id, "read because a topic is missing");
    assert_eq!(observe(&[plain.name], false).await.cluster_id, None);
}

#[tokio::test]
async fn inspections_at_the_same_time_get_each_its_own_topics() {
    let broker = broker().await;
    let shops: Vec<DesiredTopic> = (0..8).map(|shop| topic(&format!("shared{shop}.order-events"), 1, &[])).collect();
    let markers: Vec<DesiredTopic> = (0..8).map(|shop| topic(&format!("shared{shop}.owner-a"), 1, &[])).collect();
    assert!(all_succeeded(&KafkaTopics::default().create(&broker, &[shops.clone(), markers].concat()).await.unwrap()));
    let topics = KafkaTopics::default();
    let looks = shops.iter().enumerate().map(async |(number, shop)| {
        let prefix = format!("shared{number}.owner-");
        topics.inspect(&broker, std::slice::from_ref(&shop.name), &prefix, false).await.unwrap()
    });
    for (number, seen) in join_all(looks).await.into_iter().enumerate() {
        assert_eq!(seen.markers, [format!("shared{number}.owner-a")]);
        assert_eq!(seen.topics.into_keys().collect::<Vec<_>>(), [shops[number].name.clone()]);
    }
}

#[tokio::test]
async fn a_broker_that_accepts_connections_and_never_answers_is_unreachable_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = at(silent.local_addr().unwrap().to_string());
    let started = Instant::now();
    let error = KafkaTopics::default().inspect(&broker, &[], MARKER, true).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(METADATA_SECONDS_MAX + 2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_broker_that_freezes_during_a_call_blocks_it_for_a_limited_time_only() {
    let own = KafkaServer::start();
    let broker = at(own.brokers());
    let order = topic("frozen.order-events", 1, &[]);
    assert!(all_succeeded(&KafkaTopics::default().create(&broker, std::slice::from_ref(&order)).await.unwrap()));
    let (connection, _) = Connection::open(&broker).await.unwrap();
    own.freeze();
    let (started, name) = (Instant::now(), [ResourceSpecifier::Topic(&order.name)]);
    let options = options();
    let described = connection.client().unwrap().describe_configs(&name, &options);
    let error = connection.call("describing topics", described).await.map(drop).unwrap_err();
    let taken = started.elapsed();
    own.thaw();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(taken < Duration::from_secs(20), "{taken:?}");

    let identity = async |broker: &Broker| {
        KafkaTopics::default().inspect(broker, &[], MARKER, true).await.unwrap().cluster_id.unwrap()
    };
    assert_ne!(identity(&broker).await, identity(&at(kafka().await)).await, "each cluster has its own identity");
}
