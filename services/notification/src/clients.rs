//! Other systems: the mail server, the broker, receivers of webhooks, and the secret that services share. Depend on `ports` and `domain` only.

pub mod broker;
pub mod link_tokens;
pub mod smtp;
pub mod webhooks;
