//! A mail server for development and tests: takes every mail, delivers none, and shows them.
//!
//! Knows enough of SMTP (RFC 5321) to take mails in the clear; must not know what they are about.

mod mail;
mod pages;
mod server;

pub use mail::ReceivedMail;
pub use pages::router;
pub use server::{Behaviour, MailServer};
