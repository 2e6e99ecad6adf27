//! Keeps every message of every topic as compressed lines of JSON in a folder or a bucket, and reads them again.
//!
//! Contains places, lines and buffers. Must not depend on the meaning of an event.

mod archive;
mod buffers;
mod config;
mod place;
mod record;
mod records;
mod retention;
mod stored;
mod writer;

pub use archive::{Archive, Error};
pub use config::Config;
pub use record::Record;
pub use records::Records;
pub use writer::write;
