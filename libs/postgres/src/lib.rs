//! A service's database: the pool whose login can be swapped under load, migrations, constraint names.
//!
//! Knows PostgreSQL and readiness; must not know any table but the one that lists migrations.

mod clear_text;
mod composite;
mod config;
mod connect;
mod db;
mod error;
mod migrate;
mod probe;
mod refusals;
mod replica;
mod session;

pub use clear_text::{is_clear_text, refuse_clear_text};
pub use config::{Address, Config, PoolPart};
pub use connect::{connect, open};
pub use db::Db;
pub use error::{Error, constraint, unavailable};
pub use migrate::migrate;
pub use replica::{ReadDb, ReplicaConfig, connect_reads};
pub use session::{Connection, Session, Tx};
