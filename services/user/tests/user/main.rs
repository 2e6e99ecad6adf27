//! Integration tests on a real PostgreSQL: every route over HTTP, and the stores' contracts.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "an unexpected value must fail the test")]

mod address_book;
mod control;
mod email_change;
mod erasure;
mod events;
mod export;
mod first_admin;
mod fixture;
mod guessing;
mod password_reset;
mod plans;
mod profiles;
mod registration;
mod revocations;
mod roles;
mod sessions;
mod staff;
mod stores;
