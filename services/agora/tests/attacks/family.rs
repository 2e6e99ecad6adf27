//! What became of the attacks of one family.

use std::fmt::{self, Debug, Display};

/// Attacks of one kind, and those of them that were answered in another way than expected.
pub struct Family {
    name: &'static str,
    count: usize,
    pub failures: Vec<String>,
}

impl Family {
    pub const fn new(name: &'static str) -> Self {
        Self { name, count: 0, failures: Vec::new() }
    }

    /// Counts an attack, and notes it if the shop answered in another way than expected.
    pub fn expect<T: PartialEq + Debug>(&mut self, attack: impl Display, expected: T, seen: T) {
        self.count += 1;
        if seen != expected {
            self.failures.push(format!("{}: {attack}: expected {expected:?}, saw {seen:?}", self.name));
        }
    }
}

/// `access tokens: 0 of 40`
impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {}", self.name, self.failures.len(), self.count)
    }
}
