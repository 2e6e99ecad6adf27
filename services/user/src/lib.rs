//! Accounts: registration, sessions and their tokens, profiles, addresses.
