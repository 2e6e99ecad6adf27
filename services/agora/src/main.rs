//! The one binary of all services.

fn main() {}
