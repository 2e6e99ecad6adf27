//! TLS of the shop: at the Ingress or at the gateway, from a Secret; what browsers are told, and where pictures are.

use agora_crd::{Hsts, HstsSubdomains, Reason};
use agora_operator::decide::maybe::Maybe;
use agora_operator::decide::observed::ReferencedSecret;
use agora_operator::kinds::{Kind, ObjectKey};
use agora_topology as topology;
use agora_vocab::Secret;
use serde_json::{Value, json};

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use crate::status::{check, of};

const AT_THE_GATEWAY: &str = "  exposure:
    hostnames: [shop.example]
    tls: {type: Secret, secret: {name: shop-certificate}}
  redis:";

fn at_the_gateway() -> Fixture {
    Fixture::new(&MINIMAL.replace("  redis:", AT_THE_GATEWAY)).migrated()
}

fn body(fixture: &Fixture, kind: Kind, name: &str) -> Value {
    let key = ObjectKey::new(kind, name);
    fixture.objects().into_iter().find(|object| object.key == key).unwrap().body
}

fn settings(fixture: &Fixture, name: &str) -> Value {
    body(fixture, Kind::ConfigMap, name)["data"].clone()
}

/// The numbers of the ports with this name; of a Service, where `number` is `port`, of pods `containerPort`.
fn ports(list: &Value, number: &str, name: &str) -> Vec<u64> {
    let ports = list.as_array().unwrap().iter().filter(|port| port["name"] == name);
    ports.map(|port| port[number].as_u64().unwrap()).collect()
}

