//! An account and its profile. The password hash is not part of it, so that code with a user cannot leak the hash.

use std::str::FromStr;

use agora_events::user::{Account, Preferences, Revocation, UserEvent};
use agora_vocab::{Email, Invalid, Role, UserId};
use time::OffsetDateTime;

use super::{Phone, Text, Username};

/// A user account without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// Unique in the shop.
    pub email: Email,
    /// The optional personal fields.
    pub profile: Profile,
    /// The user's roles.
    pub roles: Vec<Role>,
    /// Whether login is allowed.
    pub status: Status,
    /// Which mails the user wants.
    pub preferences: Preferences,
    /// Time of registration, by the database's clock.
    pub created_at: OffsetDateTime,
    /// Time of the last change of the account.
    pub updated_at: OffsetDateTime,
}

/// Whether an account may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Login is allowed.
    Active,
    /// Login and refresh are refused.
    Blocked,
}

/// A change of preferences: what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreferencesChange {
    pub promotions: Option<bool>,
    pub order_updates: Option<bool>,
    pub recommendations: Option<bool>,
}

/// The optional personal fields of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub firstname: Option<Text<100>>,
    pub lastname: Option<Text<100>>,
    /// Public name, unique in the shop.
    pub username: Option<Username>,
    /// The full name, for names that are not split into two parts.
    pub name: Option<Text<200>>,
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

impl FromStr for Status {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "active" => Ok(Self::Active),
            "blocked" => Ok(Self::Blocked),
            _ => Err(Invalid::new("status", "must be active or blocked")),
        }
    }
}

impl PreferencesChange {
    /// The preferences after the change.
    pub fn apply(self, to: Preferences) -> Preferences {
        Preferences {
            promotions: self.promotions.unwrap_or(to.promotions),
            order_updates: self.order_updates.unwrap_or(to.order_updates),
            recommendations: self.recommendations.unwrap_or(to.recommendations),
        }
    }
}

impl Profile {
    /// The full name, or first and last name joined.
    pub fn whole_name(&self) -> Option<String> {
        if let Some(name) = &self.name {
            return Some(name.as_str().to_owned());
        }
        let parts: Vec<&str> = [&self.firstname, &self.lastname].into_iter().flatten().map(Text::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

impl User {
    /// The event `user.registered`.
    pub fn registered(&self) -> UserEvent {
        UserEvent::Registered(self.account())
    }

    /// The event `user.updated`.
    pub fn updated(&self) -> UserEvent {
        UserEvent::Updated(self.account())
    }

    fn account(&self) -> Account {
        Account {
            user_id: self.id,
            email: self.email.to_string(),
            name: self.profile.whole_name(),
            preferences: self.preferences,
            blocked: self.status == Status::Blocked,
        }
    }
}

/// The event `user.revoked` for all sessions of a user but the one, if any, that ended them.
pub fn revoked(user: UserId, reason: &str) -> UserEvent {
    UserEvent::Revoked(Revocation { user_id: user, session_id: None, reason: reason.to_owned() })
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
    fn the_whole_name_comes_from_its_parts_unless_it_is_given() {
        assert_eq!(named(Some("Ada"), Some("Lovelace"), None).whole_name().as_deref(), Some("Ada Lovelace"));
        assert_eq!(named(None, Some("Lovelace"), None).whole_name().as_deref(), Some("Lovelace"));
        assert_eq!(named(Some("A"), None, Some("Countess")).whole_name().as_deref(), Some("Countess"));
        assert_eq!(Profile::default().whole_name(), None);
    }
}
