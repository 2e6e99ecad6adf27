//! Payments, refunds, the double-entry ledger and the simulated provider.
