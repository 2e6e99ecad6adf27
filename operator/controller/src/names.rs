//! Computed names: isolation keys, databases, roles, topics, hashes. Pure. The same input must give the same name in every
//! release, because existing data is found by these names.

use aws_lc_rs::digest::{SHA256, digest};

const ISOLATION_KEY_BYTES_MAX: usize = 40;
/// Hex digits of the hash that replaces the end of a name that is too long.
const CUT_DIGITS: usize = 6;

/// The default isolation key: `shop-main`. If the namespace or the name contains a hyphen, or the key would be longer than 40
/// bytes, a hash of both is added, so that `a-b` and `c` have another key than `a` and `b-c`.
pub fn isolation_key(namespace: &str, name: &str) -> String {
    let whole = format!("{namespace}-{name}");
    if whole.len() <= ISOLATION_KEY_BYTES_MAX && !namespace.contains('-') && !name.contains('-') {
        return whole;
    }
    let hash = short_hash(&format!("{namespace}/{name}"), CUT_DIGITS);
    let kept = whole.get(..ISOLATION_KEY_BYTES_MAX - CUT_DIGITS - 1).unwrap_or(&whole).trim_end_matches('-');
    format!("{kept}-{hash}")
}

/// Name of a service's database and of the `nologin` role that owns it: `shop_main_order`.
pub fn database(isolation_key: &str, service: &str) -> String {
    format!("{}_{service}", isolation_key.replace('-', "_"))
}

/// Name of a service's login role. The suffix leaves room for a second login during a password rotation.
pub fn login(isolation_key: &str, service: &str) -> String {
    format!("{}_a", database(isolation_key, service))
}

/// `host:port`, with brackets around an IPv6 address.
pub fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The parts of an [`address`]; `None` if it is none.
pub fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port.parse().ok()?))
}

/// Name of a topic or a consumer group at the broker.
pub fn at_broker(isolation_key: &str, name: &str) -> String {
    format!("{isolation_key}.{name}")
}

/// The first hex digits of the SHA-256 of a text.
pub fn short_hash(text: &str, digits: usize) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    hash.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::{address, database, host_and_port, isolation_key, login};

    #[test]
    fn short_isolation_keys_are_kept_and_long_ones_stay_distinct() {
        assert_eq!(isolation_key("shop", "main"), "shop-main");
        let namespace = "a-very-long-namespace-for-a-shop";
        let (one, other) = (isolation_key(namespace, "first-of-two"), isolation_key(namespace, "first-of-all"));
        assert!(one.len() <= 40);
        assert_ne!(one, other);
        assert!(one.starts_with("a-very-long-namespace-for-a-shop-"), "{one}");
    }

    #[test]
    fn names_that_would_give_the_same_key_get_different_ones() {
        let (one, other) = (isolation_key("a-b", "c"), isolation_key("a", "b-c"));
        assert!(one.starts_with("a-b-c-") && other.starts_with("a-b-c-"));
        assert_ne!(one, other);
    }

    #[test]
    fn an_address_has_the_parts_that_it_was_made_of() {
        for (host, port) in [("pg.data.svc", 5432), ("10.0.0.7", 1), ("fd00::7", 65_535)] {
            assert_eq!(host_and_port(&address(host, port)), Some((host.to_owned(), port)));
        }
        assert_eq!(host_and_port("pg"), None);
    }

    #[test]
    fn databases_and_logins_begin_with_the_isolation_key() {
        assert_eq!(database("shop-main", "order"), "shop_main_order");
        assert_eq!(login("shop-main", "order"), "shop_main_order_a");
        let longest = login(&"k".repeat(40), "recommendation");
        assert!(longest.len() <= 63, "PostgreSQL cuts names of more than 63 bytes");
    }
}
