//! The guard of stored data: a database or topic that was there and is gone, or a data server that is another one, is reported
//! and never replaced by an empty one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use agora_crd::{ACCEPT_DATA_LOSS, ACCEPT_DATA_OWNER, ACCEPT_DATA_SERVER, FormerServer, Marketplace, Reason};
use kube::ResourceExt;

use crate::decide::condition_error::ConditionError;

/// The data of a Marketplace at one data server, as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataRecord {
    /// `host:port` of one or more addresses of the server.
    pub address: String,
    /// Identity of the server: the system identifier of PostgreSQL or the cluster id of Kafka; the address if the server does
    /// not disclose one.
    pub identifier: String,
    /// The databases or topics, each with the identity that it gets at its creation: the `oid` of a database, 0 for a topic.
    pub items: BTreeMap<String, i64>,
    /// The settings of each topic that the operator has set.
    pub settings: TopicSettings,
    /// Servers that held the data before, and where logins may still be open.
    pub former: BTreeSet<FormerServer>,
}

/// Names of settings, by topic.
pub type TopicSettings = BTreeMap<String, BTreeSet<String>>;

/// What a user accepted by annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// Databases and topics that may be created empty although they were there.
    pub losses: Vec<String>,
    /// Identities of data servers to which the Marketplace may move.
    pub servers: Vec<String>,
    /// Hashes of owners whose databases and topics may be taken over.
    pub owners: Vec<String>,
}

impl Acceptance {
    pub fn of(market: &Marketplace) -> Self {
        let list = |annotation: &str| {
            let text = market.annotations().get(annotation).map(String::as_str).unwrap_or_default();
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        Self { losses: list(ACCEPT_DATA_LOSS), servers: list(ACCEPT_DATA_SERVER), owners: list(ACCEPT_DATA_OWNER) }
    }
}

/// What the desired databases or topics are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataGuard {
    /// `namespace/name` of the Marketplace.
    pub market: String,
    /// `None` before the first inspection.
    pub record: Option<DataRecord>,
    pub accepted: Acceptance,
}

/// The kind of a data server, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    Database,
    Topic,
}

impl DataKind {
    const fn server(self) -> &'static str {
        match self {
            Self::Database => "the database server",
            Self::Topic => "the Kafka cluster",
        }
    }

    const fn item(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Topic => "topic",
        }
    }

    const fn field(self) -> &'static str {
        match self {
            Self::Database => "spec.database.external",
            Self::Topic => "spec.kafka.external",
        }
    }
}

impl DataGuard {
    /// Fails if the server is another one than the recorded one, and the change was not accepted. `identifier` is `None` if
    /// the server does not disclose its identity.
    pub fn check_server(&self, kind: DataKind, address: &str, identifier: Option<&str>) -> Result<(), ConditionError> {
        let now = identifier.unwrap_or(address);
        let Some(record) = self.record.as_ref().filter(|record| is_another(record, address, identifier)) else {
            return Ok(());
        };
        if self.accepted.servers.iter().any(|accepted| accepted == now) {
            return Ok(());
        }
        let (server, field, command) = (kind.server(), kind.field(), self.command(ACCEPT_DATA_SERVER, now));
        let message = format!(
            "{server} at {address} (identity {now}) is not the one that holds the data of this Marketplace (identity {}, last \
             at {}): nothing is created on it; correct {field}, or accept the server, on which what was not copied there is \
             created empty: {command}",
            record.identifier, record.address
        );
        Err(ConditionError::new(Reason::DataServerChanged, message))
    }

    /// Whether a missing database or topic was there before. `was_created` is a record of its creation at the server.
    pub fn is_lost(&self, name: &str, address: &str, identifier: Option<&str>, was_created: bool) -> bool {
        let same = self.record.as_ref().filter(|record| !is_another(record, address, identifier));
        let recorded = same.is_some_and(|record| record.items.contains_key(name));
        recorded || was_created
    }

    /// Fails unless the loss was accepted.
    pub fn check_loss(&self, kind: DataKind, name: &str, address: &str) -> Result<(), ConditionError> {
        if self.accepted.losses.iter().any(|accepted| accepted == name) {
            return Ok(());
        }
        let (item, command) = (kind.item(), self.command(ACCEPT_DATA_LOSS, name));
        let message = format!(
            "{item} {name} was deleted at {address}: it is not created again, because its data is lost unless you restore it \
             from a backup; to accept the loss and create it empty: {command}"
        );
        Err(ConditionError::new(Reason::DataLost, message))
    }

    /// The settings of topics that the operator has set at this server.
    pub fn settings(&self, address: &str, identifier: Option<&str>) -> TopicSettings {
        let same = self.record.as_ref().filter(|record| !is_another(record, address, identifier));
        same.map(|record| record.settings.clone()).unwrap_or_default()
    }

    /// The record after an inspection that found `existing`. A server that was left is a former one.
    pub fn next(&self, address: &str, identifier: Option<&str>, existing: BTreeMap<String, i64>) -> DataRecord {
        let same = self.record.as_ref().filter(|record| !is_another(record, address, identifier));
        let mut items = same.map(|record| record.items.clone()).unwrap_or_default();
        items.extend(existing);
        let kept = same.filter(|_| identifier.is_none()).map(|record| record.identifier.clone());
        let identifier = kept.unwrap_or_else(|| identifier.unwrap_or(address).to_owned());
        let mut former = self.record.as_ref().map(|record| record.former.clone()).unwrap_or_default();
        former.retain(|server| server.identifier != identifier);
        let left = self.record.as_ref().filter(|_| same.is_none());
        former.extend(
            left.map(|record| FormerServer { address: record.address.clone(), identifier: record.identifier.clone() }),
        );
        let settings = same.map(|record| record.settings.clone()).unwrap_or_default();
        DataRecord { address: address.to_owned(), identifier, items, settings, former }
    }

