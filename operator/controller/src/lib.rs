//! The operator: one Marketplace in, a running shop out.

pub mod ports;
