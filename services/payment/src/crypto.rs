//! Encryption of card tokens and verification of signatures.

mod envelope;

pub use envelope::EnvelopeCipher;
