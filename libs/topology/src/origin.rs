//! Origins that CORS may list: what the gateway accepts and the schema of the resource allows.

/// The pattern of the schema; accepts exactly what [`is_cors_origin`] accepts. Host names are in lower case, as browsers
/// send them; there is no wildcard.
pub const CORS_ORIGIN_PATTERN: &str =
    r"^https?://([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?$";

/// Most bytes of an origin.
pub const CORS_ORIGIN_BYTES_MAX: usize = 253;

/// Whether the text is an origin like `https://shop.example` or `http://localhost:8080`.
pub fn is_cors_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    text.len() <= CORS_ORIGIN_BYTES_MAX && is_host(host) && port.is_none_or(is_port)
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b':' | b'.'))
        }
        None => text.split('.').all(is_label),
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{CORS_ORIGIN_PATTERN, is_cors_origin};

    /// Whether each is an origin.
    const CASES: [(&str, bool); 29] = [
        ("https://shop.example", true),
        ("http://localhost:8080", true),
        ("http://localhost", true),
        ("https://192.0.2.7:443", true),
        ("https://[2001:db8::1]", true),
        ("https://[2001:db8::1]:8443", true),
        ("https://a-b.c-d.example:65535", true),
        ("https://xn--bcher-kva.example", true),
        ("https://*.example.com", false),
        ("*", false),
        ("null", false),
        ("", false),
        ("shop.example", false),
        ("ftp://shop.example", false),
        ("https://", false),
        ("https://shop.example/", false),
        ("https://shop.example/path", false),
        ("https://shop.example?q", false),
        ("https://a@shop.example", false),
        ("https://Shop.example", false),
        ("https://shop..example", false),
        ("https://-shop.example", false),
        ("https://shop-.example", false),
        ("https://shop.example:", false),
        ("https://shop.example:0", false),
        ("https://shop.example:123456", false),
        ("https://shop.example, https://b.example", false),
        ("https://[::1", false),
        ("https://shop.example\n", false),
    ];

    #[test]
    fn the_schema_accepts_exactly_the_origins_that_the_gateway_accepts() {
        let pattern = regex::Regex::new(CORS_ORIGIN_PATTERN).unwrap();
        for (text, expected) in CASES {
            assert_eq!((is_cors_origin(text), pattern.is_match(text)), (expected, expected), "{text:?}");
        }
        assert!(!is_cors_origin(&format!("https://{}", "a".repeat(250))));
    }
}
