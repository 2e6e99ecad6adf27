//! One cart a shopper, with prices as the catalogue has them now.
