//! Products and stock as the catalog's events report them.

use agora_vocab::{Money, ProductId, WarehouseId};

use super::{Revised, Revision};

/// A product by its newest event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductCopy {
    pub product: ProductId,
    pub revision: Revision,
    pub state: ProductState,
}

/// Whether a product is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductState {
    Sold {
        name: String,
        category: Option<String>,
        image_url: Option<String>,
        price: Money,
    },
    /// A deleted product keeps its last name and price, for those who bought it.
    Deleted,
}

/// Stock of a product in one warehouse by its newest event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockLevel {
    pub key: StockKey,
    pub revision: Revision,
    /// Units on hand that no order holds.
    pub available: i64,
}

/// What a stock level counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StockKey {
    pub product: ProductId,
    /// The variant; empty for a product without variants.
    pub variant: String,
    pub warehouse: WarehouseId,
}

impl Revised for ProductCopy {
    type Key = ProductId;

    fn key(&self) -> ProductId {
        self.product
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}

impl Revised for StockLevel {
    type Key = StockKey;

    fn key(&self) -> StockKey {
        self.key.clone()
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}
