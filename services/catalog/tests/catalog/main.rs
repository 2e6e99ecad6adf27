//! Integration tests of the catalog service on a real PostgreSQL.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod anonymous_reads;
mod cached;
mod concurrency;
mod events;
mod fixture;
mod holds;
mod imports;
mod internal;
mod inventory;
mod model;
mod pictures;
mod plans;
mod prices;
mod products;
mod promotions;
mod public;
mod replaceable;
mod shop;
mod stock;
mod take_back;
mod terms;
mod translations;
mod variants;
mod warehouses;
