//! `cargo xtask status`: processes of the local cluster, conditions of the marketplace, connection data. Changes
//! nothing.

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cluster::{self, processes};
use crate::environment::Paths;
use crate::target::Target;
use crate::up::{GATEWAY, MARKETPLACE, NAMESPACE, admin, conditions, get_json};

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Output {
    Text,
    Json,
}

pub fn status(paths: &Paths, output: Output) -> Result<()> {
    let target = Target::local(paths);
    if output == Output::Json {
        println!("{:#}", as_json(paths, &target)?);
        return Ok(());
    }
    if processes::names(paths).is_empty() {
        println!("the local cluster does not run; start it: cargo xtask up");
        return Ok(());
    }
    for name in processes::names(paths) {
        match processes::alive(paths, &name) {
            Some(pid) => println!("{name:<20} running, pid {pid}"),
            None => println!("{name:<20} not running; restart it: cargo xtask up; log: {}", paths.log(&name).display()),
        }
    }
    println!("\nexport KUBECONFIG={} PATH={}:$PATH", target.kubeconfig().display(), paths.bin.display());
    match get_json(&target, &["-n", NAMESPACE, "get", "mkt", MARKETPLACE]) {
        Ok(object) => println!("\nMarketplace {NAMESPACE}/{MARKETPLACE} at {GATEWAY}\n{}", conditions(&object)),
        Err(_) => println!("\nMarketplace {NAMESPACE}/{MARKETPLACE} does not exist; create it: cargo xtask up"),
    }
    Ok(())
}

fn as_json(paths: &Paths, target: &Target) -> Result<Value> {
    if !cluster::is_up(paths) {
        bail!("the local cluster does not run, or a process of it has ended; start it: cargo xtask up");
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
