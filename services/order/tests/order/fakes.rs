//! In-memory cart, catalog, payment and user services. As in the real ones, a cancellation wins over a late request.
//! Must not depend on PostgreSQL or HTTP.

mod addresses;
mod carts;
mod catalog;
mod payments;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use agora_order::ports::CallFailed;

pub use self::{
    addresses::InMemoryAddresses, carts::InMemoryCarts, catalog::InMemoryCatalog, payments::InMemoryPayments,
};

/// The services that orders call.
#[derive(Clone)]
pub struct FakeServices {
    pub catalog: InMemoryCatalog,
    pub carts: InMemoryCarts,
    pub payments: InMemoryPayments,
    pub addresses: InMemoryAddresses,
}

impl FakeServices {
    pub fn new() -> Self {
        Self {
            catalog: InMemoryCatalog::new(),
            carts: InMemoryCarts::new(),
            payments: InMemoryPayments::new(),
            addresses: InMemoryAddresses::default(),
        }
    }

    /// The same services, called by a process that crashes at `failpoint`.
    pub fn called_until(&self, failpoint: &Failpoint) -> Self {
        Self {
            catalog: self.catalog.called_until(failpoint),
            carts: self.carts.called_until(failpoint),
            payments: self.payments.called_until(failpoint),
            addresses: self.addresses.clone(),
        }
    }
}

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
        if self.0.fetch_sub(1, Ordering::SeqCst) > 1 { Ok(()) } else { Err(Crashed) }
    }

    /// Whether the failpoint has triggered.
    pub fn crashed(&self) -> bool {
        self.0.load(Ordering::SeqCst) <= 0
    }
}

impl From<Crashed> for CallFailed {
    fn from(crashed: Crashed) -> Self {
        Self { callee: "fake", source: Box::new(crashed) }
    }
}

fn lock<T>(inner: &Mutex<T>) -> MutexGuard<'_, T> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
