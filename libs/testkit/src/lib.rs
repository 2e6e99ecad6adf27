//! For tests alone: a throwaway PostgreSQL, Kafka and Redis, a payment provider, an identity provider, a fixed clock, an
//! application under test, keys and tokens.
//!
//! Knows how to start servers and drive routers; must not know any service. Everything here panics with a remedy
//! where it cannot go on: a test has no better answer.
#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test that cannot be set up ends there")]

mod app;
mod cable;
mod contract;
mod events;
mod generated;
mod kafka;
mod keys;
mod mail;
mod oidc;
mod plans;
mod postgres;
mod redis;
mod server;
mod stripe;
mod time;

pub use agora_mailbox::{Behaviour, MailServer, ReceivedMail};
pub use app::{Request, TestApp, TestResponse, refused};
pub use cable::Cable;
pub use events::{envelope, message_id};
pub use generated::assert_generated;
pub use kafka::{KafkaServer, configure_topic, kafka, place_topic};
pub use keys::{TestKeys, internal_token};
pub use mail::mail_server;
pub use oidc::{OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_REDIRECT_URL, OidcServer};
pub use plans::{QueryPlanner, sql_files, whole_tables};
pub use postgres::{PostgresServer, TestDatabase, migrated_postgres, postgres, postgres15};
pub use redis::{RedisServer, redis};
pub use server::{free_port, location};
pub use stripe::{STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET, StripeFault, StripeServer, sign};
pub use time::{FixedClock, SequentialIds};
