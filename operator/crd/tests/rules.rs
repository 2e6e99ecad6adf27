//! The CEL validation rules of the schema, evaluated as the API server does.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

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

fn rejection(changes: &[(&str, Value)]) -> String {
    market(changes).validate_cel().map_or_else(|errors| errors.to_string(), |()| String::new())
}

fn rejection_of_update(before: &[(&str, Value)], after: &[(&str, Value)]) -> String {
    let result = market(after).validate_cel_update(&market(before));
    result.map_or_else(|errors| errors.to_string(), |()| String::new())
}

#[track_caller]
fn check(found: &str, expected: &str) {
    if expected.is_empty() {
        assert_eq!(found, "");
    } else {
        assert!(found.contains(expected), "`{found}` does not contain `{expected}`");
    }
}

/// The fields that profiles other than Development require.
fn small() -> Vec<(&'static str, Value)> {
    vec![
        ("/spec/profile", json!("Small")),
        ("/spec/kafka/external/authentication", json!({"type": "None"})),
        ("/spec/payments", json!({"type": "None"})),
    ]
}

#[test]
fn ms6_an_archive_without_tls_is_for_development_only() {
    let archive = |endpoint: &str| {
        let s3 = json!({"bucket": "events", "endpoint": endpoint, "region": "us-east-1", "secretRef": {"name": "s3"}});
        ("/spec/archive", json!({"type": "S3", "s3": s3}))
    };
    check(&rejection(&[archive("http://minio:9000")]), "");
    let in_small = |endpoint: &str| rejection(&[small(), vec![archive(endpoint)]].concat());
    check(&in_small("https://minio:9000"), "");
    check(&in_small("http://minio:9000"), "must use https outside profile Development");
}

#[test]
fn gw6_the_schema_has_exactly_the_classes_and_bounds_of_limits_that_the_gateway_accepts() {
    let crd = serde_json::to_value(<Marketplace as kube::CustomResourceExt>::crd()).unwrap();
    let limits = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/exposure/properties";
    let exposure = crd.pointer(limits).unwrap();
    let limit = &exposure["rateLimits"]["items"]["properties"];
    let mut names: Vec<&str> = limit["name"]["enum"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    let mut known = agora_topology::RATE_LIMIT_CLASSES;
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known);
    let max = |property: &Value| property["maximum"].as_f64();
    assert_eq!(max(&limit["requestsPerMinute"]), Some(f64::from(agora_topology::RATE_LIMIT_PER_MINUTE_MAX)));
    assert_eq!(max(&limit["burst"]), Some(f64::from(agora_topology::RATE_LIMIT_BURST_MAX)));
    assert_eq!(max(&exposure["trustedProxies"]), Some(f64::from(agora_topology::TRUSTED_PROXIES_MAX)));
}

#[test]
fn the_minimal_resource_is_accepted() {
    check(&rejection(&[]), "");
    check(&rejection(&small()), "");
}

#[test]
fn names_have_at_most_30_characters_and_start_with_a_letter() {
    for name in ["1shop", "Shop", "shop-", "a123456789012345678901234567890"] {
        check(&rejection(&[("/metadata/name", json!(name))]), "metadata.name");
    }
    check(&rejection(&[("/metadata/name", json!("a12345678901234567890123456789"))]), "");
}

#[test]
fn options_of_profile_development_are_rejected_in_other_profiles() {
    let rejected = |pointer, value, expected| {
        let mut changes = small();
        changes.push((pointer, value));
        check(&rejection(&changes), expected);
    };
    rejected("/spec/payments", json!({"type": "Simulator"}), "Simulator");
    rejected("/spec/database/external/tls", json!({"mode": "Disable"}), "TLS");
    rejected("/spec/kafka/external/tls", json!({"mode": "Disable"}), "TLS");
    let mail = json!({"smtp": {"host": "mail", "port": 587, "tls": {"mode": "Disable"}}, "from": "a@b.de", "openTracking": "Disabled"});
    rejected("/spec/mail", mail.clone(), "TLS");
    check(&rejection(&[("/spec/mail", mail)]), "");
    rejected("/spec/redis/external/secretRef", json!({"name": "redis"}), "Redis");
    check(&rejection(&[("/spec/profile", json!("Small"))]), "authentication is required");
    check(&rejection(&[("/spec/profile", json!("Small"))]), "payments is required");
    let stripe = |url: &str| json!({"type": "StripeCompatible", "stripeCompatible": {"baseUrl": url, "secretRef": {"name": "stripe"}}});
    rejected("/spec/payments", stripe("http://stripe.example.com"), "https://");
    rejected("/spec/payments", stripe("https://stripe.example.com"), "");
    check(&rejection(&[("/spec/payments", stripe("http://stripe.test:12111"))]), "");
}

#[test]
fn a_union_accepts_only_the_member_named_by_its_type() {
    let login = |value| rejection(&[("/spec/kafka/external/authentication", value)]);
    let secret = json!({"secretRef": {"name": "kafka"}});
    check(&login(json!({"type": "Plain", "plain": secret})), "");
    check(&login(json!({"type": "Plain", "scramSha512": secret})), "member");
    check(&login(json!({"type": "None", "plain": secret})), "member");
    check(&login(json!({"type": "ScramSha256"})), "member");
    let payments = |value| rejection(&[("/spec/payments", value)]);
    let stripe = json!({"baseUrl": "https://api.stripe.com", "secretRef": {"name": "stripe"}});
    check(&payments(json!({"type": "StripeCompatible", "stripeCompatible": stripe})), "");
    check(&payments(json!({"type": "Simulator", "stripeCompatible": stripe})), "member");
    check(&payments(json!({"type": "StripeCompatible"})), "member");
    let tls = |value| rejection(&[("/spec/exposure", json!({"type": "None", "tls": value}))]);
    check(&tls(json!({"type": "Secret"})), "member");
    check(&tls(json!({"type": "External", "secret": {"name": "x"}})), "member");
    check(&tls(json!({"type": "Secret", "secret": {"name": "x"}})), "");
    check(&tls(json!({"type": "External", "hsts": {}})), "");
    check(&rejection(&[("/spec/exposure", json!({"type": "Ingress"}))]), "hostnames is required");
    check(&rejection(&[("/spec/exposure", json!({"type": "None", "ingress": {}}))]), "only with type Ingress");
}