#[test]
fn gw14_without_an_ingress_the_gateway_terminates_tls_with_the_secret() {
    let fixture = at_the_gateway();
    assert!(fixture.objects().iter().all(|object| object.key.kind != Kind::Ingress));
    let found = settings(&fixture, "shop-gateway");
    for (name, value) in [
        ("TLS_PORT", "3443"),
        ("TLS_CERTIFICATE_FILE", "/etc/agora/tls.crt"),
        ("TLS_KEY_FILE", "/etc/agora/tls.key"),
        ("PUBLIC_URL", "https://shop.example"),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    let pods = &body(&fixture, Kind::Deployment, "shop-gateway")["spec"]["template"]["spec"];
    assert_eq!(ports(&pods["containers"][0]["ports"], "containerPort", "https"), [3443]);
    let sources = pods["volumes"][0]["projected"]["sources"].as_array().unwrap();
    for key in ["tls.crt", "tls.key"] {
        let of_secret = json!({"name": "shop-certificate", "items": [{"key": key, "path": key}]});
        assert!(sources.iter().any(|source| source["secret"] == of_secret), "{key}: {sources:?}");
    }
    let service = body(&fixture, Kind::Service, "shop-gateway");
    assert_eq!(ports(&service["spec"]["ports"], "port", "https"), [443]);
    let policy = body(&fixture, Kind::NetworkPolicy, "shop-gateway");
    let open = json!({"ports": [{"port": 3443, "protocol": "TCP"}]});
    assert!(policy["spec"]["ingress"].as_array().unwrap().contains(&open), "{policy}");
    for row in topology::ALL.iter().filter(|row| row.name != topology::GATEWAY.name) {
        let service = body(&fixture, Kind::Service, &format!("shop-{}", row.name));
        assert!(ports(&service["spec"]["ports"], "port", "https").is_empty(), "{}", row.name);
    }
}

#[test]
fn gw14_with_an_ingress_that_terminates_tls_and_the_gateway_does_not() {
    let fixture = Fixture::new(PRODUCTION).migrated();
    let ingress = body(&fixture, Kind::Ingress, "main-gateway");
    let tls = json!([{"hosts": ["shop.example.com"], "secretName": "shop-certificate"}]);
    assert_eq!(ingress["spec"]["tls"], tls);
    let found = settings(&fixture, "main-gateway");
    for name in ["TLS_PORT", "TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"] {
        assert_eq!(found[name], Value::Null, "{name}");
    }
    let service = body(&fixture, Kind::Service, "main-gateway");
    assert!(ports(&service["spec"]["ports"], "port", "https").is_empty());
}

#[test]
fn gw14_a_renewed_certificate_restarts_no_pod() {
    let mut fixture = at_the_gateway();
    let before = fixture.objects();
    let Some(ReferencedSecret::Usable { values, .. }) = fixture.observed.referenced_secrets.get_mut("shop-certificate")
    else {
        panic!("the Secret is usable")
    };
    for kind in ["CERTIFICATE", "PRIVATE KEY"] {
        let key = if kind == "CERTIFICATE" { "tls.crt" } else { "tls.key" };
        values.insert(key.to_owned(), Secret::new(format!("-----BEGIN {kind}-----\nrenewed\n-----END {kind}-----\n")));
    }
    assert_eq!(fixture.objects(), before);
}

#[test]
fn gw14_a_certificate_that_cannot_be_used_is_reported_and_the_gateway_is_still_repaired() {
    let usable = |certificate: &str| ReferencedSecret::Usable {
        values: [("tls.crt", certificate), ("tls.key", "-----BEGIN PRIVATE KEY-----")]
            .map(|(key, value)| (key.to_owned(), Secret::new(value)))
            .into(),
        purposes: agora_operator::decide::purpose::Purposes::parse("tls"),
    };
    let without_key = |secret| match secret {
        ReferencedSecret::Usable { mut values, purposes } => {
            values.remove("tls.key");
            ReferencedSecret::Usable { values, purposes }
        }
        other => other,
    };
    for (secret, reason) in [
        (ReferencedSecret::Missing, Reason::SecretMissing),
        (ReferencedSecret::NotUsable, Reason::SecretNotUsable),
        (without_key(usable("-----BEGIN CERTIFICATE-----")), Reason::SecretMissing),
        (usable("text"), Reason::SecretCorrupt),
    ] {
        let mut fixture = at_the_gateway().running();
        let before = fixture.objects();
        fixture.observed.referenced_secrets.insert("shop-certificate".to_owned(), secret);
        assert_eq!(fixture.objects(), before, "{reason}: what runs stays as it is");
        for condition in ["RouteReady", "WorkloadsReady", "Ready"] {
            check(&of(&fixture), condition, "False", &reason.to_string());
        }
        let pods = ObjectKey::new(Kind::Deployment, "shop-gateway");
        fixture.observed.children.0.remove(&pods);
        assert_eq!(fixture.desired().children[&pods], Maybe::Hold, "{reason}: no pod starts without it");
    }
}

#[test]
fn gw12_browsers_are_told_to_use_tls_where_the_spec_says_so() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    let names = ["HSTS_MAX_AGE_SECONDS", "HSTS_SUBDOMAINS"];
    let found = |fixture: &Fixture| names.map(|name| settings(fixture, "main-gateway")[name].clone());
    assert_eq!(found(&fixture), [Value::Null, Value::Null], "only where asked for");
    let hsts = Hsts { max_age_seconds: 300, subdomains: HstsSubdomains::Included };
    fixture.market.spec.exposure.tls.as_mut().unwrap().hsts = Some(hsts);
    assert_eq!(found(&fixture), [json!("300"), json!("Included")]);
}

#[test]
fn gw16_the_address_of_pictures_reaches_the_services_that_show_them_and_no_other() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    fixture.market.spec.exposure.asset_base_url = Some("https://cdn.example".to_owned());
    for row in topology::ALL {
        let shows = ["catalog", "cart", "search"].contains(&row.name);
        let expected = if shows { json!("https://cdn.example") } else { Value::Null };
        assert_eq!(settings(&fixture, &format!("shop-{}", row.name))["ASSET_BASE_URL"], expected, "{}", row.name);
    }
}

#[test]
fn gw15_pods_are_spread_over_nodes_and_where_the_spec_says_so_over_zones_first() {
    let keys = |fixture: &Fixture| -> Vec<String> {
        let pods = body(fixture, Kind::Deployment, "shop-gateway")["spec"]["template"]["spec"].clone();
        let all = pods["topologySpreadConstraints"].as_array().unwrap().clone();
        all.iter().map(|spread| spread["topologyKey"].as_str().unwrap().to_owned()).collect()
    };
    let mut fixture = Fixture::new(MINIMAL).migrated();
    assert_eq!(keys(&fixture), ["kubernetes.io/hostname"]);
    fixture.market.spec.disruption.topology_key = "topology.kubernetes.io/zone".to_owned();
    assert_eq!(keys(&fixture), ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]);
}
