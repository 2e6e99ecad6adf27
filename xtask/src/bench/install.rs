//! From `kubectl apply` to Available, for one more marketplace beside the shop, with its images present.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::print;
use crate::command::{run, until};
use crate::target::Target;
use crate::up::{MARKETPLACE, NAMESPACE, apply, get_json, holds};

const NAME: &str = "bench";
const PATIENCE: Duration = Duration::from_mins(3);

pub fn measure(target: &Target) -> Result<()> {
    let shop =
        get_json(target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]).context("reading the shop's resource")?;
    let object = beside(&shop);
    let begun = Instant::now();
    apply(target, &object)?;
    let available = until(PATIENCE, || {
        get_json(target, &["-n", NAMESPACE, "get", "mkt", NAME]).is_ok_and(|seen| holds(&seen, "Available"))
    });
    let took = begun.elapsed();
    run(&mut target.kubectl(["-n", NAMESPACE, "delete", "mkt", NAME, "--timeout=120s"]))?;
    ensure!(available, "not Available after {} s", PATIENCE.as_secs());
    print("applied to Available", &format!("{:.1} s", took.as_secs_f64()), "45 s");
    Ok(())
}

/// The shop's spec under another name; all that it makes goes when it is deleted.
fn beside(shop: &Value) -> Value {
    let mut spec = shop["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("isolationKey");
        spec["database"]["deletionPolicy"] = json!("Delete");
        spec["kafka"]["deletionPolicy"] = json!("Delete");
    }
    json!({"apiVersion": shop["apiVersion"], "kind": shop["kind"], "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec})
}
