//! What services are given of traces, metrics and feature flags.

use crate::fixture::{Fixture, MINIMAL, PRODUCTION};
use agora_operator::kinds::{Kind, ObjectKey};
use serde_json::{Value, json};

fn body(fixture: &Fixture, kind: Kind, name: &str) -> Value {
    let key = ObjectKey::new(kind, name);
    fixture.objects().into_iter().find(|object| object.key == key).unwrap().body
}

fn settings(fixture: &Fixture, name: &str) -> Value {
    body(fixture, Kind::ConfigMap, name)["data"].clone()
}

#[test]
fn de14_every_service_exports_a_tenth_of_its_traces_to_the_collector_that_the_spec_names() {
    let mut fixture = Fixture::new(PRODUCTION).migrated();
    assert!(settings(&fixture, "main-order").to_string().find("OTEL").is_none(), "nothing is exported by default");
    fixture.market.spec.observability.otlp_endpoint = Some("http://collector.observability.svc:4317".to_owned());
    for name in ["main-gateway", "main-order", "main-search"] {
        let settings = settings(&fixture, name);
        assert_eq!(settings["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://collector.observability.svc:4317");
        assert_eq!(settings["OTEL_TRACES_SAMPLER_ARG"], "0.1");
    }
    for (percent, share) in [(0, "0"), (29, "0.29"), (100, "1")] {
        fixture.market.spec.observability.sampled_percent = Some(percent);
        assert_eq!(settings(&fixture, "main-order")["OTEL_TRACES_SAMPLER_ARG"], share);
    }
}

#[test]
fn de16_the_flags_of_the_spec_are_a_file_of_every_service_and_a_shop_starts_without_them() {
    let mut fixture = Fixture::new(MINIMAL).migrated();
    let sources = |fixture: &Fixture| {
        let deployment = body(fixture, Kind::Deployment, "shop-order");
        deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"].as_array().unwrap().clone()
    };
    let without = sources(&fixture);
    assert!(settings(&fixture, "shop-order").get("FLAGS_FILE").is_none());

    fixture.market.spec.settings_ref = Some(serde_json::from_value(json!({"name": "shop-settings"})).unwrap());
    let with = sources(&fixture);
    assert_eq!(settings(&fixture, "shop-order")["FLAGS_FILE"], "/etc/agora/flags");
    let flags = json!({"configMap": {
        "name": "shop-settings",
        "items": [{"key": "flags", "path": "flags"}],
        "optional": true,
    }});
    assert_eq!((with.len(), with.last()), (without.len() + 1, Some(&flags)));
}
