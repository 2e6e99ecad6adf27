//! The log of the operator: each change of an object in the cluster is a line with what was done, the field manager and the
//! reason.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use agora_crd::{ACCEPT_DATA_LOSS, FINALIZER};
use agora_operator::cluster::changes::{METADATA, WORKLOAD};
use agora_operator::kinds::Kind;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::drift::{REPAIR_MAX, running_shop};
use super::edits::Edit;
use super::{MARKET, TestClient};

const DELETION_MAX: Duration = Duration::from_mins(1);

/// Collects the log lines of the process.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// From now on, with those of tests that run beside this one. A thread's own subscriber is not enough: the operator runs
    /// on several.
    fn of_all_tests() -> Self {
        static LOG: LazyLock<Log> = LazyLock::new(|| {
            let log = Log::default();
            let lines = tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO).with_writer(log.clone());
            tracing::subscriber::set_global_default(lines.finish()).unwrap();
            log
        });
        LOG.clone()
    }

    /// Whether a change was logged, with a reason that contains `reason`.
    fn contains(&self, done: &str, field_manager: &str, reason: &str) -> bool {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut changes = lines.map(|line| line["fields"].clone()).filter(|fields| fields["message"] == done);
        changes.any(|fields| {
            let of_market = fields["namespace"] == "shop" && fields["marketplace"] == MARKET;
            let because = fields["reason"].as_str().is_some_and(|text| text.contains(reason));
            of_market && because && fields["field_manager"] == field_manager
        })
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl TestClient {
    async fn until_logged(&self, log: &Log, done: &str, field_manager: &str, reason: &str) {
        let what = format!("a line of the log: {done} ({field_manager}: {reason})");
        self.until(&what, REPAIR_MAX, async || log.contains(done, field_manager, reason)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_in_the_cluster_is_a_line_of_the_log_with_its_field_manager_and_reason() {
    let log = Log::of_all_tests();
    let server = ApiServer::start().await;
    let (test, operator) = running_shop(&server).await;
    let added = format!("added finalizer {FINALIZER} to Marketplace shop");
    test.until_logged(&log, &added, METADATA, "databases and topics").await;
    test.until_logged(&log, "wrote Service shop-cart", WORKLOAD, "it did not exist").await;

    let edit = |kind, name, patch| Edit { kind, name, patch };
    let hidden = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}});
    test.edit(&edit(Kind::Secret, "shop-internal", hidden.clone())).await;
    test.until_logged(&log, "wrote Secret shop-internal", WORKLOAD, "intruder changed metadata.labels").await;
    let job = test.children(Kind::Job).await.remove(0).name_any();
    let params = PatchParams { field_manager: Some("intruder".to_owned()), ..PatchParams::default() };
    test.api(Kind::Job).patch(&job, &params, &Patch::Merge(&hidden)).await.unwrap();
    test.until_logged(&log, &format!("wrote Job {job}"), WORKLOAD, "intruder changed metadata.labels").await;

    test.edit(&edit(Kind::Secret, "shop-admin", json!({"immutable": true}))).await;
    test.until_logged(&log, "wrote Secret shop-admin.spare", WORKLOAD, "copy of Secret shop-admin").await;
    test.until_logged(&log, "deleted Secret shop-admin", WORKLOAD, "intruder made it immutable").await;
    test.until_logged(&log, "wrote Secret shop-admin", WORKLOAD, "intruder made it immutable").await;
    test.until_logged(&log, "deleted Secret shop-admin.spare", WORKLOAD, "desired state").await;

    let accepted = json!({"metadata": {"annotations": {ACCEPT_DATA_LOSS: "shop_shop_cart"}}});
    test.markets().patch(MARKET, &PatchParams::default(), &Patch::Merge(accepted)).await.unwrap();
    let used = format!("removed shop_shop_cart from annotation {ACCEPT_DATA_LOSS} of Marketplace shop");
    test.until_logged(&log, &used, METADATA, "next loss").await;

    let with_data = json!({"spec": {"database": {"deletionPolicy": "Delete"}}});
    test.markets().patch(MARKET, &PatchParams::default(), &Patch::Merge(with_data)).await.unwrap();
    test.markets().delete(MARKET, &DeleteParams::default()).await.unwrap();
    let gone = async || test.markets().get_opt(MARKET).await.unwrap().is_none();
    test.until("the Marketplace is deleted", DELETION_MAX, gone).await;
    test.until_logged(&log, "deleted Deployment shop-cart", WORKLOAD, "is being deleted").await;
    test.until_logged(&log, "deleted Secret shop-signing", WORKLOAD, "deletionPolicy Delete").await;
    let removed = format!("removed finalizer {FINALIZER} of Marketplace shop");
    test.until_logged(&log, &removed, METADATA, "has ended").await;
    operator.stop().await;
}
