//! Content-Security-Policy of responses: that of the gateway, which permits nothing, and beside it that of the service.
//!
//! Browsers enforce every policy that a response has, so that a service's policy can only restrict. Of an HTML page, the
//! gateway's policy also permits the styles that the service's names by their hashes: a hash permits one text, and no
//! script. Must not depend on routes.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Styles of a page that the gateway permits; the page is shown without further ones.
const STYLES_MAX: usize = 8;
/// What the name of a hash begins with.
const ALGORITHMS: [&str; 3] = ["sha256-", "sha384-", "sha512-"];

/// Sets the policy of the gateway on a response, and keeps those of the service.
pub(super) fn apply(headers: &mut HeaderMap) {
    let of_service: Vec<HeaderValue> = headers.get_all(CONTENT_SECURITY_POLICY).iter().cloned().collect();
    let styles = if is_html(headers) { style_hashes(&of_service) } else { Vec::new() };
    headers.insert(CONTENT_SECURITY_POLICY, with_styles(&styles));
    for policy in of_service {
        headers.append(CONTENT_SECURITY_POLICY, policy);
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
}

fn with_styles(styles: &[&str]) -> HeaderValue {
    let nothing = HeaderValue::from_static(NOTHING);
    if styles.is_empty() {
        return nothing;
    }
    HeaderValue::try_from(format!("{NOTHING}; style-src {}", styles.join(" "))).unwrap_or(nothing)
}

/// The hashes in the directives `style-src` of all policies.
fn style_hashes(policies: &[HeaderValue]) -> Vec<&str> {
    let policies = policies.iter().filter_map(|policy| policy.to_str().ok());
    // A comma separates policies in one header.
    let directives = policies.flat_map(|policy| policy.split([';', ',']));
    directives.flat_map(hashes_of_styles).take(STYLES_MAX).collect()
}

fn hashes_of_styles(directive: &str) -> impl Iterator<Item = &str> {
    let mut words = directive.split_ascii_whitespace();
    let is_of_styles = words.next().is_some_and(|name| name.eq_ignore_ascii_case("style-src"));
    words.filter(move |word| is_of_styles && is_hash(word))
}

/// Whether a source expression is a hash, such as `'sha256-ZMIW…='`.
fn is_hash(source: &str) -> bool {
    let quoted = source.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let digest = quoted.and_then(|hash| ALGORITHMS.iter().find_map(|algorithm| hash.strip_prefix(*algorithm)));
    digest.is_some_and(|digest| {
        !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{NOTHING, apply};

    fn policies(content_type: &'static str, of_service: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        for policy in of_service {
            headers.append("content-security-policy", HeaderValue::from_static(policy));
        }
        apply(&mut headers);
        let policies = headers.get_all("content-security-policy").iter();
        policies.map(|policy| policy.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn gw12_a_hash_of_a_style_is_the_only_thing_that_a_page_can_have() {
        let hash = "'sha256-ZMIWxFqsI8wXm9tNjoL6Cyi5nRfO7zhfynHh3P3TR9s='";
        let page = "default-src 'none'; style-src 'sha256-ZMIWxFqsI8wXm9tNjoL6Cyi5nRfO7zhfynHh3P3TR9s='";
        let permitted = format!("{NOTHING}; style-src {hash}");
        assert_eq!(policies("text/html; charset=utf-8", &[page]), [permitted.as_str(), page]);
        assert_eq!(
            policies("Text/HTML", &["img-src *, STYLE-SRC 'self' 'sha256-a='"])[0],
            format!("{NOTHING}; style-src 'sha256-a='")
        );
        for wide in [
            "default-src *; script-src 'unsafe-inline' 'sha256-a='; style-src 'unsafe-inline' 'unsafe-hashes' 'self' https:",
            "style-src-attr 'sha256-a='; script-src 'nonce-a'",
            "style-src 'sha256-' sha256-a= 'sha1-a=' 'sha256-a\"='",
            "default-src 'sha256-a='",
        ] {
            assert_eq!(policies("text/html", &[wide]), [NOTHING, wide], "{wide}");
        }
    }

    #[test]
    fn gw12_what_is_no_page_gets_no_style_and_keeps_what_its_service_restricts() {
        let policy = "style-src 'sha256-a='; sandbox";
        for kind in ["application/json", "application/problem+json", "image/svg+xml", "text/htmlx", "text/plain", ""] {
            assert_eq!(policies(kind, &[policy]), [NOTHING, policy], "{kind}");
        }
        assert_eq!(policies("text/html", &[]), [NOTHING]);
    }

    #[test]
    fn gw12_a_page_has_a_limited_number_of_styles() {
        let many = "style-src 'sha256-1' 'sha256-2' 'sha256-3' 'sha256-4' 'sha256-5' 'sha256-6' 'sha256-7' 'sha256-8' \
            'sha256-9'";
        let found = policies("text/html", &[many]);
        assert!(found[0].ends_with("'sha256-8'"), "{found:?}");
    }
}
