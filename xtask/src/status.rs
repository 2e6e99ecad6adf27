//! What runs here and how to reach it.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cluster::{self, processes};
use crate::environment::Places;
use crate::target::Target;
use crate::up::{GATEWAY, MARKETPLACE, NAMESPACE, admin, conditions, get_json};

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Output {
    Text,
    Json,
}

pub fn status(places: &Places, output: Output) -> Result<()> {
    let target = Target::local(places);
    if output == Output::Json {
        println!("{:#}", as_json(places, &target)?);
        return Ok(());
    }
    if processes::names(places).is_empty() {
        println!("no local cluster here; start one: cargo xtask up");
        return Ok(());
    }
    for name in processes::names(places) {
        match processes::alive(places, &name) {
            Some(pid) => println!("{name:<20} running, pid {pid}"),
            None => println!("{name:<20} ended; repair: cargo xtask up; log: {}", places.log(&name).display()),
        }
    }
    println!("\nexport KUBECONFIG={} PATH={}:$PATH", target.kubeconfig().display(), places.bin.display());
    match get_json(&target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]) {
        Ok(object) => println!("\nmarketplace {NAMESPACE}/{MARKETPLACE} at {GATEWAY}\n{}", conditions(&object)),
        Err(_) => println!("\nno marketplace {NAMESPACE}/{MARKETPLACE}; make one: cargo xtask up"),
    }
    Ok(())
}

fn as_json(places: &Places, target: &Target) -> Result<Value> {
    if !cluster::is_up(places) {
        bail!("the local cluster is not up, or not whole; start or repair it: cargo xtask up");
    }
    let admin = admin(target)?;
    Ok(json!({
        "gateway": GATEWAY,
        "kubeconfig": target.kubeconfig(),
        "namespace": NAMESPACE,
        "marketplace": MARKETPLACE,
        "admin": {"email": admin.email, "password": admin.password},
    }))
}
