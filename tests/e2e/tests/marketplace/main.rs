//! The shop on a real cluster: one Marketplace that is installed, bought from, damaged and deleted, in this order.
//!
//! Not the usual test harness: scenarios build on each other and share the cluster. Run by `cargo xtask test e2e`; an
//! argument chooses the scenarios whose name contains it (those before it that it needs are up to you).

mod damage;
mod deletion;
mod install;
mod isolation;
mod outage;
mod production;
mod readme;
mod scale;
mod secrecy;
mod spec;

use std::{process::ExitCode, time::Instant};

use agora_e2e::{report, world::World};

/// A scenario of that name.
macro_rules! scenarios {
    ($world:expr, $chosen:expr, $($name:path),* $(,)?) => {{
        let mut failed = Vec::new();
        $(
            let name = stringify!($name).rsplit("::").next().unwrap_or_default().trim().replace('_', " ");
            if chosen(&name, $chosen) && !scenario(&name, $world, $name($world)).await {
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
    println!("preparing namespaces, Secret, resource definition and operator");
    let world = match World::prepare().await {
        Ok(world) => world,
        Err(error) => {
            println!("FAILED: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let failed = run(&world, &wanted).await;
    if !failed.is_empty() {
        println!(
            "\n{} scenario(s) failed: {}; what they left is in namespace {}",
            failed.len(),
            failed.join(", "),
            world.cluster.namespace
        );
        return ExitCode::FAILURE;
    }
    match world.leave().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED at leaving: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(world: &World, wanted: &[String]) -> Vec<String> {
    scenarios!(
        world,
        wanted,
        install::a_short_resource_becomes_a_running_shop,
        install::an_order_is_bought_through_the_gateway,
        readme::the_lines_of_the_readme_buy_something,
        install::a_crowd_shops_and_every_invariant_holds,
        production::the_production_sample_runs_over_verified_tls,
        isolation::two_shops_on_one_broker_and_server_never_see_each_other,
        damage::deleted_children_of_every_kind_come_back,
        damage::edited_children_of_every_kind_are_put_right,
        scale::load_scales_a_service_and_a_hundred_reconciles_leave_it_so,
        spec::a_raised_minimum_of_replicas_takes_effect,
        spec::a_changed_setting_rolls_only_its_service,
        damage::killed_pods_lose_no_order,
        outage::a_broker_that_goes_quiet_stops_no_order,
        outage::a_broker_that_is_away_for_a_minute_stops_no_order_and_no_repair,
        outage::redis_that_is_away_stops_no_order,
        outage::a_database_server_that_crashes_loses_no_order,
        spec::a_new_image_under_load_fails_no_request,
        secrecy::no_secret_is_told_anywhere,
        deletion::retained_data_is_taken_up_again,
        deletion::deleted_with_its_data_leaves_nothing,
    )
}

fn chosen(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|word| name.contains(&word.replace('_', " ")))
}

async fn scenario(name: &str, world: &World, work: impl Future<Output = anyhow::Result<()>>) -> bool {
    println!("\n=== {name}");
    let begun = Instant::now();
    match work.await {
        Ok(()) => {
            println!("    passed in {:.1} s", begun.elapsed().as_secs_f64());
            true
        }
        Err(error) => {
            println!("    FAILED after {:.1} s: {error:#}", begun.elapsed().as_secs_f64());
            report::dump(world).await;
            false
        }
    }
}
