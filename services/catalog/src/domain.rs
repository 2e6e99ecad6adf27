//! Domain model of the catalog: products, stock levels, holds and their valid changes. Pure: no HTTP, no SQL, no clock
//! and no id generation.

mod fields;
mod hold;
mod import;
mod listing;
mod picture;
mod prices;
mod product;
mod promotion;
mod stock;
mod take_back;
mod term;
#[cfg(test)]
mod tests;
mod text;
mod translation;
mod variant;

pub use self::{
    fields::{Description, ImageUrl, Label, Name, PRICE_AMOUNT_MAX, Price, PriceChange, Sku},
    hold::{
        Allocation, HOLD_SECONDS_MAX, Hold, HoldState, LINES_MAX, Line, Lines, ReleaseAction, Reservation, Seconds,
        Shortage, allocate, release_action,
    },
    import::{
        IMPORT_BATCH_LINES, IMPORT_FAULTS_MAX, IMPORT_LINES_MAX, ImportCheckpoint, ImportFault, ImportLine,
        ImportMatches, ImportPlan, ImportProgress, ImportState, ImportTally, ImportedProduct, plan_import,
    },
    listing::{Cursor, CursorKey, Filter, Listing, ProductPage, Search, Sort, Start},
    picture::draw,
    prices::{PRICES_MAX, Prices},
    product::{
        Change, Details, Expected, Exported, ExportedLevel, IfMatch, Listed, Product, Quoted, QuotedVariant, Stale,
    },
    promotion::{Campaign, PROMOTED_MAX, ended as promotion_ended},
    stock::{AdjustRefused, Adjustment, StockLevel, StockLocation},
    take_back::distribute,
    term::{Priority, Taxonomy, Term, UsedBy, Warehouse, WarehouseChange, WarehouseDetails},
    translation::{
        Language, Languages, TRANSLATIONS_MAX, Translation, TranslationChange, Translations, TranslationsChange,
    },
    variant::{Options, ProductVariant, VARIANTS_MAX, VariantChange, VariantDetails, VariantPrices},
};