    /// The command that takes over what another owner left.
    pub fn accept_owner(&self, hash: &str) -> String {
        self.command(ACCEPT_DATA_OWNER, hash)
    }

    fn command(&self, annotation: &str, value: &str) -> String {
        let (namespace, name) = self.market.split_once('/').unwrap_or_default();
        format!("kubectl -n {namespace} annotate marketplace {name} --overwrite {annotation}={value}")
    }
}

/// A server that does not disclose its identity is identified by its address.
fn is_another(record: &DataRecord, address: &str, identifier: Option<&str>) -> bool {
    match identifier {
        Some(identifier) => {
            let address_only = record.identifier == record.address;
            record.identifier != identifier && !(address_only && record.address == address)
        }
        None => record.address != address,
    }
}

/// The names in `accepted` that no inspection reports as lost any more; an acceptance is used once.
pub fn are_used(accepted: &[String], results: &BTreeMap<String, Result<(), ConditionError>>) -> BTreeSet<String> {
    let restored = |name: &&String| results.get(*name).is_some_and(Result::is_ok);
    accepted.iter().filter(restored).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, identifier: &str, items: &[&str]) -> DataGuard {
        let items = items.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let (address, identifier) = (address.to_owned(), identifier.to_owned());
        let record = DataRecord { address, identifier, items, ..DataRecord::default() };
        DataGuard { market: "shop/main".to_owned(), record: Some(record), accepted: Acceptance::default() }
    }

    #[test]
    fn another_server_is_refused_until_its_identity_is_accepted() {
        let mut guard = guard("pg:5432", "1", &["orders"]);
        assert!(guard.check_server(DataKind::Database, "pg:5432", Some("1")).is_ok());
        assert!(guard.check_server(DataKind::Database, "moved:5432", Some("1")).is_ok(), "only the address is new");
        for address in ["pg:5432", "other:5432"] {
            let error = guard.check_server(DataKind::Database, address, Some("2")).unwrap_err();
            assert_eq!(error.reason, Reason::DataServerChanged);
            assert!(
                error.message.ends_with(
                    "kubectl -n shop annotate marketplace main --overwrite agoraplatform.dev/accept-data-server=2"
                ),
                "{}",
                error.message
            );
        }
        guard.accepted.servers.push("2".to_owned());
        assert!(guard.check_server(DataKind::Database, "other:5432", Some("2")).is_ok());
        assert!(!guard.is_lost("orders", "other:5432", Some("2"), false), "the new server never had it");
        let next = guard.next("other:5432", Some("2"), BTreeMap::new());
        assert_eq!((next.identifier.as_str(), next.items.len()), ("2", 0));
        let left = FormerServer { address: "pg:5432".to_owned(), identifier: "1".to_owned() };
        assert_eq!(next.former, BTreeSet::from([left]));
        guard.record = Some(next);
        let later = guard.next("other:5432", Some("2"), BTreeMap::new());
        assert_eq!(later.former.len(), 1, "it is kept until its logins are locked");
        assert!(guard.next("pg:5432", Some("1"), BTreeMap::new()).former.iter().all(|server| server.identifier == "2"));
    }

    #[test]
    fn a_server_without_an_identity_is_identified_by_its_address() {
        let guard = guard("pg:5432", "pg:5432", &[]);
        assert!(guard.check_server(DataKind::Database, "pg:5432", None).is_ok());
        assert!(guard.check_server(DataKind::Database, "pg:5432", Some("1")).is_ok(), "it is disclosed from now on");
        assert!(guard.check_server(DataKind::Database, "other:5432", None).is_err());
        assert!(guard.check_server(DataKind::Database, "other:5432", Some("1")).is_err());
        assert_eq!(guard.next("pg:5432", Some("1"), BTreeMap::new()).identifier, "1");
    }

    #[test]
    fn what_was_there_and_is_gone_is_lost_until_its_name_is_accepted() {
        let mut guard = guard("pg:5432", "1", &["orders"]);
        let lost = |guard: &DataGuard, name, created| guard.is_lost(name, "pg:5432", Some("1"), created);
        assert!(lost(&guard, "orders", false) && lost(&guard, "carts", true) && !lost(&guard, "carts", false));
        let error = guard.check_loss(DataKind::Database, "orders", "pg:5432").unwrap_err();
        assert_eq!(error.reason, Reason::DataLost);
        assert!(
            error.message.ends_with(
                "kubectl -n shop annotate marketplace main --overwrite agoraplatform.dev/accept-data-loss=orders"
            ),
            "{}",
            error.message
        );
        guard.accepted.losses.push("orders".to_owned());
        assert!(guard.check_loss(DataKind::Database, "orders", "pg:5432").is_ok());
        let results = BTreeMap::from([("orders".to_owned(), Ok(())), ("carts".to_owned(), Err(error))]);
        let accepted = ["orders", "carts", "unknown"].map(str::to_owned);
        assert_eq!(are_used(&accepted, &results), BTreeSet::from(["orders".to_owned()]));
    }
}
