//! A sample manifest and an observed state for it: fixed credentials, usable Secrets, inspections of the data servers. The
//! sample passes through `plan`; schema defaults come from the types.

use std::collections::BTreeMap;
use std::sync::Arc;

use agora_crd::{Marketplace, ServiceSpec};
use agora_operator::decide::credentials::{
    AdminLogin, Credentials, EncryptionKeys, InternalMasters, LastRotation, PublicKeySet, SigningKeys,
};
use agora_operator::decide::desired::external::Fingerprint;
use agora_operator::decide::desired::{Desired, desired};
use agora_operator::decide::object::Object;
use agora_operator::decide::observed::{
    Children, DatabasesObservation, Observed, RedisObservation, ReferencedSecret, TopicsObservation,
};
use agora_operator::decide::plan::plan;
use agora_operator::decide::purpose::Purposes;
use agora_operator::kinds::{Kind, ObjectKey};
use agora_topology as topology;
use agora_vocab::Secret;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use time::macros::datetime;

pub const MINIMAL: &str = include_str!("../../../../manifests/samples/minimal.yaml");
pub const PRODUCTION: &str = include_str!("../../../../manifests/samples/production.yaml");

#[derive(Clone, Debug)]
pub struct Fixture {
    pub market: Marketplace,
    pub observed: Observed,
}

impl Fixture {
    /// The databases exist, and no migration has run.
    pub fn new(sample: &str) -> Self {
        let value: Value = serde_yaml::from_str(sample).unwrap();
        let mut market: Marketplace = serde_json::from_value(value).unwrap();
        market.metadata.uid = Some("uid-1".to_owned());
        market.metadata.generation = Some(1);
        let mut observed = Observed {
            children: Children::default(),
            credentials: credentials(),
            referenced_secrets: BTreeMap::new(),
            databases: None,
            topics: None,
            redis: None,
            services: None,
            refusals: BTreeMap::new(),
            now: datetime!(2026-01-01 00:00 UTC),
        };
        for (name, purpose) in plan(&market, Some(300)).0.referenced_secrets() {
            let keys = ["username", "password", "ca.crt"];
            let values = keys.map(|key| (key.to_owned(), Secret::new(format!("{name}-{key}-hunter2"))));
            let mut values = BTreeMap::from(values);
            values.insert("username".to_owned(), Secret::new("admin"));
            for (key, kind) in [("tls.crt", "CERTIFICATE"), ("tls.key", "PRIVATE KEY")] {
                let pem = format!("-----BEGIN {kind}-----\nhunter2\n-----END {kind}-----\n");
                values.insert(key.to_owned(), Secret::new(pem));
            }
            observed
                .referenced_secrets
                .insert(name, ReferencedSecret::Usable { values, purposes: Purposes::parse(&purpose.to_string()) });
        }
        let mut fixture = Self { market, observed };
        fixture.databases_exist();
        fixture
    }

    /// Every migration Job is complete.
    pub fn migrated(mut self) -> Self {
        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        for object in self.objects().into_iter().filter(|object| object.key.kind == Kind::Job) {
            self.add(&object.key, object.body, complete.clone());
        }
        self
    }

    /// Every child exists, every Deployment is available, and the inspections of broker and Redis succeeded.
    pub fn running(mut self) -> Self {
        let pods = json!({
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1
        });
        let desired = self.desired();
        for object in self.objects().into_iter().filter(|object| object.key.kind != Kind::Job) {
            let mut body = object.body;
            if object.key.kind != Kind::Deployment {
                self.add(&object.key, body, Value::Null);
                continue;
            }
            body["metadata"]["generation"] = json!(1);
            body["spec"]["replicas"] = json!(1);
            self.add(&object.key, body, pods.clone());
        }
        let topics = desired.topics.unwrap();
        let results = topics.topics.iter().map(|topic| (topic.name.clone(), Ok(()))).collect();
        self.observed.topics =
            Some(TopicsObservation { desired: topics.fingerprint(), topics: Ok(results), record: None });
        let redis = desired.redis.unwrap().fingerprint();
        self.observed.redis = Some(RedisObservation { desired: redis, answer: Ok(()) });
        self
    }

    /// Adds an existing child.
    pub fn add(&mut self, key: &ObjectKey, mut body: Value, status: Value) {
        body["status"] = status;
        let live: DynamicObject = serde_json::from_value(body).unwrap();
        self.observed.children.0.insert(key.clone(), Arc::new(live));
    }

    /// Replaces the entry of one service in the spec. `rest` is YAML without the name.
    pub fn service(&mut self, name: &str, rest: &str) {
        self.set_service(name, rest);
        self.databases_exist();
    }

    /// As [`Self::service`], for a spec with violations.
    pub fn set_service(&mut self, name: &str, rest: &str) {
        let service: ServiceSpec = serde_yaml::from_str(&format!("name: {name}\n{rest}\n")).unwrap();
        self.market.spec.services.retain(|known| known.name != service.name);
        self.market.spec.services.push(service);
    }

    pub fn desired(&self) -> Desired {
        let (plan, violations) = plan(&self.market, Some(300));
        assert_eq!(violations, []);
        desired(&plan, &self.observed)
    }

    /// The children to apply.
    pub fn objects(&self) -> Vec<Object> {
        self.desired().objects().cloned().collect()
    }

    fn databases_exist(&mut self) {
        let desired = self.desired().databases.unwrap();
        self.observed.databases = Some(DatabasesObservation {
            desired: desired.fingerprint(),
            connections: Ok(300),
            databases: desired.databases.iter().map(|database| (database.name.clone(), Ok(()))).collect(),
            record: None,
        });
    }
}

/// When the fixture's keys were rotated last.
const ROTATED: LastRotation = LastRotation(Some(datetime!(2026-01-01 00:00 UTC)));

fn encryption(service: &str) -> EncryptionKeys {
    let key = Secret::new(format!("{service}-encryption-hunter2"));
    EncryptionKeys { current: key.clone(), previous: key }
}

fn credentials() -> Credentials {
    let databases = topology::ALL.iter().filter(|row| row.database);
    Credentials {
        databases: databases.map(|row| (row.name, Secret::new(format!("{}-hunter2", row.name)))).collect(),
        internal: InternalMasters {
            current: Secret::new("internal-hunter2"),
            next: Secret::new("next-internal-hunter2"),
            previous: None,
            rotated: ROTATED,
        },
        signing: Ok(SigningKeys {
            current: Secret::new("current-hunter2"),
            next: Secret::new("next-hunter2"),
            published: PublicKeySet::live(r#"{"keys":[]}"#.to_owned()),
            rotated: ROTATED,
        }),
        encryption: topology::ALL
            .iter()
            .filter(|row| row.encrypts())
            .map(|row| (row.name, Ok(encryption(row.name))))
            .collect(),
        admin: AdminLogin { username: "admin@agora.local".to_owned(), password: Secret::new("admin-hunter2") },
    }
}