#[test]
fn gw11_the_identity_provider_needs_its_member_and_tls_outside_development() {
    let staff = |issuer_url: &str| {
        json!({"type": "OIDC", "oidc": {
            "issuerUrl": issuer_url, "clientId": "shop", "clientSecretRef": {"name": "sso"},
            "redirectUrl": "https://shop.example/staff", "roles": [{"role": "support", "groups": ["desk"]}],
        }})
    };
    let with = |profile: Vec<(&'static str, Value)>, staff: Value| {
        let mut changes = profile;
        changes.push(("/spec/identity", json!({ "staff": staff })));
        rejection(&changes)
    };
    check(&with(Vec::new(), staff("http://sso:8080/realms/shop")), "");
    check(&with(small(), staff("https://sso.example.com")), "");
    check(&with(small(), staff("http://sso.example.com")), "oidc.issuerUrl must begin with https://");
    check(&with(Vec::new(), json!({"type": "OIDC"})), "member oidc is required with type OIDC");
}

#[test]
fn min_replicas_may_not_exceed_max_replicas() {
    let scaling = |min, max| {
        let scaling = json!({"minReplicas": min, "maxReplicas": max, "scaleDownStabilizationSeconds": 300});
        rejection(&[("/spec/services", json!([{"name": "order", "state": "Enabled", "scaling": scaling}]))])
    };
    check(&scaling(2, 2), "");
    check(&scaling(3, 2), "minReplicas is greater");
    let defaults = json!({"replicas": 1, "config": {"min.insync.replicas": "2"}});
    check(&rejection(&[("/spec/kafka/topicDefaults", defaults)]), "min.insync.replicas");
}

#[test]
fn da8_only_a_service_with_a_database_has_settings_of_one() {
    let database = |service: &str| {
        let database = json!({"poolSize": 20, "statementTimeoutSeconds": 30, "workMemMebibytes": 16});
        rejection(&[("/spec/services", json!([{"name": service, "state": "Enabled", "database": database}]))])
    };
    check(&database("order"), "");
    check(&database("gateway"), "the service has no database");
}

#[test]
fn variables_set_by_the_operator_are_rejected_in_every_form() {
    let env = |name: &str| {
        let env = json!([{"name": name, "value": "x"}]);
        rejection(&[("/spec/services", json!([{"name": "order", "state": "Enabled", "env": env}]))])
    };
    for name in ["DATABASE_URL", "DATABASE_URL_FILE", "ORDER_DATABASE_URL", "USER_ADMIN_PASSWORD_FILE", "PORT"] {
        check(&env(name), "the operator sets this variable");
    }
    for name in ["FEATURE_X", "SUPPORT_PORT", "RUST_LOG"] {
        check(&env(name), "");
    }
}

#[test]
fn the_isolation_key_is_immutable() {
    let key = |key: &str| vec![("/spec/isolationKey", json!(key))];
    check(&rejection_of_update(&key("a"), &key("a")), "");
    for (before, after) in [(key("a"), key("b")), (key("a"), vec![]), (vec![], key("a"))] {
        check(&rejection_of_update(&before, &after), "isolationKey");
    }
}

#[test]
fn epoch_and_partitions_cannot_be_lowered() {
    let epoch = |number: i32| vec![("/spec/recovery", json!({"epoch": number}))];
    check(&rejection_of_update(&epoch(1), &epoch(2)), "");
    check(&rejection_of_update(&epoch(2), &epoch(1)), "epoch cannot be lowered");
    let topic =
        |partitions: i32| vec![("/spec/kafka/topics", json!([{"name": "order-events", "partitions": partitions}]))];
    check(&rejection_of_update(&topic(3), &topic(6)), "");
    check(&rejection_of_update(&topic(6), &topic(3)), "partitions can never be reduced");
}

#[test]
fn a_request_above_its_limit_and_an_impossible_address_range_are_rejected() {
    let resources = |requests: Value, limits: Value| {
        let resources = json!({"requests": requests, "limits": limits});
        rejection(&[("/spec/services", json!([{"name": "order", "state": "Enabled", "resources": resources}]))])
    };
    check(&resources(json!({"cpu": "250m", "memory": "256Mi"}), json!({"cpu": "0.5", "memory": "256Mi"})), "");
    check(&resources(json!({"cpu": "2"}), json!({"cpu": "500m"})), "requests.cpu is greater");
    check(&resources(json!({"memory": "1Gi"}), json!({"memory": "512Mi"})), "requests.memory is greater");
    let egress = |cidr: &str| {
        let rule = json!({"name": "data", "cidr": cidr, "ports": [5432]});
        rejection(&[("/spec/network", json!({"policy": "Restricted", "egress": [rule]}))])
    };
    for cidr in ["10.20.0.0/16", "fd00::/8"] {
        check(&egress(cidr), "");
    }
    for cidr in ["999.1.1.1/99", "10.0.0.0/33", "10.0.0.0", ":::/0"] {
        check(&egress(cidr), "cidr");
    }
}
