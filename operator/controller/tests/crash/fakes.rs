//! Databases, topics and Redis in memory. They keep their state across restarts of the operator.

use std::collections::BTreeMap;
use std::sync::Mutex;

use agora_operator::decide::servers::{
    AdminDatabase, Broker, DesiredDatabase, DesiredTopic, ObservedBroker, ObservedDatabase, ObservedServer,
    ObservedTopic,
};
use agora_operator::external::ports::{
    BrokerError, DatabaseAdmin, DatabaseError, PerName, ProbeError, RedisError, RedisProbe, ServiceProbe, TopicAdmin,
};
use agora_vocab::Secret;
use async_trait::async_trait;

#[derive(Debug, Default)]
pub struct InMemoryDatabases(pub Mutex<BTreeMap<String, DesiredDatabase>>);

#[async_trait]
impl DatabaseAdmin for InMemoryDatabases {
    async fn inspect(&self, _: &AdminDatabase, desired: &[DesiredDatabase]) -> Result<ObservedServer, DatabaseError> {
        let existing = self.0.lock().unwrap();
        let observed = |desired: &DesiredDatabase| match existing.get(&desired.name) {
            None => ObservedDatabase::default(),
            Some(existing) => ObservedDatabase {
                exists: true,
                oid: 1,
                was_created: true,
                login_works: true,
                sessions: 1,
                owner: Some(existing.claim.text()),
            },
        };
        let databases = desired.iter().map(|desired| (desired.name.clone(), observed(desired))).collect();
        Ok(ObservedServer {
            version: 180_000,
            max_connections: 300,
            reserved_by_others: 0,
            system_identifier: Some("1".to_owned()),
            databases,
        })
    }

    async fn ensure(&self, _: &AdminDatabase, desired: &DesiredDatabase) -> Result<(), DatabaseError> {
        self.0.lock().unwrap().insert(desired.name.clone(), desired.clone());
        Ok(())
    }

    async fn drop(&self, _: &AdminDatabase, desired: &DesiredDatabase) -> Result<(), DatabaseError> {
        self.0.lock().unwrap().remove(&desired.name);
        Ok(())
    }

    async fn lock(&self, _: &AdminDatabase, _: &DesiredDatabase) -> Result<(), DatabaseError> {
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct InMemoryTopics(pub Mutex<BTreeMap<String, ObservedTopic>>);

fn all_succeeded<'a>(names: impl Iterator<Item = &'a String>) -> PerName {
    names.map(|name| (name.clone(), Ok(()))).collect()
}

impl InMemoryTopics {
    fn put(&self, topics: &[DesiredTopic]) -> PerName {
        let mut existing = self.0.lock().unwrap();
        for topic in topics {
            let DesiredTopic { name, partitions, replicas, config } = topic.clone();
            existing.insert(name, ObservedTopic { partitions, replicas, config });
        }
        all_succeeded(topics.iter().map(|topic| &topic.name))
    }
}

#[async_trait]
impl TopicAdmin for InMemoryTopics {
    async fn inspect(
        &self,
        _: &Broker,
        names: &[String],
        marker_prefix: &str,
        _: bool,
    ) -> Result<ObservedBroker, BrokerError> {
        let existing = self.0.lock().unwrap();
        let markers = existing.keys().filter(|name| name.starts_with(marker_prefix)).cloned().collect();
        let topics = existing.iter().filter(|(name, _)| names.contains(name));
        let topics = topics.map(|(name, topic)| (name.clone(), topic.clone())).collect();
        Ok(ObservedBroker { cluster_id: Some("cluster".to_owned()), markers, topics })
    }

    async fn create(&self, _: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        Ok(self.put(topics))
    }

    async fn set_config(&self, _: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        Ok(self.put(topics))
    }

    async fn add_partitions(&self, _: &Broker, topics: &[DesiredTopic]) -> Result<PerName, BrokerError> {
        Ok(self.put(topics))
    }

    async fn delete(&self, _: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        let mut existing = self.0.lock().unwrap();
        existing.retain(|name, _| !names.contains(name));
        Ok(all_succeeded(names.iter()))
    }

    async fn delete_groups(&self, _: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        Ok(all_succeeded(names.iter()))
    }
}

#[derive(Debug, Default)]
pub struct ReachableRedis;

#[async_trait]
impl RedisProbe for ReachableRedis {
    async fn ping(&self, _: &str, _: Option<&Secret>) -> Result<(), RedisError> {
        Ok(())
    }
}

/// Every service answers and lacks nothing.
#[derive(Debug, Default)]
pub struct HealthyServices;

#[async_trait]
impl ServiceProbe for HealthyServices {
    async fn degraded(&self, _: &str) -> Result<BTreeMap<String, String>, ProbeError> {
        Ok(BTreeMap::new())
    }
}
