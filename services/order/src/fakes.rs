//! In-memory stand-ins of everything outside the process, for tests. Each keeps the promises of its port, which the same
//! laws check on the real ones.

mod neighbours;
mod orders;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering as Atomic},
};

use agora_chassis::BoxError;

pub use neighbours::{InMemoryAddresses, InMemoryCarts, InMemoryCatalog, InMemoryPayments};
pub use orders::InMemoryOrders;

use crate::ports::CallFailed;

/// Ends a process at a chosen point: the port call that burns it down, and every later one, does nothing and fails.
///
/// Each call of a port passes it twice: before its effect and after it.
#[derive(Clone, Debug)]
pub struct Fuse(Arc<AtomicI64>);

/// The process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process has ended")]
pub struct Burnt;

impl Fuse {
    /// One that never burns down.
    pub fn endless() -> Self {
        Self::after(i64::MAX)
    }

    /// One that burns down when it is passed for the `passes`th time, from 1.
    pub fn after(passes: i64) -> Self {
        Self(Arc::new(AtomicI64::new(passes)))
    }

    /// Passes it.
    pub fn pass(&self) -> Result<(), Burnt> {
        if self.0.fetch_sub(1, Atomic::SeqCst) > 1 { Ok(()) } else { Err(Burnt) }
    }

    /// Whether it has burnt down.
    pub fn burnt(&self) -> bool {
        self.0.load(Atomic::SeqCst) <= 0
    }
}

impl From<Burnt> for CallFailed {
    fn from(burnt: Burnt) -> Self {
        Self { callee: "fake", source: BoxError::from(burnt) }
    }
}
