//! What an order is and what may become of it: pure data and functions, no clock, no random source, no I/O.
//!
//! Knows the shared vocabulary and the facts that it publishes; must not know HTTP, SQL or any other service.

mod address;
mod command;
mod draft;
mod order;
mod payment;
mod record;
mod saga;
mod status;

pub use address::Address;
pub use command::{Command, Decision, Refused, State, decide};
pub use draft::{
    Basket, DRAFT_LINES_MAX, Draft, Method, PayWith, Product, Source, Token, Unpriced, Wanted, Wrong, price,
};
pub use order::{CartVersion, Line, Order, Standing, number};
pub use payment::{DECLINES_MAX, PaymentOutcome};
pub use record::{Entry, Record, rebuild};
pub use saga::{Hold, OwnPayment, Saga, Shortage};
pub use status::{EDGES, PAYMENT_EDGES, PaymentStatus, Status};
