//! The broker's answers as types of `ports`. Pure.

use std::collections::BTreeMap;

use rdkafka::{
    admin::{AlterConfigsResult, ConfigResourceResult, ConfigSource, OwnedResourceSpecifier, TopicResult},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};

use crate::decide::servers::{Broker, ObservedTopic};
use crate::external::ports::{BrokerError, PerName, SharedError, shared};

/// By name, for the topics that the login may describe.
pub type Shapes = BTreeMap<String, Shape>;

/// Number of partitions, and the smallest number of replicas of any partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    partitions: i32,
    replicas: i32,
}

pub fn shapes(metadata: &Metadata) -> Shapes {
    let small = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let shape = |topic: &rdkafka::metadata::MetadataTopic| Shape {
        partitions: small(topic.partitions().len()),
        replicas: small(topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0)),
    };
    metadata
        .topics()
        .iter()
        .filter(|topic| topic.error().is_none())
        .map(|topic| (topic.name().to_owned(), shape(topic)))
        .collect()
}

/// Topics with the settings that are not defaults. A topic that was deleted between the two requests is left out.
pub fn observed_topics(shapes: &Shapes, configs: Vec<ConfigResourceResult>) -> BTreeMap<String, ObservedTopic> {
    configs
        .into_iter()
        .flatten()
        .filter_map(|resource| {
            let OwnedResourceSpecifier::Topic(name) = resource.specifier else {
                return None;
            };
            let Shape { partitions, replicas } = *shapes.get(&name)?;
            let config = resource
                .entries
                .into_iter()
                .filter(|entry| entry.source == ConfigSource::DynamicTopic)
                .filter_map(|entry| Some((entry.name, entry.value?)))
                .collect();
            Some((name, ObservedTopic { partitions, replicas, config }))
        })
        .collect()
}

/// Results by name. The error `harmless` counts as success: the topic or group is already as requested.
pub fn per_name(action: &'static str, harmless: Option<RDKafkaErrorCode>, results: Vec<TopicResult>) -> PerName {
    results
        .into_iter()
        .map(|result| match result {
            Ok(name) => (name, Ok(())),
            Err((name, code)) if Some(code) == harmless => (name, Ok(())),
            Err((name, code)) => {
                let refusal = refused(action, name.clone(), code);
                (name, Err(refusal))
            }
        })
        .collect()
}

/// Whether a request for a group failed because its coordinator is not ready yet.
pub fn coordinator_is_starting(results: &[TopicResult]) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let code = |result: &TopicResult| result.as_ref().err().map(|(_, code)| *code);
    results
        .iter()
        .filter_map(code)
        .any(|code| matches!(code, CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator))
}

/// The result of a change of settings in the form of the other results.
pub fn altered(result: AlterConfigsResult) -> TopicResult {
    let name = |specifier| match specifier {
        OwnedResourceSpecifier::Topic(name) | OwnedResourceSpecifier::Group(name) => name,
        OwnedResourceSpecifier::Broker(id) => id.to_string(),
    };
    result.map(name).map_err(|(specifier, code)| (name(specifier), code))
}

/// The error of a call that failed for all topics or groups.
pub fn failure(broker: &Broker, action: &'static str, error: KafkaError) -> BrokerError {
    use RDKafkaErrorCode as Code;
    let code = match &error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => BrokerError::AuthenticationFailed,
        Some(code) if is_forbidden(code) => BrokerError::Forbidden { action: action.to_owned() },
        Some(
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::SSL
            | Code::BrokerNotAvailable
            | Code::NetworkException,
        ) => BrokerError::Unreachable { bootstrap: broker.bootstrap.join(","), source: shared(error) },
        _ => BrokerError::Failed { action, source: without_values(error) },
    }
}

/// The client's error about a setting contains its value, which may be a secret.
fn without_values(error: KafkaError) -> SharedError {
    match error {
        KafkaError::ClientConfig(_, why, key, _) => shared(format!("{key}: {why}")),
        other => shared(other),
    }
}

fn refused(action: &'static str, name: String, code: RDKafkaErrorCode) -> BrokerError {
    if is_forbidden(code) {
        return BrokerError::Forbidden { action: format!("{action} {name}") };
    }
    BrokerError::Refused { action, name, code: format!("{code:?}") }
}

fn is_forbidden(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::servers::BrokerAuthentication;

    #[test]
    fn an_existing_topic_is_no_error_and_a_forbidden_one_is_named() {
        let results = vec![
            Ok("new".to_owned()),
            Err(("there".to_owned(), RDKafkaErrorCode::TopicAlreadyExists)),
            Err(("closed".to_owned(), RDKafkaErrorCode::TopicAuthorizationFailed)),
            Err(("many".to_owned(), RDKafkaErrorCode::InvalidReplicationFactor)),
        ];
        let results = per_name("creating topic", Some(RDKafkaErrorCode::TopicAlreadyExists), results);
        assert!(results["new"].is_ok() && results["there"].is_ok());
        assert_eq!(
            results["closed"].as_ref().unwrap_err().to_string(),
            "the login lacks the right for creating topic closed"
        );
        assert_eq!(
            results["many"].as_ref().unwrap_err().to_string(),
            "the broker rejected creating topic many: InvalidReplicationFactor"
        );
    }

    #[test]
    fn an_unreachable_broker_and_a_rejected_login_are_different_errors() {
        let broker = Broker {
            bootstrap: vec!["one:9092".into(), "two:9092".into()],
            tls: None,
            authentication: BrokerAuthentication::None,
        };
        let unreachable =
            failure(&broker, "reading", KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure));
        assert_eq!(unreachable.to_string(), "cannot reach the broker one:9092,two:9092");
        let rejected = failure(&broker, "reading", KafkaError::MetadataFetch(RDKafkaErrorCode::Authentication));
        assert!(matches!(rejected, BrokerError::AuthenticationFailed));
    }
}
