//! Webhooks: endpoints, secrets, deliveries and their queue.

mod deliveries;
mod endpoints;
mod queue;
mod rows;
mod secrets;
