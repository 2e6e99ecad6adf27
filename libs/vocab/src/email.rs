//! E-mail addresses as far as a shop must understand them: enough to deliver to, not all of RFC 5322.

use std::fmt;

use crate::{Invalid, contains_card_number};

/// Longest address that SMTP can carry in a path, in bytes (RFC 5321, 4.5.3.1.3).
const BYTES_MAX: usize = 254;

/// An address, trimmed and in lower case, so that one mailbox has one spelling here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Takes `local@domain.tld` of visible ASCII, at most 254 bytes, without a payment card number in it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let email = Self::parse_stored(text)?;
        if contains_card_number(&email.0) {
            return Err(Invalid::new("email", "must not contain a payment card number"));
        }
        Ok(email)
    }

    /// Reads an address that the shop accepted before, from its own rows and events: as [`Email::parse`], but also one with a
    /// card number, which earlier releases accepted.
    pub fn parse_stored(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        let well_formed = text.len() <= BYTES_MAX
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'(' | b')' | b',' | b':' | b';' | b'<' | b'>'))
            && text.split_once('@').is_some_and(|(local, domain)| {
                (1..=64).contains(&local.len()) && !domain.contains('@') && is_domain(domain)
            });
        if well_formed {
            Ok(Self(text))
        } else {
            Err(Invalid::new("email", "must be an e-mail address like ada@example.com, with a host name after the @"))
        }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether every label is non-empty, of letters, digits and inner dashes, and there are at least two. The last one is no
/// number, which would be an IP address (RFC 3696, 2).
fn is_domain(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(_, last)| !last.bytes().all(|b| b.is_ascii_digit()))
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Masked: an address is personal data, and Debug output ends in logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Email;

    #[test]
    fn one_mailbox_has_one_spelling() {
        assert_eq!(Email::parse(" Ada@Example.COM "), Email::parse("ada@example.com"));
    }

    #[test]
    fn an_address_with_a_card_number_is_refused_and_one_that_is_stored_can_be_read() {
        for text in ["4111111111111111@example.com", "ada+4111-1111-1111-1111@example.com", "ada@4111111111111111.de"] {
            let refused = Email::parse(text).unwrap_err();
            assert!(!refused.to_string().contains("4111"), "{refused}");
            assert_eq!(Email::parse_stored(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_no_mail_server_would_take_is_refused() {
        for text in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "ada@example",
            "a da@example.com",
            "ada@exa_mple.com",
            "a@b@c.d",
            "ada@-x.de",
            "ada@127.0.0.1",
            "ada@[127.0.0.1]",
            "ada@example.1",
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }
}
