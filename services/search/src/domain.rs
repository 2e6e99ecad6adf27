//! Domain model of the search: words, indexed documents, queries, corrections, filters and rebuilds. Pure: no HTTP, no SQL, no
//! clock.

mod document;
mod product;
mod progress;
mod query;
mod search;
mod spelling;
mod words;

pub use self::{
    document::{Document, Term},
    product::{Deleted, Product, ProductChange, StockChange},
    progress::Progress,
    query::{MatchQuery, QueryText},
    search::{
        Completion, CompletionKind, Cursor, Facet, FacetKind, Filter, Found, Matches, PRICE_BOUNDS, Search, Sort,
        SortKey, Start, price_range,
    },
    spelling::{CheckedWord, Correction, correct},
    words::{trigram_key, words},
};
