//! Listing of products: filter, sort order and pagination. Independent of SQL and HTTP.

use std::collections::{BTreeMap, BTreeSet};

use agora_vocab::{Invalid, PageSize, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    fields::Label,
    product::Listed,
    term::{Taxonomy, Term},
    text::line_of_text,
};

const SEARCH_CHARACTERS_MAX: usize = 100;

/// A request for one page of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Conditions that listed products meet.
    pub filter: Filter,
    pub sort: Sort,
    /// Start of the page.
    pub start: Start,
    /// Maximum number of products on the page.
    pub limit: PageSize,
    /// Taxonomies whose terms the page contains with its products.
    pub expand: BTreeSet<Taxonomy>,
}

/// Conditions of a listing; a product must meet all that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub category: Option<Label>,
    /// Text contained in the name or the description, case-insensitive.
    pub search: Option<Search>,
}

/// A search text for names and descriptions: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search(String);

impl Search {
    /// Accepts 1 to 100 characters on one line.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        line_of_text("q", text, SEARCH_CHARACTERS_MAX).map(Self)
    }

    /// The search text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Sort order of a list; ties are sorted by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// By name, case-insensitive.
    #[serde(rename = "name")]
    Name,
    /// Lowest price first.
    #[serde(rename = "price")]
    Price,
    /// Highest price first.
    #[serde(rename = "-price")]
    PriceDown,
    #[serde(rename = "createdAt")]
    Created,
    /// Newest first: the default.
    #[default]
    #[serde(rename = "-createdAt")]
    CreatedDown,
}

impl Sort {
    const ALL: [Self; 5] = [Self::Name, Self::Price, Self::PriceDown, Self::Created, Self::CreatedDown];

    /// Accepts `name`, `price`, `-price`, `createdAt`, `-createdAt`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|sort| sort.as_str() == text);
        known.ok_or(Invalid::new("sort", "must be one of name, price, -price, createdAt, -createdAt"))
    }

    /// The text that [`Sort::parse`] accepts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Price => "price",
            Self::PriceDown => "-price",
            Self::Created => "createdAt",
            Self::CreatedDown => "-createdAt",
        }
    }
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first page.
    First,
    /// Skips this many products; the page then contains the total.
    Offset(u64),
    /// After the last product of the previous page.
    After(Cursor),
}

/// Position of the last product of a page: its sort key and its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    #[serde(rename = "s")]
    sort: Sort,
    /// The sort key of the product.
    #[serde(rename = "k")]
    pub key: CursorKey,
    /// The id of the product.
    #[serde(rename = "i")]
    pub id: ProductId,
}

/// Sort key of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CursorKey {
    /// The name's sort key.
    #[serde(rename = "n")]
    Name(String),
    /// The price in minor units.
    #[serde(rename = "p")]
    Price(i64),
    /// The time of its creation.
    #[serde(rename = "t", with = "time::serde::rfc3339")]
    Created(OffsetDateTime),
}

impl Cursor {
    /// Creates the cursor that continues after `last`.
    pub fn after(last: &Listed, sort: Sort) -> Self {
        let product = &last.product;
        let key = match sort {
            Sort::Name => CursorKey::Name(product.details.name.sort_key()),
            Sort::Price | Sort::PriceDown => CursorKey::Price(product.details.price.money().amount),
            Sort::Created | Sort::CreatedDown => CursorKey::Created(product.created_at),
        };
        Self { sort, key, id: product.id }
    }

    /// Returns the cursor if it was created for the same sort order; otherwise an error.
    pub fn checked(self, sort: Sort) -> Result<Self, Invalid> {
        let fits = match (&self.key, sort) {
            (CursorKey::Name(name), Sort::Name) => !name.contains(char::is_control),
            (CursorKey::Price(_), Sort::Price | Sort::PriceDown)
            | (CursorKey::Created(_), Sort::Created | Sort::CreatedDown) => true,
            _ => false,
        };
        if self.sort == sort && fits {
            Ok(self)
        } else {
            Err(Invalid::new("cursor", "must be the nextCursor of a page of the same order"))
        }
    }
}

/// A page of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductPage {
    /// The products in the requested order.
    pub items: Vec<Listed>,
    /// Number of products on all pages; set only for a page requested by offset.
    pub total: Option<u64>,
    /// Start of the next page; `None` on the last page.
    pub next: Option<Cursor>,
    /// The terms of each product, of the requested taxonomies.
    pub terms: BTreeMap<ProductId, Vec<Term>>,
}

impl ProductPage {
    /// Builds a page from rows that were read with a limit of one more than the page size.
    pub fn cut(mut rows: Vec<(Listed, Vec<Term>)>, listing: &Listing, total: Option<u64>) -> Self {
        let limit = usize::from(listing.limit.get());
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut page = Self { items: Vec::with_capacity(rows.len()), total, next: None, terms: BTreeMap::new() };
        for (listed, mut terms) in rows {
            terms.retain(|term| listing.expand.contains(&term.taxonomy));
            if !terms.is_empty() {
                page.terms.insert(listed.product.id, terms);
            }
            page.items.push(listed);
        }
        page.next = page.items.last().filter(|_| more).map(|last| Cursor::after(last, listing.sort));
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        let id = ProductId::new(uuid::Uuid::from_u128(7));
        Cursor { sort: Sort::PriceDown, key: CursorKey::Price(1999), id }
    }

    #[test]
    fn a_cursor_is_valid_for_its_own_sort_order_only() {
        let read: Cursor = serde_json::from_str(&serde_json::to_string(&cursor()).unwrap()).unwrap();
        assert_eq!(read.checked(Sort::PriceDown), Ok(cursor()));
        assert!(cursor().checked(Sort::Price).is_err());
    }

    #[test]
    fn an_invalid_cursor_is_rejected() {
        let name = Cursor { key: CursorKey::Name("x\0".into()), sort: Sort::Name, ..cursor() };
        let mixed = Cursor { key: CursorKey::Price(1), sort: Sort::Name, ..cursor() };
        for forged in [name, mixed] {
            assert_eq!(forged.checked(Sort::Name).unwrap_err().field, "cursor");
        }
    }
}
