//! In-memory implementations of all ports, for tests. Each passes the same contract tests as the real
//! implementation. Must not depend on PostgreSQL or HTTP.

mod orders;
mod services;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering as Atomic},
};

use agora_chassis::BoxError;

pub use orders::InMemoryOrders;
pub use services::{InMemoryAddresses, InMemoryCarts, InMemoryCatalog, InMemoryPayments};

use crate::ports::CallFailed;

/// Simulates a crash of the process at a chosen port call: that call and every later one fail without effect.
///
/// Each port call passes the failpoint twice: before its effect and after it.
#[derive(Clone, Debug)]
pub struct Failpoint(Arc<AtomicI64>);

/// The simulated process has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process has ended")]
pub struct Crashed;

impl Failpoint {
    /// A failpoint that never triggers.
    pub fn never() -> Self {
        Self::after(i64::MAX)
    }

    /// A failpoint that triggers at pass number `passes`, counted from 1.
    pub fn after(passes: i64) -> Self {
        Self(Arc::new(AtomicI64::new(passes)))
    }

    /// Counts one pass; returns an error once the failpoint has triggered.
    pub fn pass(&self) -> Result<(), Crashed> {
        if self.0.fetch_sub(1, Atomic::SeqCst) > 1 { Ok(()) } else { Err(Crashed) }
    }

    /// Whether the failpoint has triggered.
    pub fn crashed(&self) -> bool {
        self.0.load(Atomic::SeqCst) <= 0
    }
}

impl From<Crashed> for CallFailed {
    fn from(crashed: Crashed) -> Self {
        Self { callee: "fake", source: BoxError::from(crashed) }
    }
}
