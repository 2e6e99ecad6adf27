//! A search: query, filters, order and page, and what it finds. Independent of SQL and HTTP.

use agora_vocab::{AMOUNT_MAX, Invalid, PageSize, ProductId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{product::Product, query::QueryText};

const LABEL_CHARACTERS_MAX: usize = 100;

/// Lower bounds of the price ranges after the first one, which begins at 0; in minor units of any currency.
pub const PRICE_BOUNDS: [i64; 9] = [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// A request for one page of products.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// None: all products.
    pub text: Option<QueryText>,
    pub filter: Filter,
    pub sort: Sort,
    /// Start of the page.
    pub start: Start,
    /// Maximum number of products on the page.
    pub limit: PageSize,
    /// Whether to count the values of filters.
    pub facets: bool,
}

/// Conditions that a product must meet, all that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    pub category: Option<String>,
    pub brand: Option<String>,
    /// Lowest price in minor units.
    pub price_min: Option<i64>,
    /// Highest price in minor units.
    pub price_max: Option<i64>,
    /// Whether units can be ordered.
    pub in_stock: bool,
}

impl Filter {
    /// Accepts 1 to 100 characters; errors name `field`.
    pub fn parse_label(field: &'static str, text: &str) -> Result<String, Invalid> {
        let text = text.trim();
        let fits = (1..=LABEL_CHARACTERS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits {
            Ok(text.to_owned())
        } else {
            Err(Invalid::new(field, format!("must be from 1 to {LABEL_CHARACTERS_MAX} characters on one line")))
        }
    }

    /// Accepts a number of minor units from 0; errors name `field`.
    pub fn parse_price(field: &'static str, text: &str) -> Result<i64, Invalid> {
        let amount: Option<i64> = text.parse().ok();
        amount
            .filter(|amount| (0..=AMOUNT_MAX).contains(amount))
            .ok_or_else(|| Invalid::new(field, "must be a whole number of minor units, such as cents, from 0"))
    }

    /// Accepts `true` and `false`.
    pub fn parse_in_stock(text: &str) -> Result<bool, Invalid> {
        text.parse().map_err(|_| Invalid::new("inStock", "must be true or false"))
    }
}

/// Order of the products; equal ones are sorted by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// The best match first: the default of a search with a text.
    #[serde(rename = "relevance")]
    Relevance,
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
    /// Newest first: the default without a text.
    #[serde(rename = "-createdAt")]
    CreatedDown,
}

impl Sort {
    /// Accepts the names of the API. `relevance` needs a text.
    pub fn parse(name: &str, has_text: bool) -> Result<Self, Invalid> {
        match name {
            "relevance" if has_text => Ok(Self::Relevance),
            "relevance" => Err(Invalid::new("sort", "can be relevance only with q")),
            "name" => Ok(Self::Name),
            "price" => Ok(Self::Price),
            "-price" => Ok(Self::PriceDown),
            "createdAt" => Ok(Self::Created),
            "-createdAt" => Ok(Self::CreatedDown),
            _ => Err(Invalid::new("sort", "must be one of relevance, name, price, -price, createdAt, -createdAt")),
        }
    }

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
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
    First,
    /// Skips this many products.
    Offset(u64),
    /// After the last product of the previous page.
    After(Cursor),
}

/// Position of the last product of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    #[serde(rename = "s")]
    sort: Sort,
    #[serde(rename = "k")]
    pub key: SortKey,
    #[serde(rename = "i")]
    pub id: ProductId,
}

/// The value that products are sorted by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortKey {
    /// How well the product matches.
    #[serde(rename = "r")]
    Rank(i64),
    #[serde(rename = "n")]
    Name(String),
    /// The price in minor units.
    #[serde(rename = "p")]
    Price(i64),
    #[serde(rename = "t", with = "time::serde::rfc3339")]
    Created(OffsetDateTime),
}

impl SortKey {
    /// The key of a product with this rank.
    pub fn of(product: &Product, rank: i64, sort: Sort) -> Self {
        match sort {
            Sort::Relevance => Self::Rank(rank),
            Sort::Name => Self::Name(product.name_key()),
            Sort::Price | Sort::PriceDown => Self::Price(product.price.amount),
            Sort::Created | Sort::CreatedDown => Self::Created(product.created_at),
        }
    }

