//! Attacks on a whole shop of real processes. The routes that are attacked are those that `agora_api` declares, so that a
//! new route is attacked without a change here. Each attack has one expected answer; each family prints how many got another
//! one: `cargo test -p agora --features db-tests --test attacks -- --nocapture`.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]

mod access;
mod canaries;
mod family;
mod graphql;
mod headers;
mod limits;
mod properties;
mod purchases;
#[path = "../whole_shop/shop.rs"]
mod shop;
mod sinks;
mod smuggling;
mod ssrf;
mod tokens;
mod world;

use family::Family;
use world::World;

// The receiver of spans answers while the test waits for a process to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gw7_no_attack_on_a_whole_shop_succeeds() {
    let world = World::open().await;
    let mut families: Vec<Family> = vec![
        tokens::attack(&world).await,
        access::of_users(&world).await,
        access::of_roles(&world).await,
        access::of_services(&world).await,
        properties::attack(&world).await,
        purchases::attack(&world).await,
        graphql::attack(&world).await,
        ssrf::attack(&world).await,
        headers::attack(&world).await,
        smuggling::attack(&world).await,
        limits::attack(&world).await,
    ];
    families.push(canaries::search(&world).await);
    for family in &families {
        println!("{family}");
    }
    let failures: Vec<&String> = families.iter().flat_map(|family| &family.failures).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
