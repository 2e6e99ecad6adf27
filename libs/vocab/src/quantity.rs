//! How many of a product: a whole number that is neither zero nor absurd.

use crate::Invalid;

/// Most units of one product in a cart's or order's line.
pub const QUANTITY_MAX: u32 = 9_999;

/// Units of one product: 1 to [`QUANTITY_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct Quantity(u32);

impl Quantity {
    pub const ONE: Self = Self(1);

    /// Takes 1 to [`QUANTITY_MAX`].
    pub fn parse(units: i64) -> Result<Self, Invalid> {
        match u32::try_from(units) {
            Ok(units) if (1..=QUANTITY_MAX).contains(&units) => Ok(Self(units)),
            _ => Err(Invalid::new("quantity", format!("must be from 1 to {QUANTITY_MAX}"))),
        }
    }

    /// The number of units.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Both together, cut at [`QUANTITY_MAX`].
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self((self.0 + other.0).min(QUANTITY_MAX))
    }
}

impl TryFrom<i64> for Quantity {
    type Error = Invalid;

    fn try_from(units: i64) -> Result<Self, Invalid> {
        Self::parse(units)
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}
