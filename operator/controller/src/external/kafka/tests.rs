//! The adapter on a real broker.

use agora_testkit::kafka;

use super::*;

async fn broker() -> Broker {
    Broker { bootstrap: vec![kafka().await], tls: None, authentication: BrokerAuthentication::None }
}

fn topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> TopicWanted {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    TopicWanted { name: name.to_owned(), partitions, replicas: 1, config }
}

fn all_done(results: &PerName) -> bool {
    !results.is_empty() && results.values().all(Result::is_ok)
}

#[tokio::test]
async fn topics_are_created_once_seen_whole_changed_and_deleted() {
    let broker = broker().await;
    let order = topic("first.order-events", 3, &[("retention.ms", "60000")]);
    let cart = topic("first.cart-events", 2, &[]);
    let names = [order.name.clone(), cart.name.clone(), "first.absent".to_owned()];
    let both = [order.clone(), cart.clone()];
    assert!(all_done(&KafkaTopics.create(&broker, &both).await.unwrap()));
    assert!(all_done(&KafkaTopics.create(&broker, &both).await.unwrap()), "creating again is no error");

    let seen = KafkaTopics.inspect(&broker, &names).await.unwrap();
    assert_eq!(seen.len(), 2);
    let whole = TopicSeen { partitions: 3, replicas: 1, config: order.config.clone() };
    assert_eq!(seen[&order.name], whole);
    assert_eq!(seen[&cart.name], TopicSeen { partitions: 2, replicas: 1, config: BTreeMap::new() });

    let changed = topic(&order.name, 5, &[("cleanup.policy", "compact")]);
    assert!(all_done(&KafkaTopics.set_config(&broker, std::slice::from_ref(&changed)).await.unwrap()));
    assert!(all_done(&KafkaTopics.add_partitions(&broker, std::slice::from_ref(&changed)).await.unwrap()));
    let seen = KafkaTopics.inspect(&broker, &names).await.unwrap();
    assert_eq!(seen[&order.name], TopicSeen { partitions: 5, replicas: 1, config: changed.config });

    assert!(all_done(&KafkaTopics.delete(&broker, &names).await.unwrap()), "deleting what is absent is no error");
    assert!(KafkaTopics.inspect(&broker, &names).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_the_broker_refuses_is_told_by_name_and_does_not_stop_the_rest() {
    let broker = broker().await;
    let good = topic("second.good", 1, &[]);
    let bad = TopicWanted { replicas: 3, ..topic("second.bad", 1, &[]) };
    let results = KafkaTopics.create(&broker, &[good.clone(), bad.clone()]).await.unwrap();
    assert!(results[&good.name].is_ok());
    assert!(matches!(&results[&bad.name], Err(BrokerError::Refused { name, .. }) if *name == bad.name));
    let fewer = KafkaTopics.add_partitions(&broker, &[topic(&good.name, 1, &[])]).await.unwrap();
    assert!(matches!(fewer[&good.name], Err(BrokerError::Refused { .. })));
}

#[tokio::test]
async fn deleting_groups_that_never_were_is_no_error() {
    let broker = broker().await;
    let results = KafkaTopics.delete_groups(&broker, &["third.order".to_owned()]).await.unwrap();
    assert!(all_done(&results), "{results:?}");
}

#[tokio::test]
async fn a_broker_that_is_away_is_unreachable() {
    let away = Broker { bootstrap: vec!["127.0.0.1:1".into()], tls: None, authentication: BrokerAuthentication::None };
    assert!(matches!(KafkaTopics.inspect(&away, &[]).await, Err(BrokerError::Unreachable { .. })));
}
