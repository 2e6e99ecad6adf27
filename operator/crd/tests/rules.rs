//! What the schema's rules accept and refuse, evaluated as the API server would.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use agora_crd::Marketplace;
use serde_json::{Value, json};

fn market(changes: &[(&str, Value)]) -> Marketplace {
    let mut value = json!({
        "apiVersion": "agoraplatform.dev/v1alpha1",
        "kind": "Marketplace",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {
            "release": {"version": "0.1.0"},
            "profile": "Development",
            "database": {"external": {"host": "pg", "adminSecretRef": {"name": "pg"}}},
            "kafka": {"external": {"bootstrapServers": ["kafka:9092"]}},
            "redis": {"external": {"standalone": {"endpoint": "redis:6379"}}},
        }
    });
    for (pointer, change) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[name] = change.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn refusal(changes: &[(&str, Value)]) -> String {
    market(changes).validate_cel().map_or_else(|errors| errors.to_string(), |()| String::new())
}

fn refusal_of_change(before: &[(&str, Value)], after: &[(&str, Value)]) -> String {
    let result = market(after).validate_cel_update(&market(before));
    result.map_or_else(|errors| errors.to_string(), |()| String::new())
}

#[track_caller]
fn check(found: &str, expected: &str) {
    if expected.is_empty() {
        assert_eq!(found, "");
    } else {
        assert!(found.contains(expected), "`{found}` does not say `{expected}`");
    }
}

/// What a profile other than Development needs.
fn small() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/profile", json!("Small")),
        ("/spec/kafka/external/authentication", json!({"type": "None"})),
        ("/spec/payments", json!({"type": "None"})),
    ]
}

#[test]
fn the_shortest_resource_is_accepted() {
    check(&refusal(&[]), "");
    check(&refusal(&small()), "");
}

#[test]
fn names_are_short_and_begin_with_a_letter() {
    for name in ["1shop", "Shop", "shop-", "a123456789012345678901234567890"] {
        check(&refusal(&[("/metadata/name", json!(name))]), "metadata.name");
    }
    check(&refusal(&[("/metadata/name", json!("a12345678901234567890123456789"))]), "");
}

#[test]
fn what_development_may_leave_out_or_turn_off_is_refused_elsewhere() {
    let refused = |pointer, value, expected| {
        let mut changes = small();
        changes.push((pointer, value));
        check(&refusal(&changes), expected);
    };
    refused("/spec/payments", json!({"type": "Simulator"}), "simulator");
    refused("/spec/database/external/tls", json!({"mode": "Disable"}), "TLS");
    refused("/spec/kafka/external/tls", json!({"mode": "Disable"}), "TLS");
    refused("/spec/redis/external/secretRef", json!({"name": "redis"}), "Redis");
    check(&refusal(&[("/spec/profile", json!("Small"))]), "authentication is required");
    check(&refusal(&[("/spec/profile", json!("Small"))]), "payments is required");
}

#[test]
fn a_union_takes_the_member_that_its_type_names() {
    let login = |value| refusal(&[("/spec/kafka/external/authentication", value)]);
    let secret = json!({"secretRef": {"name": "kafka"}});
    check(&login(json!({"type": "Plain", "plain": secret})), "");
    check(&login(json!({"type": "Plain", "scramSha512": secret})), "member");
    check(&login(json!({"type": "None", "plain": secret})), "member");
    check(&login(json!({"type": "ScramSha256"})), "member");
    let tls = |value| refusal(&[("/spec/exposure", json!({"type": "None", "tls": value}))]);
    check(&tls(json!({"type": "Secret"})), "member");
    check(&tls(json!({"type": "External", "secret": {"name": "x"}})), "member");
    check(&tls(json!({"type": "Secret", "secret": {"name": "x"}})), "");
    check(&refusal(&[("/spec/exposure", json!({"type": "Ingress"}))]), "needs hostnames");
    check(&refusal(&[("/spec/exposure", json!({"type": "None", "ingress": {}}))]), "belongs to type Ingress");
}

#[test]
fn replicas_are_in_order() {
    let scaling = |min, max| {
        let scaling = json!({"minReplicas": min, "maxReplicas": max, "scaleDownStabilizationSeconds": 300});
        refusal(&[("/spec/services", json!([{"name": "order", "state": "Enabled", "scaling": scaling}]))])
    };
    check(&scaling(2, 2), "");
    check(&scaling(3, 2), "minReplicas is greater");
    let defaults = json!({"replicas": 1, "config": {"min.insync.replicas": "2"}});
    check(&refusal(&[("/spec/kafka/topicDefaults", defaults)]), "min.insync.replicas");
}

#[test]
fn the_operators_own_variables_are_refused_in_every_form() {
    let env = |name: &str| {
        let env = json!([{"name": name, "value": "x"}]);
        refusal(&[("/spec/services", json!([{"name": "order", "state": "Enabled", "env": env}]))])
    };
    for name in ["DATABASE_URL", "DATABASE_URL_FILE", "ORDER_DATABASE_URL", "USER_ADMIN_PASSWORD_FILE", "PORT"] {
        check(&env(name), "the operator sets this variable");
    }
    for name in ["FEATURE_X", "SUPPORT_PORT", "RUST_LOG"] {
        check(&env(name), "");
    }
}

#[test]
fn what_names_data_never_changes() {
    let key = |key: &str| vec![("/spec/isolationKey", json!(key))];
    check(&refusal_of_change(&key("a"), &key("a")), "");
    for (before, after) in [(key("a"), key("b")), (key("a"), vec![]), (vec![], key("a"))] {
        check(&refusal_of_change(&before, &after), "isolationKey");
    }
}

#[test]
fn epochs_and_partitions_never_fall() {
    let epoch = |number: i32| vec![("/spec/recovery", json!({"epoch": number}))];
    check(&refusal_of_change(&epoch(1), &epoch(2)), "");
    check(&refusal_of_change(&epoch(2), &epoch(1)), "epoch never falls");
    let topic =
        |partitions: i32| vec![("/spec/kafka/topics", json!([{"name": "order-events", "partitions": partitions}]))];
    check(&refusal_of_change(&topic(3), &topic(6)), "");
    check(&refusal_of_change(&topic(6), &topic(3)), "partitions can never become fewer");
}
