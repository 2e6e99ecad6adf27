//! Domain model of the catalog: products, stock levels, holds and their valid changes. Pure: no HTTP, no SQL, no clock
//! and no id generation.

mod fields;
mod hold;
mod listing;
mod product;
mod promotion;
mod stock;
mod take_back;
mod term;
#[cfg(test)]
mod tests;
mod text;
mod variant;

pub use self::{
    fields::{Description, ImageUrl, Label, Name, PRICE_AMOUNT_MAX, Price, PriceChange, Sku},
    hold::{
        Allocation, HOLD_SECONDS_MAX, Hold, HoldState, LINES_MAX, Line, Lines, ReleaseAction, Reservation, Seconds,
        Shortage, allocate, release_action,
    },
    listing::{Cursor, CursorKey, Filter, Listing, ProductPage, Search, Sort, Start},
    product::{
        Change, Details, Expected, Exported, ExportedLevel, IfMatch, Listed, Patch, Product, Quoted, QuotedVariant,
        Stale,
    },
    promotion::{Campaign, PROMOTED_MAX, ended as promotion_ended},
    stock::{AdjustRefused, Adjustment, StockLevel, StockLocation},
    take_back::distribute,
    term::{Priority, Taxonomy, Term, UsedBy, Warehouse, WarehouseChange, WarehouseDetails},
    variant::{Options, ProductVariant, VARIANTS_MAX, VariantChange, VariantDetails},
};
