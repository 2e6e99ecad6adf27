//! The Marketplace resource: spec, status, defaults and rules.
