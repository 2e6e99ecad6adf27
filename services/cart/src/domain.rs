//! Domain model of the cart: cart, view, quote and checkout. Pure: no HTTP, no SQL, no clock and no id generation.

mod cart;
mod contents;
mod product;
#[cfg(test)]
mod tests;

pub use self::{
    cart::{Cart, Checkout, CheckoutState, LINES_MAX, Line, Refused, RemovalReason, RemovedLine},
    contents::{Contents, Item, RemovedItem, View},
    product::{ProductCopy, QuoteResult, QuotedLine, QuotedVariant},
};
