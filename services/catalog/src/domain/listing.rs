//! How products are listed: what to show, in which order, from where. Knows no SQL.

use agora_vocab::{Invalid, PageSize, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Label, Listed, line_of_text};

const SEARCH_CHARACTERS_MAX: usize = 100;

/// A request for one page of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which products.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// From where.
    pub start: Start,
    /// How many.
    pub limit: PageSize,
}

/// Which products: those that meet everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of exactly this category.
    pub category: Option<Label>,
    /// With these words in the name or the description, whatever the case.
    pub search: Option<Search>,
}

/// What to look for in names and descriptions: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search(String);

impl Search {
    /// Takes 1 to 100 characters on one line.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        line_of_text("q", text, SEARCH_CHARACTERS_MAX).map(Self)
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The order of a list; equal ones by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// By name, whatever the case.
    #[serde(rename = "name")]
    Name,
    /// Cheapest first.
    #[serde(rename = "price")]
    Price,
    /// Dearest first.
    #[serde(rename = "-price")]
    PriceDown,
    /// Oldest first.
    #[serde(rename = "createdAt")]
    Created,
    /// Newest first: the order when none is asked for.
    #[default]
    #[serde(rename = "-createdAt")]
    CreatedDown,
}

impl Sort {
    /// Takes `name`, `price`, `-price`, `createdAt`, `-createdAt`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "name" => Ok(Self::Name),
            "price" => Ok(Self::Price),
            "-price" => Ok(Self::PriceDown),
            "createdAt" => Ok(Self::Created),
            "-createdAt" => Ok(Self::CreatedDown),
            _ => Err(Invalid::new("sort", "must be one of name, price, -price, createdAt, -createdAt")),
        }
    }
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the beginning.
    First,
    /// After so many products; the page then tells how many there are in all.
    Offset(u64),
    /// After the last product of the page before.
    After(Cursor),
}

/// The last product of a page: what it was sorted by, and its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    #[serde(rename = "s")]
    sort: Sort,
    /// What it was sorted by.
    #[serde(rename = "k")]
    pub key: CursorKey,
    /// The product.
    #[serde(rename = "i")]
    pub id: ProductId,
}

/// What a product was sorted by.
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
    /// The place after `last` in a list of that order.
    pub fn after(last: &Listed, sort: Sort) -> Self {
        let product = &last.product;
        let key = match sort {
            Sort::Name => CursorKey::Name(product.details.name.sort_key()),
            Sort::Price | Sort::PriceDown => CursorKey::Price(product.details.price.money().amount),
            Sort::Created | Sort::CreatedDown => CursorKey::Created(product.created_at),
        };
        Self { sort, key, id: product.id }
    }

    /// Takes a cursor that [`Cursor::after`] made for a list of the same order.
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
pub struct Found {
    /// The products, in order.
    pub items: Vec<Listed>,
    /// How many all pages hold, where the page was asked for by offset.
    pub total: Option<u64>,
    /// The next page's start; absent on the last page.
    pub next: Option<Cursor>,
}

impl Found {
    /// Cuts what was read, one more than a page holds, to the page.
    pub fn cut(mut items: Vec<Listed>, listing: &Listing, total: Option<u64>) -> Self {
        let limit = usize::from(listing.limit.get());
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| Cursor::after(last, listing.sort));
        Self { items, total, next }
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
    fn a_cursor_is_good_for_the_order_that_it_was_made_in_and_no_other() {
        let read: Cursor = serde_json::from_str(&serde_json::to_string(&cursor()).unwrap()).unwrap();
        assert_eq!(read.checked(Sort::PriceDown), Ok(cursor()));
        assert!(cursor().checked(Sort::Price).is_err());
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        let name = Cursor { key: CursorKey::Name("x\0".into()), sort: Sort::Name, ..cursor() };
        let mixed = Cursor { key: CursorKey::Price(1), sort: Sort::Name, ..cursor() };
        for forged in [name, mixed] {
            assert_eq!(forged.checked(Sort::Name).unwrap_err().field, "cursor");
        }
    }
}
