//! Roles of users: what a token allows beside its user's own things.

use std::{fmt, str::FromStr};

use crate::Invalid;

/// A role carried in the access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Role {
    Customer,
    /// Helps shoppers: reads accounts, orders and payments, decides about returns, writes to users.
    Support,
    /// Keeps what is sold: products, variants, brands, categories, suppliers, coupons.
    Catalog,
    /// Keeps the stock and sends it: inventory, warehouses, parcels, goods that come back.
    Warehouse,
    /// Moves money: captures, refunds, reconciliation, taxes, reports.
    Finance,
    /// Runs the shop: has every other role, and what none of them has, such as giving roles.
    Admin,
}

impl Role {
    pub const ALL: [Self; 6] =
        [Self::Customer, Self::Support, Self::Catalog, Self::Warehouse, Self::Finance, Self::Admin];

    /// The role's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Catalog => "catalog",
            Self::Warehouse => "warehouse",
            Self::Finance => "finance",
            Self::Admin => "admin",
        }
    }

    /// Whether the holder of the roles `held` has one of `wanted`. An admin has each.
    pub fn grants(held: &[Self], wanted: &[Self]) -> bool {
        held.contains(&Self::Admin) || wanted.iter().any(|role| held.contains(role))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| Invalid::new("role", "must be customer, support, catalog, warehouse, finance or admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn gw11_an_admin_has_every_role_and_others_have_their_own() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert!(Role::grants(&[Role::Customer, Role::Admin], &[role]));
            assert!(Role::grants(&[role], &[Role::Support, role]));
            assert_eq!(Role::grants(&[role], &[]), role == Role::Admin);
            assert_eq!(Role::grants(&[role], &[Role::Admin]), role == Role::Admin);
        }
        assert!(Role::grants(&[Role::Support], &[Role::Support]) && !Role::grants(&[Role::Support], &[Role::Finance]));
        assert!(!Role::grants(&[], &Role::ALL) && "root".parse::<Role>().is_err());
    }
}
