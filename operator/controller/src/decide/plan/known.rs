//! What earlier inspections and the cluster disclose about the data of a Marketplace.

use agora_crd::{DatabaseRecord, DatabaseStatus, KafkaStatus, Marketplace, TopicSettings};

use crate::decide::data_guard::{Acceptance, DataRecord};
use crate::decide::observed::LastInspection;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The uid of the namespace kube-system, which identifies the cluster.
    pub cluster_uid: String,
    /// `None` before the first inspection.
    pub databases: Option<DataRecord>,
    /// `None` before the first inspection.
    pub topics: Option<DataRecord>,
    pub accepted: Acceptance,
}

impl Known {
    /// What the status and the annotations contain.
    pub fn of(market: &Marketplace) -> Self {
        let status = market.status.as_ref();
        Self {
            cluster_uid: String::new(),
            databases: status.and_then(|status| status.database.as_ref()).map(databases),
            topics: status.and_then(|status| status.kafka.as_ref()).and_then(topics),
            accepted: Acceptance::of(market),
        }
    }

    /// Adds what the status does not contain: the cluster, and records that are newer than those in the status.
    #[must_use]
    pub fn with(self, cluster_uid: &str, last: &LastInspection) -> Self {
        Self {
            cluster_uid: cluster_uid.to_owned(),
            databases: last.databases.as_ref().and_then(|seen| seen.record.clone()).or(self.databases),
            topics: last.topics.as_ref().and_then(|seen| seen.record.clone()).or(self.topics),
            accepted: self.accepted,
        }
    }

    /// The record of the databases for the status.
    pub fn database_status(&self) -> Option<DatabaseStatus> {
        let record = self.databases.clone()?;
        let databases = record.items.into_iter().map(|(name, oid)| DatabaseRecord { name, oid }).collect();
        let former_servers = record.former.into_iter().collect();
        Some(DatabaseStatus { address: record.address, identifier: record.identifier, databases, former_servers })
    }

    /// The settings of topics that the operator has set, for the status.
    pub fn managed_settings(&self) -> Vec<TopicSettings> {
        let settings = self.topics.iter().flat_map(|record| &record.settings).filter(|(_, names)| !names.is_empty());
        settings
            .map(|(topic, names)| TopicSettings { topic: topic.clone(), names: names.iter().cloned().collect() })
            .collect()
    }
}

fn databases(status: &DatabaseStatus) -> DataRecord {
    let items = status.databases.iter().map(|database| (database.name.clone(), database.oid)).collect();
    let former = status.former_servers.iter().cloned().collect();
    let (address, identifier) = (status.address.clone(), status.identifier.clone());
    DataRecord { address, identifier, items, former, ..DataRecord::default() }
}

fn topics(status: &KafkaStatus) -> Option<DataRecord> {
    let (address, identifier) = (status.address.clone()?, status.identifier.clone()?);
    let items = status.topics.iter().map(|topic| (topic.clone(), 0)).collect();
    let settings = status.managed_settings.iter();
    let settings = settings.map(|known| (known.topic.clone(), known.names.iter().cloned().collect())).collect();
    Some(DataRecord { address, identifier, items, settings, ..DataRecord::default() })
}
