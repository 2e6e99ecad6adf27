//! The laws of the catalogue's stores on the fakes; `tests/postgres.rs` runs the same on a real database.

#[path = "support/laws.rs"]
mod laws;

use std::sync::Arc;

use agora_catalog::{
    fakes::InMemory,
    ports::{Products, Stock},
};
use agora_testkit::FixedClock;
use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

struct Fakes {
    stores: InMemory,
    clock: FixedClock,
}

#[async_trait]
impl laws::World for Fakes {
    fn products(&self) -> &dyn Products {
        &self.stores
    }

    fn stock(&self) -> &dyn Stock {
        &self.stores
    }

    async fn pass(&self, seconds: u32) {
        self.clock.advance(Duration::seconds(i64::from(seconds)));
    }
}

#[tokio::test]
async fn the_fakes_obey_the_laws() {
    let clock = FixedClock::at(OffsetDateTime::UNIX_EPOCH + Duration::days(20_000));
    laws::all_hold(&Fakes { stores: InMemory::new(Arc::new(clock.clone())), clock }).await;
}
