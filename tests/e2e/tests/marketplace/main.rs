//! End-to-end tests on a cluster: one Marketplace is installed, used, damaged and deleted, in this order.
//!
//! Scenarios build on each other and share the cluster, so this is not the default test harness. Run with `cargo xtask
//! test e2e`. An argument selects the scenarios whose name contains it; scenarios that these depend on must be selected
//! too.

mod damage;
mod data;
mod deletion;
mod install;
mod isolation;
mod outage;
mod production;
mod readme;
mod scale;
mod secrecy;
mod spec;
mod story;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use agora_e2e::{report, world::World};
use anyhow::Context as _;

/// Time limit of one scenario, of the preparation and of the clean-up: for work that waits for ever, not for slow work.
const SCENARIO_TIME_MAX: Duration = Duration::from_mins(20);

/// Runs the selected scenarios in order and returns the names of those that failed.
macro_rules! scenarios {
    ($world:expr, $selected:expr, $($name:path),* $(,)?) => {{
        let mut failed = Vec::new();
        $(
            let name = stringify!($name).rsplit("::").next().unwrap_or_default().trim().replace('_', " ");
            if selected(&name, $selected) && !scenario(&name, $world, Box::pin($name($world))).await {
                failed.push(name);
            }
        )*
        failed
    }};
}

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word.contains(char::is_alphabetic)).collect();
    let wanted: Vec<String> = wanted.into_iter().filter(|word| !word.starts_with('-')).collect();
    println!("creating namespaces, Secret, CRD and operator");
    let world = match within_limit(Box::pin(World::prepare())).await {
        Ok(world) => world,
        Err(error) => {
            println!("FAILED: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let failed = run(&world, &wanted).await;
    if !failed.is_empty() {
        println!(
            "\n{} scenario(s) failed: {}; their objects remain in namespace {}",
            failed.len(),
            failed.join(", "),
            world.cluster.namespace
        );
        return ExitCode::FAILURE;
    }
    match within_limit(Box::pin(world.tear_down())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED to delete Marketplace and namespaces: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(world: &World, wanted: &[String]) -> Vec<String> {
    scenarios!(
        world,
        wanted,
        install::the_minimal_sample_becomes_a_running_shop,
        install::an_order_is_paid_through_the_gateway,
        story::te2_a_purchase_is_paid_mailed_shipped_in_two_parcels_and_partly_refunded,
        readme::the_readme_commands_place_a_paid_order,
        install::load_violates_no_invariant,
        production::the_production_sample_runs_over_verified_tls,
        damage::deleted_and_edited_budgets_and_ingresses_are_restored,
        isolation::two_marketplaces_on_one_broker_and_server_are_isolated,
        damage::deleted_children_of_every_kind_are_recreated,
        damage::edited_children_of_every_kind_are_repaired,
        scale::da10_load_scales_a_service_and_reconciles_keep_its_replicas,
        spec::a_raised_minimum_of_replicas_takes_effect,
        spec::a_changed_setting_rolls_only_its_service,
        damage::killed_pods_lose_no_order,
        outage::an_unresponsive_broker_stops_no_order,
        outage::a_broker_outage_of_a_minute_stops_no_order_and_no_repair,
        outage::a_redis_outage_stops_no_order,
        outage::a_database_server_crash_loses_no_order,
        spec::a_new_image_under_load_fails_no_request,
        data::lost_data_is_reported_and_not_created_again,
        secrecy::no_secret_appears_in_objects_logs_or_files,
        deletion::a_recreated_marketplace_adopts_retained_data,
        deletion::deletion_with_data_leaves_nothing,
        data::the_deletion_of_a_namespace_ends_and_keeps_the_data,
    )
}

/// Ends the work with an error at the time limit.
async fn within_limit<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(SCENARIO_TIME_MAX, work).await;
    done.with_context(|| format!("not done after {} s", SCENARIO_TIME_MAX.as_secs()))?
}

fn selected(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|word| name.contains(&word.replace('_', " ")))
}

async fn scenario(name: &str, world: &World, work: impl Future<Output = anyhow::Result<()>>) -> bool {
    println!("\n=== {name}");
    let started = Instant::now();
    match within_limit(work).await {
        Ok(()) => {
            println!("    passed in {:.1} s", started.elapsed().as_secs_f64());
            true
        }
        Err(error) => {
            println!("    FAILED after {:.1} s: {error:#}", started.elapsed().as_secs_f64());
            report::dump(world).await;
            false
        }
    }
}
