//! Which addresses may be reached. Pure.

use std::{net::IpAddr, str::FromStr};

use super::addresses::is_public;

/// The ports of HTTP and HTTPS.
const USUAL_PORTS: [u16; 2] = [80, 443];
/// Most ports that can be listed.
const PORTS_MAX: usize = 32;

/// Which addresses of others may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Whether URLs may begin with `http://`.
    pub plain_http: bool,
    /// Whether addresses that are not public may be reached: for development only.
    pub private_addresses: bool,
    pub ports: AllowedPorts,
}

/// Ports that may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedPorts {
    Any,
    Listed(Vec<u16>),
}

/// The text is no list of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a list of at most {} ports like 80,443, or any", PORTS_MAX)]
pub struct InvalidPorts;

impl AddressPolicy {
    /// HTTPS to public addresses at the usual ports.
    pub fn public() -> Self {
        Self { plain_http: false, private_addresses: false, ports: AllowedPorts::default() }
    }

    /// Any address and port, with and without TLS.
    pub const fn development() -> Self {
        Self { plain_http: true, private_addresses: true, ports: AllowedPorts::Any }
    }

    /// Whether a connection to the address is allowed.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.private_addresses || is_public(address)
    }

    /// Whether a connection to the port is allowed.
    pub fn allows_port(&self, port: u16) -> bool {
        match &self.ports {
            AllowedPorts::Any => port != 0,
            AllowedPorts::Listed(ports) => ports.contains(&port),
        }
    }
}

impl Default for AllowedPorts {
    fn default() -> Self {
        Self::Listed(USUAL_PORTS.to_vec())
    }
}

impl FromStr for AllowedPorts {
    type Err = InvalidPorts;

    fn from_str(text: &str) -> Result<Self, InvalidPorts> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port != 0).ok_or(InvalidPorts);
        let ports = text.split(',').map(port).collect::<Result<Vec<u16>, _>>()?;
        if ports.len() <= PORTS_MAX { Ok(Self::Listed(ports)) } else { Err(InvalidPorts) }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressPolicy, AllowedPorts};

    #[test]
    fn ports_are_a_list_or_any() {
        assert_eq!("80, 8443".parse(), Ok(AllowedPorts::Listed(vec![80, 8443])));
        assert_eq!("any".parse(), Ok(AllowedPorts::Any));
        for text in ["", "0", "80,", "65536", "-1", "all", &"1,".repeat(40)] {
            assert!(text.parse::<AllowedPorts>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_development_reaches_other_ports_and_private_addresses() {
        let (public, development) = (AddressPolicy::public(), AddressPolicy::development());
        let private = "10.0.0.1".parse().unwrap();
        assert!(public.allows_port(443) && !public.allows_port(6379) && !public.allows_address(private));
        assert!(development.allows_port(6379) && !development.allows_port(0) && development.allows_address(private));
    }
}
