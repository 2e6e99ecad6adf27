//! An account and its profile. The password's hash is no part of it: who has an account cannot leak the hash.

use agora_events::user::{Account, UserEvent};
use agora_vocab::{Email, Role, UserId};
use time::OffsetDateTime;

use super::{Phone, Text, Username};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub id: UserId,
    /// Its address, unique in the shop.
    pub email: Email,
    /// What its owner told about himself.
    pub profile: Profile,
    /// What he may do.
    pub roles: Vec<Role>,
    /// Whether he may log in.
    pub status: Status,
    /// When he registered, by the database.
    pub created_at: OffsetDateTime,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// It may not: no login, no refresh.
    Blocked,
}

/// What somebody told about himself; everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Given name.
    pub firstname: Option<Text<100>>,
    /// Family name.
    pub lastname: Option<Text<100>>,
    /// Public name, unique in the shop.
    pub username: Option<Username>,
    /// The whole name, where it has no two parts.
    pub name: Option<Text<200>>,
    /// Telephone number.
    pub phone: Option<Phone>,
}

impl Status {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
        }
    }
}

impl Profile {
    /// This profile with every field that `change` gives; what it leaves out stays.
    #[must_use]
    pub fn merged(self, change: Self) -> Self {
        let Self { firstname, lastname, username, name, phone } = change;
        Self {
            firstname: firstname.or(self.firstname),
            lastname: lastname.or(self.lastname),
            username: username.or(self.username),
            name: name.or(self.name),
            phone: phone.or(self.phone),
        }
    }

    /// How to address the person: the whole name, or else its two parts.
    pub fn whole_name(&self) -> Option<String> {
        if let Some(name) = &self.name {
            return Some(name.as_str().to_owned());
        }
        let parts: Vec<&str> = [&self.firstname, &self.lastname].into_iter().flatten().map(Text::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

impl User {
    /// The fact that this account was made.
    pub fn registered(&self) -> UserEvent {
        UserEvent::Registered(self.account())
    }

    /// The fact that this is the profile now.
    pub fn updated(&self) -> UserEvent {
        UserEvent::Updated(self.account())
    }

    fn account(&self) -> Account {
        Account { user_id: self.id, email: self.email.to_string(), name: self.profile.whole_name() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Profile, Text};

    fn named(firstname: Option<&str>, lastname: Option<&str>, name: Option<&str>) -> Profile {
        Profile {
            firstname: firstname.map(|text| Text::parse("firstname", text).unwrap()),
            lastname: lastname.map(|text| Text::parse("lastname", text).unwrap()),
            name: name.map(|text| Text::parse("name", text).unwrap()),
            ..Profile::default()
        }
    }

    #[test]
    fn a_partial_update_keeps_what_it_does_not_name() {
        let merged = named(Some("Ada"), Some("Byron"), None).merged(named(None, Some("Lovelace"), None));
        assert_eq!(merged, named(Some("Ada"), Some("Lovelace"), None));
    }

    #[test]
    fn the_whole_name_comes_from_its_parts_unless_it_is_given() {
        assert_eq!(named(Some("Ada"), Some("Lovelace"), None).whole_name().as_deref(), Some("Ada Lovelace"));
        assert_eq!(named(None, Some("Lovelace"), None).whole_name().as_deref(), Some("Lovelace"));
        assert_eq!(named(Some("A"), None, Some("Countess")).whole_name().as_deref(), Some("Countess"));
        assert_eq!(Profile::default().whole_name(), None);
    }
}
