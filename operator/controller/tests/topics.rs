//! The task of the topics against a real broker: settings of other clients, spellings, and refused settings.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use agora_crd::{Reason, TopicManagement};
use agora_operator::decide::data_guard::DataGuard;
use agora_operator::decide::desired::external::DesiredTopics;
use agora_operator::decide::plan::TopicPlan;
use agora_operator::decide::servers::{Broker, BrokerAuthentication, DesiredTopic};
use agora_operator::external::kafka::KafkaTopics;
use agora_operator::external::ports::TopicAdmin as _;
use agora_operator::external::tasks::{External as _, Topics};

const NAME: &str = "settings.order-events";

fn desired(broker: &Broker, config: &[(&str, &str)]) -> DesiredTopics {
    let topic = TopicPlan {
        bare_name: "order-events".to_owned(),
        name: NAME.to_owned(),
        partitions: 1,
        replicas: 1,
        config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        accepted: None,
    };
    let marker = TopicPlan { name: "settings.owner-me".to_owned(), config: BTreeMap::new(), ..topic.clone() };
    DesiredTopics {
        broker: broker.clone(),
        management: TopicManagement::Full,
        topics: vec![topic],
        marker_prefix: "settings.owner-".to_owned(),
        marker,
        guard: DataGuard::default(),
    }
}

async fn settings(broker: &Broker) -> BTreeMap<String, String> {
    let mut observed = KafkaTopics::default().inspect(broker, &[NAME.to_owned()], "none", false).await.unwrap();
    observed.topics.remove(NAME).unwrap().config
}

#[tokio::test]
async fn settings_of_other_clients_stay_and_refused_ones_are_reported() {
    let bootstrap = vec![agora_testkit::kafka().await];
    let broker = Broker { bootstrap, tls: None, authentication: BrokerAuthentication::None };
    let topics = Topics(Arc::new(KafkaTopics::default()));
    let first = desired(&broker, &[("min.cleanable.dirty.ratio", "0.50"), ("retention.ms", "60000")]);
    let inspection = topics.reconcile(&first, true).await;
    assert_eq!(inspection.observation.topics.unwrap()[NAME], Ok(()));
    let record = inspection.observation.record.unwrap();

    // A tool that moves partitions sets its throttle.
    let mut config = settings(&broker).await;
    config.insert("leader.replication.throttled.replicas".to_owned(), "0:1".to_owned());
    let other = DesiredTopic { name: NAME.to_owned(), partitions: 1, replicas: 1, config: config.clone() };
    KafkaTopics::default().set_config(&broker, &[other]).await.unwrap();
    let idle = topics.reconcile(&first, false).await;
    assert!(idle.corrections.is_empty(), "another spelling and a foreign setting are no drift: {:?}", idle.corrections);
    assert_eq!(settings(&broker).await, config);

    // After a restart, of which only the record remains, a changed setting leaves the throttle, and one that the spec does not
    // contain any more is reset.
    let topics = Topics(Arc::new(KafkaTopics::default()));
    let mut second = desired(&broker, &[("min.cleanable.dirty.ratio", "0.25")]);
    second.guard.record = Some(record);
    assert_eq!(topics.reconcile(&second, true).await.observation.topics.unwrap()[NAME], Ok(()));
    let after = settings(&broker).await;
    assert_eq!(after["min.cleanable.dirty.ratio"], "0.25");
    assert_eq!(after["leader.replication.throttled.replicas"], "0:1");
    assert!(!after.contains_key("retention.ms"));

    for initial in [true, false] {
        let refused = topics.reconcile(&desired(&broker, &[("compression.type", "nonsense")]), initial).await;
        let error = refused.observation.topics.unwrap().remove(NAME).unwrap().unwrap_err();
        assert_eq!(error.reason, Reason::TopicConflict);
        assert!(error.message.contains("compression.type=nonsense"), "{}", error.message);
    }
}
