//! Entity tags of products, and the version that a client expects.

use agora_web::{EntityTags, Problem};
use http::{HeaderMap, HeaderValue};

use crate::domain::{Expected, IfMatch, Listed};

/// The text of a product's entity tag, `<version>.<stock>` and what else distinguishes the representation: the response
/// contains the stock, which changes without a new version.
pub(crate) fn tag_text(listed: &Listed, choice: &str) -> String {
    format!("{}.{}{choice}", listed.product.version, listed.stock)
}

/// The `ETag` of a product as it is edited.
pub(crate) fn etag(listed: &Listed) -> HeaderValue {
    quoted(&tag_text(listed, ""))
}

/// An entity tag with this text.
pub(crate) fn quoted(text: &str) -> HeaderValue {
    // Letters, digits, signs, full stops and quotes are valid in a header value.
    HeaderValue::try_from(format!("\"{text}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Parses the expected version from `If-Match` and the body. A tag is `"<version>"` or a value of [`etag`], of which only
/// the version is compared: a change of stock does not make the version stale. Any other tag matches no version.
pub(crate) fn expected(headers: &HeaderMap, version: Option<i64>) -> Result<Expected, Problem> {
    let tags = EntityTags::if_match(headers)?;
    let if_match = tags.map(|tags| match tags.strong() {
        None => IfMatch::Any,
        Some(tags) => IfMatch::OneOf(tags.filter_map(version_of).collect()),
    });
    Ok(Expected { if_match, version })
}

/// The version of the tag `<version>` or `<version>.<stock>`.
fn version_of(tag: &str) -> Option<i64> {
    let (version, _stock) = tag.split_once('.').unwrap_or((tag, ""));
    version.parse().ok()
}
