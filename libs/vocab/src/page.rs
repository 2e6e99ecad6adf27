//! Pages of a list: how many items, and where the next page starts.

use crate::Invalid;

/// How many items a page holds: 1 to 100, 20 unless asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// Items of a page when the client names no number.
    pub const DEFAULT: Self = Self(20);
    /// The largest page.
    pub const MAX: Self = Self(100);

    /// Takes 1 to 100.
    pub fn parse(limit: i64) -> Result<Self, Invalid> {
        match u16::try_from(limit) {
            Ok(limit) if (1..=Self::MAX.0).contains(&limit) => Ok(Self(limit)),
            _ => Err(Invalid::new("limit", "must be from 1 to 100")),
        }
    }

    /// The number of items.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// How many items all pages hold together, where that is cheap to know.
    pub total: Option<u64>,
    /// Opaque place where the next page starts; absent on the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with each item turned into another.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(turn).collect(), total: self.total, next: self.next }
    }
}
