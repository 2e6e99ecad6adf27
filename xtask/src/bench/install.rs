//! Time from `kubectl apply` to Available for a second marketplace whose images are present. Deletes it afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::print;
use crate::command::{run, until};
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, apply, get_json, holds};

const NAME: &str = "bench";
const TIMEOUT: Duration = Duration::from_mins(3);

pub fn measure(target: &Target) -> Result<()> {
    let shop = get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]).context("reading the Marketplace")?;
    let object = second_marketplace(&shop);
    let started = Instant::now();
    apply(target, &object)?;
    let available = until(TIMEOUT, || {
        get_json(target, &["-n", NAMESPACE, "get", "mkt", NAME]).is_ok_and(|seen| holds(&seen, "Available"))
    });
    let took = started.elapsed();
    run(&mut target.kubectl(["-n", NAMESPACE, "delete", "mkt", NAME, "--timeout=120s"]))?;
    ensure!(available, "the Marketplace is not Available after {} s", TIMEOUT.as_secs());
    print("time from apply to Available", &format!("{:.1} s", took.as_secs_f64()), "45 s");
    Ok(())
}

/// A copy of the Marketplace under another name that deletes its databases and topics with it.
fn second_marketplace(shop: &Value) -> Value {
    let mut spec = shop["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("isolationKey");
        spec["database"]["deletionPolicy"] = json!("Delete");
        spec["kafka"]["deletionPolicy"] = json!("Delete");
    }
    json!({"apiVersion": shop["apiVersion"], "kind": shop["kind"], "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec})
}
