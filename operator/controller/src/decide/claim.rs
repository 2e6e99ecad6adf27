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
    /// in `accepted`.
    pub fn is_in(&self, comment: &str, accepted: &[String]) -> bool {
        owner_hash(comment).is_some_and(|hash| hash == self.hash() || accepted.contains(&hash))
    }

    /// Whether a COMMENT of an earlier release, which names no cluster, names a Marketplace of this namespace and name. It may
    /// be one of another cluster.
    pub fn may_be_in(&self, comment: &str) -> bool {
        comment.split(SEPARATOR).next() == Some(&self.market)
    }
}

/// The part of a login's COMMENT that identifies its password.
pub fn password_mark(fingerprint: &str) -> String {
    format!("password {fingerprint}")
}

/// Whether a login's COMMENT contains the mark of this password.
pub fn has_password(comment: &str, fingerprint: &str) -> bool {
    comment.split(SEPARATOR).skip(1).any(|part| part == password_mark(fingerprint))
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
    use super::{Claim, has_password, owner_hash};

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
    fn a_comment_of_an_earlier_release_may_name_a_marketplace_of_another_cluster() {
        let mine = claim("c1", "u1");
        for comment in ["shop/main", "shop/main; password f00d"] {
            assert!(mine.may_be_in(comment) && !mine.is_in(comment, &[]));
            assert!(mine.is_in(comment, &[owner_hash(comment).unwrap()]));
        }
        assert!(!mine.may_be_in("shop/mainly") && !mine.may_be_in(&mine.text()));
        assert!(has_password("shop/main; password f00d", "f00d") && !has_password("shop/main; password f00d", "f00"));
        assert_eq!(owner_hash("a note of an administrator"), None);
    }
}
