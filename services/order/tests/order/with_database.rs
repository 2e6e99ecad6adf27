//! Tests on a real PostgreSQL, each in a database of its own; the other services are in memory.

mod blocked_users;
mod cached;
mod crashes;
mod crashing_store;
mod event_consumer;
mod expiry;
mod interrupted_requests;
mod limits;
mod paying;
mod placing;
mod query_plans;
mod races;
mod random_actions;
mod reading;
mod regressions;
mod rejections;
mod reports;
mod returns;
mod shipments;
mod shop;
mod status_changes;
mod store;
mod stored_json;
mod stored_orders;
mod verification;