    /// A text whose bytes are sorted like the keys of this order.
    pub fn sortable(&self, sort: Sort) -> String {
        const HIGHEST: i128 = 9_999_999_999_999_999;
        let number = match self {
            Self::Name(name) => return name.clone(),
            Self::Rank(number) | Self::Price(number) => i128::from(*number),
            Self::Created(at) => at.unix_timestamp_nanos() / 1_000,
        };
        let number = number.clamp(0, HIGHEST);
        let is_down = matches!(sort, Sort::Relevance | Sort::PriceDown | Sort::CreatedDown);
        format!("{:016}", if is_down { HIGHEST - number } else { number })
    }
}

impl Cursor {
    /// The cursor that continues after `last`.
    pub fn after(last: &Product, rank: i64, sort: Sort) -> Self {
        Self { sort, key: SortKey::of(last, rank, sort), id: last.id }
    }

    /// The cursor if it was created for the same order; otherwise an error.
    pub fn checked(self, sort: Sort) -> Result<Self, Invalid> {
        let fits = match (&self.key, sort) {
            (SortKey::Name(name), Sort::Name) => !name.contains(char::is_control),
            (SortKey::Rank(_), Sort::Relevance)
            | (SortKey::Price(_), Sort::Price | Sort::PriceDown)
            | (SortKey::Created(_), Sort::Created | Sort::CreatedDown) => true,
            _ => false,
        };
        if self.sort == sort && fits {
            Ok(self)
        } else {
            Err(Invalid::new("cursor", "must be the nextCursor of a page of the same order"))
        }
    }
}

/// What the index knows of a query, before the products of the page are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Products on all pages, of those that were considered.
    pub total: u64,
    /// Whether more products than are considered may match.
    pub is_cut: bool,
    /// Products of the page with their ranks, one more than the page holds if there is a next one.
    pub page: Vec<(ProductId, i64)>,
    pub facets: Vec<Facet>,
}

/// A value of a filter, and how many products it would find with the other filters as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    pub kind: FacetKind,
    pub products: u64,
}

/// A filter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FacetKind {
    Category(String),
    Brand(String),
    /// From the lower to below the upper bound, in minor units of the currency; the last range has no upper bound.
    Price {
        currency: String,
        from: i64,
        below: Option<i64>,
    },
    InStock,
}

/// The bounds of a price range by its index: the first is below all of [`PRICE_BOUNDS`].
pub fn price_range(index: usize) -> (i64, Option<i64>) {
    let from = index.checked_sub(1).and_then(|below| PRICE_BOUNDS.get(below)).copied().unwrap_or(0);
    (from, PRICE_BOUNDS.get(index).copied())
}

/// The answer to a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The products of the page in the requested order.
    pub products: Vec<Product>,
    /// Products on all pages; none if they were not counted.
    pub total: Option<u64>,
    /// Whether `total` counts only the products that were considered.
    pub is_cut: bool,
    pub next: Option<Cursor>,
    pub facets: Vec<Facet>,
    /// The text that was searched for instead.
    pub corrected: Option<String>,
}

/// What a text that is being typed may become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub text: String,
    pub kind: CompletionKind,
}

/// What a completion names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionKind {
    Category,
    Brand,
    Product(ProductId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sortable_keys_have_the_order_of_their_values() {
        let up = |key: SortKey| key.sortable(Sort::Price);
        let down = |key: SortKey| key.sortable(Sort::PriceDown);
        assert!(up(SortKey::Price(9)) < up(SortKey::Price(10)));
        assert!(down(SortKey::Price(9)) > down(SortKey::Price(10)));
        assert_eq!(SortKey::Rank(7).sortable(Sort::Relevance), "9999999999999992");
        let epoch = OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(5);
        assert_eq!(SortKey::Created(epoch).sortable(Sort::Created), "0000000000000005");
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(up(SortKey::Price(extreme)).len(), 16);
        }
    }

    #[test]
    fn a_cursor_is_valid_for_its_own_order_only() {
        let id = ProductId::new(uuid::Uuid::from_u128(7));
        let cursor = Cursor { sort: Sort::PriceDown, key: SortKey::Price(1999), id };
        let read: Cursor = serde_json::from_str(&serde_json::to_string(&cursor).unwrap()).unwrap();
        assert_eq!(read.checked(Sort::PriceDown), Ok(cursor.clone()));
        assert!(cursor.clone().checked(Sort::Price).is_err());
        let forged = Cursor { sort: Sort::Name, ..cursor };
        assert_eq!(forged.checked(Sort::Name).unwrap_err().field, "cursor");
    }

    #[test]
    fn price_ranges_are_adjacent_and_cover_every_price() {
        assert_eq!(price_range(0), (0, Some(1_000)));
        assert_eq!(price_range(1), (1_000, Some(2_500)));
        assert_eq!(price_range(PRICE_BOUNDS.len()), (1_000_000, None));
    }
}
