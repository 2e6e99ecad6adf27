//! Members of the staff who log in at an identity provider: who they are there, and which roles their groups give them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use agora_vocab::{Email, Role, Secret};

use super::Text;

/// Most groups that can give roles.
const GROUPS_MAX: usize = 64;

/// A login that was begun: what its end must prove.
#[derive(Clone, Debug)]
pub struct BegunStaffLogin {
    /// The provider repeats it in the ID token.
    pub nonce: Secret,
    /// Proves to the provider that the login was begun here (PKCE, RFC 7636).
    pub code_verifier: Secret,
}

/// Who logged in, by a verified ID token.
#[derive(Clone, PartialEq, Eq)]
pub struct StaffIdentity {
    /// The address of the provider, as in its tokens.
    pub issuer: String,
    /// The person there, for ever.
    pub subject: String,
    pub email: Email,
    pub name: Option<Text<200>>,
    /// Sorted, each once; empty if no group of the person gives one.
    pub roles: Vec<Role>,
}

/// Not the person.
impl fmt::Debug for StaffIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaffIdentity")
            .field("issuer", &self.issuer)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// The roles that groups of the provider give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRoles(BTreeMap<String, Vec<Role>>);

/// The text is no list of roles and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a list of at most {} pairs like support=shop-support,admin=shop-admins, of the roles support, catalog, warehouse, \
     finance and admin",
    GROUPS_MAX
)]
pub struct InvalidGroupRoles;

impl GroupRoles {
    /// The roles of the members of these groups.
    pub fn of<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Vec<Role> {
        let mut roles: Vec<Role> =
            groups.into_iter().filter_map(|group| self.0.get(group)).flatten().copied().collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }
}

impl FromStr for GroupRoles {
    type Err = InvalidGroupRoles;

    fn from_str(text: &str) -> Result<Self, InvalidGroupRoles> {
        let mut groups = BTreeMap::<String, Vec<Role>>::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (role, group) = pair.split_once('=').ok_or(InvalidGroupRoles)?;
            let role = role.trim().parse().map_err(|_| InvalidGroupRoles)?;
            if role == Role::Customer || group.trim().is_empty() {
                return Err(InvalidGroupRoles);
            }
            groups.entry(group.trim().to_owned()).or_default().push(role);
        }
        if (1..=GROUPS_MAX).contains(&groups.len()) { Ok(Self(groups)) } else { Err(InvalidGroupRoles) }
    }
}

#[cfg(test)]
mod tests {
    use agora_vocab::Role;

    use super::{GroupRoles, InvalidGroupRoles};

    #[test]
    fn gw11_groups_give_the_roles_that_are_listed_and_no_other_ones() {
        let roles: GroupRoles = "support=desk, finance=desk ,admin=owners".parse().unwrap();
        assert_eq!(roles.of(["desk"]), [Role::Support, Role::Finance]);
        assert_eq!(roles.of(["owners", "desk", "admin"]), [Role::Support, Role::Finance, Role::Admin]);
        assert_eq!(roles.of(["admin", "support", ""]), []);
        for wrong in ["", "support", "support=", "root=x", "customer=everybody", "=x"] {
            assert_eq!(wrong.parse::<GroupRoles>(), Err(InvalidGroupRoles), "{wrong}");
        }
    }
}
