//! Integration tests of the cart service on a real PostgreSQL, with a fake catalog.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod cached;
mod carts;
mod checkouts;
mod concurrency;
mod erasure;
mod events;
mod fake_catalog;
mod fixture;
mod guest_creation;
mod guests;
mod internal;
mod merge;
mod migration;
mod plans;
mod product_copies;
mod public;
mod removed_lines;
mod repriced_lines;
mod shop;
mod view;
