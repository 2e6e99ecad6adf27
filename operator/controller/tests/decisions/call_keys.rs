//! Keys of calls between services: which Secret holds which, what pods mount of them, and their rotation.

use std::collections::BTreeSet;

use agora_keyring::KeySet;
use agora_operator::cluster::credentials::{credentials, rotate};
use agora_operator::decide::observed::{Children, secret_values};
use agora_operator::kinds::Kind;
use agora_topology as topology;
use agora_vocab::Secret;
use time::Duration;
use time::macros::datetime;

use crate::fixture::{Fixture, MINIMAL};

const PERIOD: Duration = Duration::days(30);

/// The text that the service reads.
fn keys_of(fixture: &Fixture, service: &str) -> Option<Secret> {
    let name = format!("shop-{service}-call-keys");
    let objects = fixture.objects();
    let secret = objects.into_iter().find(|object| object.key.kind == Kind::Secret && object.key.name == name)?;
    let live = serde_json::from_value(secret.body).unwrap();
    secret_values(&live).remove("keys")
}

#[test]
fn gw10_the_secret_of_a_service_holds_the_keys_of_its_own_pairs_alone() {
    let fixture = Fixture::new(MINIMAL).migrated();
    let all = fixture.observed.credentials.internal.keys();
    for row in topology::ALL {
        let Some(text) = keys_of(&fixture, row.name) else {
            assert!(!row.reads("INTERNAL_SECRET"), "{} has no keys", row.name);
            continue;
        };
        assert!(!text.expose().contains("hunter2"), "{} has a master", row.name);
        let own = KeySet::parse(&text);
        for (caller, callee) in topology::ALL.iter().flat_map(topology::Service::pairs) {
            let is_own = caller == row.name || callee == row.name;
            let expected = if is_own { all.of_calls(caller, callee) } else { Vec::new() };
            assert_eq!(own.of_calls(caller, callee), expected, "{} and {caller}>{callee}", row.name);
        }
        assert_eq!(!own.of_links().is_empty(), topology::LINKS.contains(&row.name), "{}", row.name);
        let tokens = if topology::OWN_TOKENS.contains(&row.name) { all.of_tokens(row.name) } else { Vec::new() };
        assert_eq!(own.of_tokens(row.name), tokens, "{}", row.name);
    }
    assert!(keys_of(&fixture, "order").is_some() && keys_of(&fixture, "gateway").is_none());
}

#[test]
fn gw10_no_pod_mounts_the_masters_and_each_mounts_its_own_keys() {
    let fixture = Fixture::new(MINIMAL).migrated();
    let mut mounting = BTreeSet::new();
    for object in
        fixture.objects().into_iter().filter(|object| [Kind::Deployment, Kind::Job].contains(&object.key.kind))
    {
        let sources = object.body["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"].clone();
        let names = sources.as_array().unwrap().iter().filter_map(|source| source["secret"]["name"].as_str());
        let names: Vec<_> = names.collect();
        assert!(!names.contains(&"shop-internal"), "{}", object.key.name);
        for name in names.into_iter().filter(|name| name.ends_with("-call-keys")) {
            assert_eq!(name, format!("{}-call-keys", object.key.name));
            mounting.insert(object.key.name.clone());
        }
    }
    let reading = topology::ALL.iter().filter(|row| row.reads("INTERNAL_SECRET"));
    assert_eq!(mounting, reading.map(|row| format!("shop-{}", row.name)).collect::<BTreeSet<_>>());
}

#[test]
fn gw10_at_a_rotation_pods_with_the_old_and_the_new_keys_accept_each_others_calls() {
    let mut held = credentials("shop", &Children::default()).unwrap();
    let mut texts = Vec::new();
    let mut now = datetime!(2026-01-01 00:00 UTC);
    for _ in 0..4 {
        rotate(&mut held, "shop", now, PERIOD).unwrap();
        texts.push(held.internal.keys().restricted([("order", "catalog")], true, None));
        now += PERIOD;
    }
    for (before, after) in texts.iter().zip(&texts[1..]) {
        let (before, after) = (KeySet::parse(before), KeySet::parse(after));
        for (signing, verifying) in [(&before, &after), (&after, &before)] {
            let key = &signing.of_calls("order", "catalog")[0];
            assert!(verifying.of_calls("order", "catalog").contains(key));
            assert!(verifying.of_links().contains(&signing.of_links()[0]));
        }
        assert_ne!(before.of_calls("order", "catalog")[0], after.of_calls("order", "catalog")[0]);
    }
    let (first, last) = (KeySet::parse(&texts[0]), KeySet::parse(&texts[3]));
    let key = &first.of_calls("order", "catalog")[0];
    assert!(!last.of_calls("order", "catalog").contains(key), "an old key is withdrawn");
}

#[test]
fn gw8_signing_keys_are_replaced_when_their_period_is_over_and_not_before() {
    let mut held = credentials("shop", &Children::default()).unwrap();
    let start = datetime!(2026-01-01 00:00 UTC);
    rotate(&mut held, "shop", start, PERIOD).unwrap();
    let first = held.signing.clone().unwrap();
    assert_eq!(held.change_at(PERIOD), Some(start + PERIOD));
    rotate(&mut held, "shop", start + PERIOD - Duration::SECOND, PERIOD).unwrap();
    assert_eq!(held.signing.as_ref().unwrap().current, first.current);
    rotate(&mut held, "shop", start + PERIOD, PERIOD).unwrap();
    let second = held.signing.clone().unwrap();
    assert_eq!(second.current, first.next, "the key that signs was published before");
    assert_ne!(second.next, first.next);
    rotate(&mut held, "shop", start + PERIOD, PERIOD).unwrap();
    assert_eq!(held.signing.unwrap().current, second.current, "once");
}
