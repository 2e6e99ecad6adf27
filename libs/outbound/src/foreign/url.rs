//! URLs that others name. Pure: whether a name leads to an allowed address is decided when a connection is opened.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::Uri;

use super::policy::AddressPolicy;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Longest name of a host and longest label in it (RFC 1035).
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A URL to which requests may be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignUrl(Uri);

/// Why a URL is not acceptable, with the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("must be a URL of at most {} visible ASCII characters, like https://example.com/webhooks", URL_BYTES_MAX)]
    Malformed,
    #[error("must begin with https://")]
    Scheme,
    #[error("must have no user name and no password: deliveries are signed instead")]
    UserInfo,
    #[error("must have no fragment (#…)")]
    Fragment,
    #[error("must have an allowed port: 443 or 80, unless the settings of the service say otherwise")]
    Port,
    #[error("must have a host name like example.com, international names in their ASCII form (xn--…)")]
    Host,
    #[error("must write an IPv4 address as four decimal numbers")]
    AddressForm,
    #[error("must not be an address of a private network")]
    PrivateAddress,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    Name(String),
}

impl ForeignUrl {
    /// Parses the URL of a client.
    pub fn parse(text: &str, policy: &AddressPolicy) -> Result<Self, UrlFault> {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('\\') {
            return Err(UrlFault::Malformed);
        }
        if text.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| UrlFault::Malformed)?;
        let authority = uri.authority().ok_or(UrlFault::Malformed)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if scheme != "https" && !(scheme == "http" && policy.plain_http) {
            return Err(UrlFault::Scheme);
        }
        if authority.as_str().contains('@') {
            return Err(UrlFault::UserInfo);
        }
        let port = port(&uri).ok_or(UrlFault::Port)?;
        if !policy.allows_port(port) {
            return Err(UrlFault::Port);
        }
        match host(&uri)? {
            Host::Address(address) if !policy.allows_address(address) => Err(UrlFault::PrivateAddress),
            Host::Address(_) | Host::Name(_) => Ok(Self(uri)),
        }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }
}

/// The port of a URL, given or that of its scheme. None if it is no port.
pub(super) fn port(uri: &Uri) -> Option<u16> {
    let authority = uri.authority()?.as_str();
    let given = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map(|(_, port)| port);
    match given {
        Some(port) => port.parse().ok(),
        None if uri.scheme_str() == Some("https") => Some(443),
        None => Some(80),
    }
}

/// The host of a URL. Numbers that some resolvers read as an IPv4 address (`2130706433`, `0x7f.1`, `017700000001`) are
/// refused.
pub(super) fn host(uri: &Uri) -> Result<Host, UrlFault> {
    let text = uri.host().ok_or(UrlFault::Host)?;
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().map(|address| Host::Address(address.into())).map_err(|_| UrlFault::Host);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        let address = text.parse::<Ipv4Addr>();
        return address.map(|address| Host::Address(address.into())).map_err(|_| UrlFault::AddressForm);
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) {
        Ok(Host::Name(text.to_owned()))
    } else {
        Err(UrlFault::Host)
    }
}

/// Whether the last label of a host is a number, decimal, octal or hexadecimal: the host is an address then (URL Standard,
/// "ends in a number").
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|digit| digit.is_ascii_digit()),
    }
}

/// The host alone: path and query may contain a secret of the receiver.
impl fmt::Debug for ForeignUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForeignUrl({})", self.0.host().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressPolicy, ForeignUrl, UrlFault};

    #[test]
    fn a_url_of_the_public_web_is_accepted() {
        for text in [
            "https://example.com",
            "https://example.com:443/a/b?c=d",
            "HTTPS://Example.COM./hook",
            "https://xn--bcher-kva.example/",
            "https://8.8.8.8/",
            "https://[2606:4700:4700::1111]/hook",
            "https://[64:ff9b::8.8.8.8]:80/",
            "https://1e100.example1/",
        ] {
            assert!(ForeignUrl::parse(text, &AddressPolicy::public()).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_url_that_could_reach_the_network_of_the_shop_is_refused_with_the_remedy() {
        let long = format!("https://example.com/{}", "a".repeat(2_048));
        for (text, fault) in [
            ("", UrlFault::Malformed),
            ("example.com/hook", UrlFault::Malformed),
            ("/hook", UrlFault::Malformed),
            ("https://", UrlFault::Malformed),
            ("https://exa mple.com", UrlFault::Malformed),
            ("https://bücher.example", UrlFault::Malformed),
            ("https://example.com\\@10.0.0.1/", UrlFault::Malformed),
            (&long, UrlFault::Malformed),
            ("http://example.com", UrlFault::Scheme),
            ("ftp://example.com", UrlFault::Scheme),
            ("gopher://example.com:70/", UrlFault::Scheme),
            ("https://user@example.com", UrlFault::UserInfo),
            ("https://user:password@example.com", UrlFault::UserInfo),
            ("https://example.com@10.0.0.1", UrlFault::UserInfo),
            ("https://example.com/#@10.0.0.1", UrlFault::Fragment),
            ("https://example.com:8443", UrlFault::Port),
            ("https://example.com:6379", UrlFault::Port),
            ("https://example.com:0", UrlFault::Port),
            ("https://127.0.0.1", UrlFault::PrivateAddress),
            ("https://10.0.0.1:443", UrlFault::PrivateAddress),
            ("https://169.254.169.254/latest/meta-data", UrlFault::PrivateAddress),
            ("https://[::1]/", UrlFault::PrivateAddress),
            ("https://[::ffff:127.0.0.1]/", UrlFault::PrivateAddress),
            ("https://[::ffff:7f00:1]/", UrlFault::PrivateAddress),
            ("https://[fd00::1]/", UrlFault::PrivateAddress),
            ("https://[64:ff9b::a00:1]/", UrlFault::PrivateAddress),
            ("https://2130706433/", UrlFault::AddressForm),
            ("https://0x7f000001/", UrlFault::AddressForm),
            ("https://017700000001/", UrlFault::AddressForm),
            ("https://127.1/", UrlFault::AddressForm),
            ("https://0177.0.0.1/", UrlFault::AddressForm),
            ("https://0x7f.0.0.1/", UrlFault::AddressForm),
            ("https://127.0.0.0x1/", UrlFault::AddressForm),
            ("https://127.0.0.1./", UrlFault::AddressForm),
            ("https://exam..ple/", UrlFault::Host),
            ("https://a%31.example/", UrlFault::Host),
        ] {
            let refused = ForeignUrl::parse(text, &AddressPolicy::public());
            // What does not parse at all may be refused as malformed instead.
            assert!(refused == Err(fault) || refused == Err(UrlFault::Malformed), "{text}: {refused:?}");
        }
    }

    #[test]
    fn development_may_reach_a_receiver_on_this_machine() {
        let policy = AddressPolicy::development();
        assert!(ForeignUrl::parse("http://127.0.0.1:4000/hook", &policy).is_ok());
        assert!(ForeignUrl::parse("http://localhost:4000/hook", &policy).is_ok());
        assert_eq!(ForeignUrl::parse("http://a@localhost", &policy), Err(UrlFault::UserInfo));
        assert_eq!(ForeignUrl::parse("http://2130706433/", &policy), Err(UrlFault::AddressForm));
    }

    #[test]
    fn printing_a_url_shows_no_path() {
        let url = ForeignUrl::parse("https://example.com/hook?token=hunter2", &AddressPolicy::public()).unwrap();
        assert_eq!(format!("{url:?}"), "ForeignUrl(example.com)");
    }
}
