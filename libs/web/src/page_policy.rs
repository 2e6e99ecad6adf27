//! The Content-Security-Policy of an HTML page that a service makes of a template: it loads nothing and runs nothing. Must
//! not depend on what a page shows.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;

/// Of a page without a style.
const WITHOUT_STYLE: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; sandbox";

/// The policy of the pages of a template, given by its source. Browsers apply the template's `<style>` elements and no other
/// style, by their hashes. The elements must have no attributes and no expressions of the template.
pub fn page_policy(template: &str) -> HeaderValue {
    let styles: Vec<String> = styles(template).map(hash_source).collect();
    let without_style = HeaderValue::from_static(WITHOUT_STYLE);
    if styles.is_empty() {
        return without_style;
    }
    // A hash is of characters that a header may have.
    HeaderValue::try_from(format!("{WITHOUT_STYLE}; style-src {}", styles.join(" "))).unwrap_or(without_style)
}

/// The texts of the `<style>` elements.
fn styles(template: &str) -> impl Iterator<Item = &str> {
    template.split("<style>").skip(1).filter_map(|rest| rest.split_once("</style>")).map(|(style, _)| style)
}

/// The source expression that permits exactly this text.
fn hash_source(style: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::page_policy;

    #[test]
    fn a_policy_permits_the_styles_of_the_template_by_their_hashes_and_nothing_else() {
        // printf 'p { margin: 0; }' | openssl dgst -sha256 -binary | base64
        let hash = "ZMIWxFqsI8wXm9tNjoL6Cyi5nRfO7zhfynHh3P3TR9s=";
        let page = "<style>p { margin: 0; }</style><p>{{ text }}</p>";
        let policy = page_policy(page);
        let nothing = "default-src 'none'; base-uri 'none'; form-action 'none'; sandbox";
        assert_eq!(policy.to_str().unwrap(), format!("{nothing}; style-src 'sha256-{hash}'"));
        let two = page_policy(&format!("{page}<style>a {{}}</style>"));
        assert_eq!(two.to_str().unwrap().matches("'sha256-").count(), 2);
        for without in ["<p>text</p>", "<style>p { margin: 0; }", ""] {
            assert_eq!(page_policy(without).to_str().unwrap(), nothing, "{without}");
        }
    }
}
