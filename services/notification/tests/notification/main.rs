//! Integration tests of the notification service on a real PostgreSQL and Kafka, with a mail server that misbehaves on request.
#![cfg(feature = "db-tests")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod broker;
mod campaigns;
mod dead_letters;
mod erasure;
mod events;
mod lists;
mod mails;
mod once;
mod plans;
mod receiver;
mod shop;
mod tracking;
mod webhook_admin;
mod webhooks;
