//! Categories, brands, suppliers and locations: terms of a taxonomy; and warehouses, which stand at locations. Pure.

use agora_vocab::{Invalid, Patch, TermId, WarehouseId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::fields::Label;

/// Largest priority number of a warehouse.
const PRIORITY_MAX: i32 = 1_000;

/// What a term classifies: products, or warehouses by their location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Taxonomy {
    Category,
    Brand,
    Supplier,
    Location,
}

impl Taxonomy {
    const ALL: [Self; 4] = [Self::Category, Self::Brand, Self::Supplier, Self::Location];

    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Brand => "brand",
            Self::Supplier => "supplier",
            Self::Location => "location",
        }
    }

    /// Reads a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|taxonomy| taxonomy.as_str() == name)
    }

    /// Whether products keep the names of its terms.
    pub const fn is_of_products(self) -> bool {
        !matches!(self, Self::Location)
    }
}

/// A category, a brand, a supplier or a location. No two of one taxonomy have names that differ by case alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    pub id: TermId,
    pub taxonomy: Taxonomy,
    /// Version, from 1, incremented by each change.
    pub version: i64,
    pub name: Label,
    /// When the term was created, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the term was last changed, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A warehouse. No two have names that differ by case alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warehouse {
    pub id: WarehouseId,
    /// Version, from 1, incremented by each change.
    pub version: i64,
    pub details: WarehouseDetails,
    /// The name of the location.
    pub location_name: Option<Label>,
    /// When the warehouse was created, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the warehouse was last changed, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// The fields of a warehouse that an admin can edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarehouseDetails {
    pub name: Label,
    pub priority: Priority,
    pub location: Option<TermId>,
}

/// Fields of a warehouse to change; `None` and [`Patch::Keep`] leave a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarehouseChange {
    pub name: Option<Label>,
    pub priority: Option<Priority>,
    pub location: Patch<TermId>,
}

/// Priority of a warehouse, 0 to 1000: units are allocated from the lowest number first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(i32);

impl Priority {
    /// Accepts 0 to 1000.
    pub fn parse(number: i32) -> Result<Self, Invalid> {
        if (0..=PRIORITY_MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Invalid::new("priority", format!("must be from 0 to {PRIORITY_MAX}")))
        }
    }

    /// Wraps a stored number without validation: rows that SQL inserted may have any.
    pub(crate) const fn stored(number: i32) -> Self {
        Self(number)
    }

    pub const fn get(self) -> i32 {
        self.0
    }
}

impl WarehouseDetails {
    /// Returns the details after a change; equal to the current details if the change has no effect.
    #[must_use]
    pub fn changed(&self, change: WarehouseChange) -> Self {
        let WarehouseChange { name, priority, location } = change;
        let now = self.clone();
        Self {
            name: name.unwrap_or(now.name),
            priority: priority.unwrap_or(now.priority),
            location: location.applied(now.location),
        }
    }
}

/// Why a term, a warehouse or a variant cannot be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// Products have the term.
    Products,
    /// Warehouses stand at the location.
    Warehouses,
    /// The warehouse has stock rows: holds return units to them.
    Stock,
    /// The main warehouse receives the stock of new products.
    NewProducts,
    /// Units of the variant are on hand.
    Units,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_taxonomies_round_trip() {
        for taxonomy in Taxonomy::ALL {
            assert_eq!(Taxonomy::parse(taxonomy.as_str()), Some(taxonomy));
        }
        assert_eq!(Taxonomy::parse("colour"), None);
    }

    #[test]
    fn a_priority_is_from_0_to_1000() {
        assert!([-1, 1_001].iter().all(|number| Priority::parse(*number).is_err()));
        assert_eq!(Priority::parse(1_000).map(Priority::get), Ok(1_000));
    }
}
