//! Passwords and their hashes. No type here can be printed or serialised.

use std::fmt;

use agora_vocab::{Invalid, Secret};

use super::User;

/// Shortest and longest password, in characters.
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_CHARS_MAX: usize = 128;

/// A password of valid length.
#[derive(Clone, Debug)]
pub struct Password(Secret);

impl Password {
    /// Takes 8 to 128 characters, any of them.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&text.chars().count()) {
            let range = format!("{PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX}");
            return Err(Invalid::new("password", format!("must be {range} characters")));
        }
        Ok(Self(Secret::new(text)))
    }

    /// The text, for hashing only.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }
}

/// A password's hash in PHC string format, with algorithm, parameters and salt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A computed or stored hash; not validated.
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Masked: a hash can be attacked offline.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An account with its password hash.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: User,
    /// Hash of the account's password.
    pub hash: PasswordHash,
}

#[cfg(test)]
mod tests {
    use super::{Password, PasswordHash};

    #[test]
    fn a_password_is_counted_in_characters_and_never_printed() {
        assert!(Password::parse("sevench".into()).is_err());
        assert!(Password::parse("ääääääää".into()).is_ok());
        assert!(Password::parse("x".repeat(129)).is_err());
        let printed =
            format!("{:?} {:?}", Password::parse("hunter2hunter2".into()), PasswordHash::new("$argon2".into()));
        assert!(!printed.contains("hunter2") && !printed.contains("argon2"), "{printed}");
    }
}
