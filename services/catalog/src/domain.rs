//! Domain model of the catalog: products, stock levels, holds and their valid changes. Pure: no HTTP, no SQL, no clock
//! and no id generation.

mod listing;
mod product;
mod stock;

pub use listing::{Cursor, CursorKey, Filter, Listing, ProductPage, Search, Sort, Start};
pub use product::{
    Change, Description, Details, Expected, IfMatch, ImageUrl, Label, Listed, Name, PRICE_AMOUNT_MAX, Patch, Price,
    PriceChange, Product, Sku, Stale,
};
pub use stock::{
    AdjustRefused, Adjustment, Allocation, HOLD_SECONDS_MAX, Hold, HoldState, LINES_MAX, Line, Lines, ReleaseAction,
    Reservation, Seconds, Shortage, StockLevel, StockLocation, Variant, allocate, release_action,
};

use agora_vocab::Invalid;

/// Parses text of at most `max` characters without control characters other than `allowed`. Trims surrounding
/// whitespace.
fn text(field: &'static str, text: &str, max: usize, allowed: &[char]) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > max {
        return Err(Invalid::new(field, format!("must be at most {max} characters")));
    }
    if text.chars().any(|c| c.is_control() && !allowed.contains(&c)) {
        return Err(Invalid::new(field, "must not hold control characters"));
    }
    Ok(text.to_owned())
}

/// Like [`text`], of at least one character and on one line.
fn line_of_text(field: &'static str, value: &str, max: usize) -> Result<String, Invalid> {
    let value = text(field, value, max, &[])?;
    if value.is_empty() { Err(Invalid::new(field, format!("must be from 1 to {max} characters"))) } else { Ok(value) }
}
