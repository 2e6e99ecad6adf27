//! The address of the client behind the proxies in front of the gateway.

use std::net::{IpAddr, SocketAddr};

use agora_vocab::{client_address, client_network};
use axum::http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client: what the last trusted proxy saw. Each proxy adds the address that it saw to the end of
/// `X-Forwarded-For`, so that of several only the last ones are not the client's own words. Without proxies, or where the
/// header has no address at this place, that of the connection.
pub fn client_of(headers: &HeaderMap, peer: IpAddr, trusted_proxies: u8) -> IpAddr {
    let Some(hops) = usize::from(trusted_proxies).checked_sub(1) else { return peer };
    let values = headers.get_all(FORWARDED_FOR).iter().rev().filter_map(|value| value.to_str().ok());
    let seen = values.flat_map(|value| value.rsplit(',')).map(str::trim).filter(|text| !text.is_empty());
    // Where fewer proxies than expected have added an address, the first that did is the nearest to the client.
    seen.take(hops + 1).last().and_then(parse).unwrap_or(peer)
}

/// The address as limits know it: of IPv6 the network. Without trusted proxies, an address that is not public might be
/// that of a proxy with all clients behind it, and is not limited.
pub fn limited(client: IpAddr, trusted_proxies: u8) -> Option<IpAddr> {
    if trusted_proxies == 0 { client_address(Some(client)) } else { Some(client_network(client)) }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::{HeaderMap, HeaderValue};

    use super::{client_of, limited};

    fn client(values: &[&'static str], trusted_proxies: u8) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        client_of(&headers, "10.0.0.9".parse().unwrap(), trusted_proxies).to_string()
    }

    #[test]
    fn gw6_what_a_client_writes_into_x_forwarded_for_does_not_change_its_address() {
        for (values, trusted_proxies, expected) in [
            (&["203.0.113.7"][..], 0, "10.0.0.9"),
            (&[], 1, "10.0.0.9"),
            (&["203.0.113.7"], 1, "203.0.113.7"),
            (&["1.1.1.1, 203.0.113.7"], 1, "203.0.113.7"),
            (&["1.1.1.1", "203.0.113.7"], 1, "203.0.113.7"),
            (&["1.1.1.1,203.0.113.7 , 10.0.0.2"], 2, "203.0.113.7"),
            (&["1.1.1.1, 203.0.113.7", "10.0.0.2"], 2, "203.0.113.7"),
            (&["203.0.113.7"], 2, "203.0.113.7"),
            (&["203.0.113.7:4711"], 1, "203.0.113.7"),
            (&["[2001:db8::1]:4711"], 1, "2001:db8::1"),
            (&["[2001:db8::1]"], 1, "2001:db8::1"),
            (&["\"[2001:db8::1]:4711\""], 1, "2001:db8::1"),
            (&["203.0.113.7, unknown"], 1, "10.0.0.9"),
            (&[" , "], 1, "10.0.0.9"),
        ] {
            assert_eq!(client(values, trusted_proxies), expected, "{values:?} {trusted_proxies}");
        }
    }

    #[test]
    fn gw6_addresses_of_one_network_of_ipv6_are_one_and_a_possible_proxy_is_not_limited() {
        let known = |text: &str, trusted| limited(text.parse::<IpAddr>().unwrap(), trusted).map(|ip| ip.to_string());
        assert_eq!(known("2001:db8:1:2:3::4", 0).as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(known("2001:db8:1:2:ffff::1", 1).as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(known("::ffff:203.0.113.7", 1).as_deref(), Some("203.0.113.7"));
        assert_eq!(known("10.0.0.9", 0), None);
        assert_eq!(known("10.0.0.9", 1).as_deref(), Some("10.0.0.9"));
    }
}
