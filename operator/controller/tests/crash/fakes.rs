//! Databases, topics and Redis in memory; they keep what they were told across restarts of the operator.

use std::collections::BTreeMap;
use std::sync::Mutex;

use agora_operator::decide::servers::{
    AdminDatabase, Broker, DatabaseSeen, DatabaseWanted, ServerFacts, TopicSeen, TopicWanted,
};
use agora_operator::external::ports::{
    BrokerError, DatabaseAdmin, DatabaseError, PerName, RedisError, RedisProbe, TopicAdmin,
};
use agora_vocab::Secret;
use async_trait::async_trait;

#[derive(Debug, Default)]
pub struct InMemoryDatabases(pub Mutex<BTreeMap<String, DatabaseWanted>>);

#[async_trait]
impl DatabaseAdmin for InMemoryDatabases {
    async fn inspect(&self, _: &AdminDatabase, wanted: &[DatabaseWanted]) -> Result<ServerFacts, DatabaseError> {
        let held = self.0.lock().unwrap();
        let seen = |wanted: &DatabaseWanted| match held.get(&wanted.name) {
            None => DatabaseSeen::default(),
            Some(held) => DatabaseSeen { exists: true, login_works: true, owner: Some(held.marketplace.clone()) },
        };
        let databases = wanted.iter().map(|wanted| (wanted.name.clone(), seen(wanted))).collect();
        Ok(ServerFacts { version: 180_000, max_connections: 300, databases })
    }

    async fn ensure(&self, _: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
        self.0.lock().unwrap().insert(wanted.name.clone(), wanted.clone());
        Ok(())
    }

    async fn drop(&self, _: &AdminDatabase, wanted: &DatabaseWanted) -> Result<(), DatabaseError> {
        self.0.lock().unwrap().remove(&wanted.name);
        Ok(())
    }

    async fn lock(&self, _: &AdminDatabase, _: &DatabaseWanted) -> Result<(), DatabaseError> {
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct InMemoryTopics(pub Mutex<BTreeMap<String, TopicSeen>>);

fn done<'a>(names: impl Iterator<Item = &'a String>) -> PerName {
    names.map(|name| (name.clone(), Ok(()))).collect()
}

impl InMemoryTopics {
    fn put(&self, topics: &[TopicWanted]) -> PerName {
        let mut held = self.0.lock().unwrap();
        for topic in topics {
            let TopicWanted { name, partitions, replicas, config } = topic.clone();
            held.insert(name, TopicSeen { partitions, replicas, config });
        }
        done(topics.iter().map(|topic| &topic.name))
    }
}

#[async_trait]
impl TopicAdmin for InMemoryTopics {
    async fn inspect(&self, _: &Broker, names: &[String]) -> Result<BTreeMap<String, TopicSeen>, BrokerError> {
        let held = self.0.lock().unwrap();
        Ok(held
            .iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(name, seen)| (name.clone(), seen.clone()))
            .collect())
    }

    async fn create(&self, _: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError> {
        Ok(self.put(topics))
    }

    async fn set_config(&self, _: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError> {
        Ok(self.put(topics))
    }

    async fn add_partitions(&self, _: &Broker, topics: &[TopicWanted]) -> Result<PerName, BrokerError> {
        Ok(self.put(topics))
    }

    async fn delete(&self, _: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        let mut held = self.0.lock().unwrap();
        held.retain(|name, _| !names.contains(name));
        Ok(done(names.iter()))
    }

    async fn delete_groups(&self, _: &Broker, names: &[String]) -> Result<PerName, BrokerError> {
        Ok(done(names.iter()))
    }
}

#[derive(Debug, Default)]
pub struct LivingRedis;

#[async_trait]
impl RedisProbe for LivingRedis {
    async fn ping(&self, _: &str, _: Option<&Secret>) -> Result<(), RedisError> {
        Ok(())
    }
}
