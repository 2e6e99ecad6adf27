//! One Marketplace for one test, its data servers, and an operator that runs it.

use std::time::Duration;

use agora_chassis::Process;
use agora_crd::Marketplace;
use agora_operator::kinds::Kind;
use agora_operator::run::operator::{self, Setup};
use agora_testkit::TestDatabase;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::core::crd::CustomResourceExt;
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::api_server::ApiServer;

pub const NAMESPACE: &str = "shop";
const POLL: Duration = Duration::from_millis(100);
/// Time limit of every condition that a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// Waits until `holds` returns a value.
pub async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(WAIT_MAX, async {
        loop {
            if let Some(value) = holds().await {
                return value;
            }
            tokio::time::sleep(POLL).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not within {WAIT_MAX:?}: {what}"))
}

/// The number of databases of a Marketplace.
pub fn databases_of_a_shop() -> usize {
    agora_topology::ALL.iter().filter(|service| service.database).count()
}

/// A PostgreSQL server with an admin login of the operator.
pub struct Server {
    pub postgres: TestDatabase,
    pub admin: String,
}

impl Server {
    pub async fn new(postgres: TestDatabase, admin: &str) -> Self {
        postgres.as_admin(&format!("create role {admin} login createdb createrole password 'admin'")).await;
        Self { postgres, admin: admin.to_owned() }
    }

    pub fn host_and_port(&self) -> (String, u16) {
        let url = self.postgres.admin_url();
        let address = url.rsplit('@').next().unwrap().split('/').next().unwrap();
        let (host, port) = address.split_once(':').unwrap();
        (host.to_owned(), port.parse().unwrap())
    }

    pub async fn databases(&self, prefix: &str) -> Vec<String> {
        let (host, port) = self.host_and_port();
        let options = PgConnectOptions::new_without_pgpass().host(&host).port(port).username(&self.admin);
        let options = options.password("admin").database("postgres").ssl_mode(PgSslMode::Disable);
        let mut connection = options.connect().await.unwrap();
        let names =
            sqlx::query_scalar("select datname::text from pg_database where starts_with(datname, $1) order by 1");
        let names = names.bind(prefix).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        names
    }
}

/// A running operator. It ends with [`Operator::stop`].
pub struct Operator(Process);

impl Operator {
    pub async fn start(config: Config) -> Self {
        let process = Process::for_test(operator::NAME);
        let setup = Setup {
            client: Client::try_from(config).unwrap(),
            namespaces: vec![NAMESPACE.to_owned()],
            own_namespace: None,
            adapters: operator::adapters(),
        };
        operator::start(&process, setup).await;
        Self(process)
    }

    pub async fn stop(self) {
        self.0.end().await;
    }
}

/// A Marketplace and the test's client of its cluster.
pub struct Shop {
    pub client: Client,
    pub name: String,
}

impl Shop {
    /// Creates CRD, namespace and the Secret of the database server.
    pub async fn prepare(server: &ApiServer, name: &str, database: &Server) -> Self {
        let client = Client::try_from(server.config().await).unwrap();
        let shop = Self { client, name: name.to_owned() };
        let apply = PatchParams::apply("test").force();
        let crd = Marketplace::crd();
        let crds: Api<CustomResourceDefinition> = Api::all(shop.client.clone());
        crds.patch(&crd.name_any(), &apply, &Patch::Apply(&crd)).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(shop.client.clone());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        namespaces.patch(NAMESPACE, &apply, &Patch::Apply(namespace)).await.unwrap();
        until("the kind Marketplace is served", async || {
            shop.markets().list(&ListParams::default()).await.ok().map(drop)
        })
        .await;
        shop.usable_at(database).await;
        shop
    }

    /// Lets the Marketplace use the admin login at a server.
    pub async fn usable_at(&self, database: &Server) {
        self.usable_at_all(database, &[database]).await;
    }

    /// Lets the Marketplace use one admin login at several servers.
    pub async fn usable_at_all(&self, database: &Server, servers: &[&Server]) {
        let purposes = servers.iter().map(|server| {
            let (host, port) = server.host_and_port();
            format!("database={host}:{port}")
        });
        let purposes = purposes.collect::<Vec<_>>().join(",");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
            "metadata": {
                "name": "postgres-admin",
                "labels": {"agoraplatform.dev/usable": "true"},
                "annotations": {"agoraplatform.dev/usable-for": purposes},
            },
            "stringData": {"username": database.admin, "password": "admin"},
        });
        let apply = PatchParams::apply("test").force();
        self.api(Kind::Secret).patch("postgres-admin", &apply, &Patch::Apply(secret)).await.unwrap();
    }

    pub async fn apply(&self, database: &Server, brokers: &str, policy: &str) {
        let (host, port) = database.host_and_port();
        let market = json!({
            "apiVersion": "agoraplatform.dev/v1alpha1", "kind": "Marketplace", "metadata": {"name": self.name},
            "spec": {
                "release": {"version": "0.1.0"},
                "profile": "Development",
                "database": {
                    "external": {"host": host, "port": port, "adminSecretRef": {"name": "postgres-admin"}},
                    "maxConnections": 300, "deletionPolicy": policy,
                },
                "kafka": {"external": {"bootstrapServers": [brokers]}, "deletionPolicy": policy},
                "redis": {"external": {"standalone": {"endpoint": "127.0.0.1:1"}}},
            },
        });
        self.markets().patch(&self.name, &PatchParams::apply("test").force(), &Patch::Apply(market)).await.unwrap();
    }

    pub fn markets(&self) -> Api<Marketplace> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &kind.resource())
    }

    pub async fn annotate(&self, name: &str, value: &str) {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {name: value}}}));
        self.markets().patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn annotation(&self, name: &str) -> Option<String> {
        self.markets().get(&self.name).await.unwrap().annotations().get(name).cloned()
    }

    /// Executes the command at the end of a condition's message, as a user would.
    pub async fn follow(&self, message: &str) {
        let (_, command) = message.rsplit_once("kubectl ").unwrap();
        let expected = format!("-n {NAMESPACE} annotate marketplace {} --overwrite ", self.name);
        let (name, value) = command.strip_prefix(&expected).unwrap().split_once('=').unwrap();
        self.annotate(name, value).await;
    }

    /// Waits until a condition has this reason, and returns status and message.
    pub async fn reason(&self, type_: &str, reason: &str) -> (String, String) {
        until(&format!("{type_} is {reason}"), async || {
            let status = self.markets().get(&self.name).await.unwrap().status?;
            let found = status.conditions.into_iter().find(|condition| condition.type_ == type_)?;
            (found.reason == reason).then_some((found.status, found.message))
        })
        .await
    }

    /// Waits until the databases and topics are as desired.
    pub async fn provisioned(&self) {
        self.reason("DatabaseReady", "Provisioned").await;
        self.reason("KafkaReady", "TopicsInSync").await;
    }

    /// The names of the migration Jobs of a service.
    pub async fn migrations(&self, service: &str) -> Vec<String> {
        let prefix = format!("{}-{service}-migrate-", self.name);
        let jobs = self.api(Kind::Job).list(&ListParams::default()).await.unwrap();
        jobs.into_iter().map(|job| job.name_any()).filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Writes the statuses that the Job controller would write.
    pub async fn complete_migrations(&self) {
        let at = "2026-01-01T00:00:00Z";
        let condition = |type_| json!({"type": type_, "status": "True", "lastTransitionTime": at});
        let conditions = [condition("SuccessCriteriaMet"), condition("Complete")];
        let status = json!({"status": {
            "startTime": at, "completionTime": at, "succeeded": 1, "conditions": conditions,
        }});
        for job in self.api(Kind::Job).list(&ListParams::default()).await.unwrap() {
            if job.data["status"]["conditions"].is_null() {
                let patch = Patch::Merge(&status);
                let patched = self.api(Kind::Job).patch_status(&job.name_any(), &PatchParams::default(), &patch).await;
                patched.unwrap();
            }
        }
    }

    /// A session of a service's login, as the service opens it.
    pub async fn log_in(&self, service: &str) -> Result<PgConnection, sqlx::Error> {
        let secret = self.secret(&format!("{}-{service}-database", self.name)).await.unwrap();
        let url = BASE64_STANDARD.decode(secret["url"].as_str().unwrap()).unwrap();
        PgConnection::connect(std::str::from_utf8(&url).unwrap()).await
    }

    /// The notes of the events on the Marketplace with this reason.
    pub async fn notes(&self, reason: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), NAMESPACE);
        let events = events.list(&ListParams::default()).await.unwrap().into_iter();
        let own = events.filter(|event| {
            event.reason.as_deref() == Some(reason)
                && event.regarding.as_ref().and_then(|on| on.name.as_deref()) == Some(&self.name)
        });
        own.filter_map(|event| event.note).collect()
    }

    pub async fn secret(&self, name: &str) -> Option<Value> {
        self.api(Kind::Secret).get_opt(name).await.unwrap().map(|secret| secret.data["data"].clone())
    }
}
