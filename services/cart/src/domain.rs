//! Domain model of the cart: cart, owner, merge, repricing, view, quote and checkout. Pure: no HTTP, no SQL, no clock and no
//! id generation.

mod account;
mod cart;
mod contents;
mod merge;
mod owner;
mod product;
mod repricing;
#[cfg(test)]
mod tests;

pub use self::{
    account::AccountEvent,
    cart::{Cart, Checkout, CheckoutState, LINES_MAX, Line, Refused, RemovalReason, RemovedLine},
    contents::{Contents, Item, RemovedItem, View},
    owner::{Owner, TokenDigest},
    product::{ProductCopy, QuoteResult, QuotedLine, QuotedVariant},
    repricing::RepricedLine,
};
