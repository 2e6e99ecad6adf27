//! Who calls whom, and which keys a service needs: those of its pairs of caller and callee, and of tokens that it derives.

use crate::{ALL, Service};

/// Services that derive the tokens of links in mails: one writes the links, the other one accepts them.
pub const LINKS: [&str; 2] = ["user", "notification"];

/// Services that derive tokens for themselves: carts of visitors.
pub const OWN_TOKENS: [&str; 1] = ["cart"];

/// Names of the services that call `callee`'s internal port.
pub fn callers(callee: &str) -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(move |service| service.calls.contains(&callee)).map(|service| service.name)
}

impl Service {
    /// Its calls and those that it answers, as caller and callee.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let name = self.name;
        let made = self.calls.iter().map(move |callee| (name, *callee));
        made.chain(callers(name).map(move |caller| (caller, name)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{LINKS, OWN_TOKENS};
    use crate::{ALL, service};

    #[test]
    fn gw10_a_pair_belongs_to_its_caller_and_its_callee_alone() {
        let pairs = |name| service(name).unwrap().pairs().collect::<BTreeSet<_>>();
        assert_eq!(pairs("payment"), BTreeSet::from([("payment", "order"), ("order", "payment")]));
        assert_eq!(pairs("gateway"), BTreeSet::new());
        for row in ALL {
            assert!(row.pairs().all(|(caller, callee)| caller == row.name || callee == row.name), "{}", row.name);
            let derives = LINKS.contains(&row.name) || OWN_TOKENS.contains(&row.name);
            assert_eq!(row.reads("INTERNAL_SECRET"), row.pairs().count() > 0 || derives);
        }
    }
}
