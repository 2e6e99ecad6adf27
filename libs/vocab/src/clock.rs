//! How time and fresh ids reach code that must stay a function of its arguments.

use std::fmt::Debug;

use time::OffsetDateTime;
use uuid::Uuid;

/// Reads the time. Leases, expiry and order of events use the database's clock instead: this one may be skewed.
pub trait Clock: Debug + Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// Generates unique ids.
pub trait Ids: Debug + Send + Sync {
    /// A fresh UUIDv7 (RFC 9562): ids made later sort later.
    fn next(&self) -> Uuid;
}
