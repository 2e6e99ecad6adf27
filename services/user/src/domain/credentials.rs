//! Passwords and their hashes. No type here can be printed or serialised.

use std::fmt;

use agora_vocab::{Invalid, Secret};
use unicode_normalization::UnicodeNormalization as _;

use super::{User, breached::is_breached};

/// Shortest and longest password, in characters.
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_CHARS_MAX: usize = 128;

/// A password of valid length, in the form that [`opaque_string`] gives it.
#[derive(Clone, Debug)]
pub struct Password(Secret);

impl Password {
    /// A new password: 8 to 128 characters, any of them, and none of the passwords that attackers try first.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let password = Self::of_length(text)?;
        if is_breached(password.0.expose()) {
            return Err(Invalid::new(
                "password",
                "is known from breaches, and attackers try it first: choose another one",
            ));
        }
        Ok(password)
    }

    /// The password of an account, which may be older than the list of breached ones.
    pub fn of_length(text: &str) -> Result<Self, Invalid> {
        let text = opaque_string(text);
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

/// The form of a password that is hashed: one spelling for what looks the same on every keyboard (RFC 8265, 4.2.2, without
/// its refusal of control characters). Spaces of other scripts become the plain one, and characters are composed (NFC).
pub fn opaque_string(text: &str) -> String {
    let space = |c: char| if is_other_space(c) { ' ' } else { c };
    text.chars().map(space).nfc().collect()
}

/// A character of the Unicode category Zs other than the plain space.
const fn is_other_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
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
    use super::{Password, PasswordHash, opaque_string};

    #[test]
    fn gw11_a_password_is_counted_in_characters_and_never_printed() {
        assert!(Password::parse("sevench").is_err());
        assert!(Password::parse("ääääääää").is_ok());
        assert!(Password::parse(&"x".repeat(129)).is_err());
        let printed = format!("{:?} {:?}", Password::parse("hunter2hunter2"), PasswordHash::new("$argon2".into()));
        assert!(!printed.contains("hunter2") && !printed.contains("argon2"), "{printed}");
    }

    #[test]
    fn gw11_a_breached_password_is_refused_as_a_new_one_and_known_as_an_old_one() {
        for breached in ["password", "12345678", "Iloveyou1", "TRUSTNO1", "p\u{61}ssw\u{6f}rd"] {
            let refused = Password::parse(breached).unwrap_err();
            assert_eq!(refused.field, "password", "{breached}");
            assert!(!refused.message.contains(breached) && refused.message.contains("breaches"), "{}", refused.message);
            assert!(Password::of_length(breached).is_ok());
        }
        assert!(Password::parse("correct horse battery").is_ok());
    }

    #[test]
    fn a_password_has_one_form_however_its_characters_are_typed() {
        assert_eq!(opaque_string("pa\u{308}sswo\u{308}rt\u{a0}1\u{3000}"), "p\u{e4}ssw\u{f6}rt 1 ");
        assert_eq!(opaque_string("Pass\u{fb01}\t word"), "Pass\u{fb01}\t word", "no case, no compatibility folding");
        assert!(Password::parse(&"a\u{308}".repeat(4)).is_err(), "four characters");
    }
}
