//! The address by which one client is known, for limits by address. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// The address by which one client is known; of IPv6 its network, since a client has all addresses of it. `None` for an
/// address that is not of the public internet: a proxy has it, with all clients behind it.
pub fn client_address(ip: Option<IpAddr>) -> Option<IpAddr> {
    let ip = ip?.to_canonical();
    let local = match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    };
    (!local).then(|| client_network(ip))
}

/// An IPv4 address as it is, of an IPv6 address its network of 64 bits.
pub fn client_network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::client_address;

    #[test]
    fn a_client_is_known_by_its_public_address_or_network() {
        let known = |text: &str| client_address(Some(text.parse().unwrap())).map(|ip| ip.to_string());
        assert_eq!(known("203.0.113.7").as_deref(), Some("203.0.113.7"));
        assert_eq!(known("::ffff:203.0.113.7").as_deref(), Some("203.0.113.7"));
        assert_eq!(known("2001:db8:1:2:3::4").as_deref(), Some("2001:db8:1:2::"));
        for proxy in ["10.0.0.1", "192.168.1.1", "127.0.0.5", "100.64.0.1", "169.254.0.1", "::1", "fd00::1", "fe80::1"]
        {
            assert_eq!(known(proxy), None, "{proxy}");
        }
        assert_eq!(client_address(None), None);
    }
}
