//! How much stock a user can hold without paying. No I/O.

/// Limits of a user's orders that are created or pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpaidLimits {
    /// Number of unpaid orders.
    pub orders: u32,
    /// Units in all lines of unpaid orders.
    pub units: u32,
}

/// The limit that a new order would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    #[error("a user can have at most {limit} unpaid orders")]
    Orders { limit: u32 },
    #[error("the unpaid orders of a user can hold at most {limit} units")]
    Units { limit: u32 },
}

impl UnpaidLimits {
    /// Checks a new order of `units` units beside `orders` unpaid ones with `held` units.
    pub fn check(&self, orders: i64, held: i64, units: i64) -> Result<(), LimitReached> {
        if orders >= i64::from(self.orders) {
            return Err(LimitReached::Orders { limit: self.orders });
        }
        if held + units > i64::from(self.units) {
            return Err(LimitReached::Units { limit: self.units });
        }
        Ok(())
    }
}
