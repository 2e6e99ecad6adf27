//! Who owns the databases and topics of an isolation key: the record in COMMENTs and in the name of a topic. Pure.

use crate::names;

/// Hex digits of the hash that identifies an owner in the name of a topic and in an annotation.
const HASH_DIGITS: usize = 12;
/// Separates the claim in a COMMENT from what else the COMMENT says.
const SEPARATOR: &str = "; ";

/// The owner of databases and topics: a Marketplace of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// `namespace/name` of the Marketplace.
    pub market: String,
    /// The uid of the namespace kube-system, which identifies the cluster.
    pub cluster: String,
    /// The uid of the Marketplace.
    pub uid: String,
}

impl Claim {
    /// The record in a COMMENT: `namespace/name cluster-uid uid`.
    pub fn text(&self) -> String {
        format!("{} {} {}", self.market, self.cluster, self.uid)
    }

    /// Identifies the owner. A Marketplace that is created again in the same cluster with the same namespace and name has
    /// the same hash, so that it takes over what was retained.
    pub fn hash(&self) -> String {
        hash(&self.market, &self.cluster)
    }

    /// Whether a COMMENT names this owner, an earlier Marketplace of the same namespace and name in this cluster, or an owner
    /// in `accepted`. A COMMENT of an earlier release names no cluster.
    pub fn is_in(&self, comment: &str, accepted: &[String]) -> bool {
        let recorded = comment.split(SEPARATOR).next().unwrap_or_default();
        recorded == self.market
            || owner_hash(comment).is_some_and(|hash| hash == self.hash() || accepted.contains(&hash))
    }
}

/// The hash of the owner that a COMMENT names; `None` if the COMMENT is not a claim.
pub fn owner_hash(comment: &str) -> Option<String> {
    let recorded = comment.split(SEPARATOR).next()?;
    let mut parts = recorded.split(' ');
    let (market, cluster) = (parts.next()?, parts.next().unwrap_or_default());
    market.contains('/').then(|| hash(market, cluster))
}

fn hash(market: &str, cluster: &str) -> String {
    names::short_hash(&format!("{market} {cluster}"), HASH_DIGITS)
}

/// Prefix of the topics that name the owner of an isolation key.
pub fn marker_prefix(isolation_key: &str) -> String {
    names::at_broker(isolation_key, "owner-")
}

#[cfg(test)]
mod tests {
    use super::{Claim, owner_hash};

    fn claim(cluster: &str, uid: &str) -> Claim {
        Claim { market: "shop/main".to_owned(), cluster: cluster.to_owned(), uid: uid.to_owned() }
    }

    #[test]
    fn a_marketplace_of_another_cluster_is_another_owner_and_one_created_again_is_not() {
        let (mine, again, foreign) = (claim("c1", "u1"), claim("c1", "u2"), claim("c2", "u1"));
        assert!(again.is_in(&mine.text(), &[]));
        assert!(again.is_in(&format!("{}; password f00d", mine.text()), &[]));
        assert!(!foreign.is_in(&mine.text(), &[]));
        assert!(foreign.is_in(&mine.text(), &[mine.hash()]));
    }

    #[test]
    fn a_comment_of_an_earlier_release_names_the_same_owner() {
        assert!(claim("c1", "u1").is_in("shop/main", &[]));
        assert!(claim("c1", "u1").is_in("shop/main; password f00d", &[]));
        assert!(!claim("c1", "u1").is_in("shop/mainly", &[]));
        assert_eq!(owner_hash("a note of an administrator"), None);
    }
}
