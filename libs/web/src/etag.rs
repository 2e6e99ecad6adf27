//! Entity tags (RFC 9110, 8.8.3 and 13.1): `ETag` in responses, the lists of `If-Match` and `If-None-Match` in requests.
//! Whether a version is stale is for the store to decide.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// Most tags of one header that are read.
const TAGS_MAX: usize = 64;

/// The entity tag of a version: `"3"`.
pub fn etag(version: i64) -> HeaderValue {
    // Digits, a sign and quotes are always a header value.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// The tags that a conditional request lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: whatever the tag is.
    Any,
    /// At least one.
    List(Vec<EntityTag>),
}

/// One tag, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// Whether it began with `W/`.
    pub weak: bool,
    /// The text between the quotes.
    pub opaque: String,
}

impl EntityTags {
    /// The header `If-Match`; `None` if it is absent, 400 if it is no list of entity tags.
    pub fn if_match(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        Self::read(headers, &header::IF_MATCH).map_err(|Malformed| {
            Problem::new(StatusCode::BAD_REQUEST, "INVALID_IF_MATCH").detail("send the ETag that you saw last, or *")
        })
    }

    /// Whether `If-None-Match` lists the tag with this text between its quotes, by the weak comparison. A header that is no
    /// list of entity tags counts as absent: the client then gets the whole representation.
    pub fn none_match_lists(headers: &HeaderMap, opaque: &str) -> bool {
        match Self::read(headers, &header::IF_NONE_MATCH) {
            Ok(Some(Self::Any)) => true,
            Ok(Some(Self::List(tags))) => tags.iter().any(|tag| tag.opaque == opaque),
            Ok(None) | Err(Malformed) => false,
        }
    }

    /// The tags that the strong comparison can match: `If-Match` never matches a weak one. `None` for `*`.
    pub fn strong(&self) -> Option<impl Iterator<Item = &str>> {
        match self {
            Self::Any => None,
            Self::List(tags) => Some(tags.iter().filter(|tag| !tag.weak).map(|tag| tag.opaque.as_str())),
        }
    }

    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Malformed> {
        let (mut tags, mut any) = (Vec::new(), false);
        for line in headers.get_all(name) {
            let line = line.to_str().map_err(|_| Malformed)?.trim();
            if line == "*" {
                any = true;
            } else {
                list(line, &mut tags)?;
            }
        }
        match (any, tags.is_empty()) {
            (true, true) => Ok(Some(Self::Any)),
            (true, false) => Err(Malformed),
            (false, false) => Ok(Some(Self::List(tags))),
            (false, true) if headers.contains_key(name) => Err(Malformed),
            (false, true) => Ok(None),
        }
    }
}

/// The header is no list of entity tags.
struct Malformed;

/// Adds the tags of `W/"a", "b"`. A comma may stand inside the quotes; empty elements are skipped (RFC 9110, 5.6.1).
fn list(mut rest: &str, tags: &mut Vec<EntityTag>) -> Result<(), Malformed> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(());
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (opaque, after) = quoted.strip_prefix('"').and_then(|text| text.split_once('"')).ok_or(Malformed)?;
        let after = after.trim_start_matches([' ', '\t']);
        let well_formed = opaque.bytes().all(|byte| byte > b' ' && byte != 0x7f) && tags.len() < TAGS_MAX;
        if !well_formed || !(after.is_empty() || after.starts_with(',')) {
            return Err(Malformed);
        }
        tags.push(EntityTag { weak, opaque: opaque.to_owned() });
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::EntityTags;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
    }

    fn strong(lines: &[&str]) -> Option<Vec<String>> {
        let tags = EntityTags::if_match(&headers(&header::IF_MATCH, lines)).unwrap().unwrap();
        tags.strong().map(|tags| tags.map(ToOwned::to_owned).collect())
    }

    #[test]
    fn lists_weak_tags_and_several_lines_are_read() {
        assert_eq!(strong(&["*"]), None);
        assert_eq!(strong(&["\"1.43\""]), Some(vec!["1.43".to_owned()]));
        assert_eq!(strong(&["W/\"1.43\""]), Some(vec![]), "a weak tag never matches If-Match");
        assert_eq!(strong(&["\"1.43\" , W/\"2\",,\"a,b\"", "\"x\""]).unwrap(), ["1.43", "a,b", "x"]);
        assert_eq!(EntityTags::if_match(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn what_is_no_list_of_tags_is_400() {
        let long = "\"x\",".repeat(65);
        for line in ["", "3", "\"3", "w/\"3\"", "\"3\" \"4\"", "*, \"3\"", "\"a b\"", &long] {
            let refused = EntityTags::if_match(&headers(&header::IF_MATCH, &[line])).unwrap_err();
            assert_eq!((refused.status().as_u16(), refused.code()), (400, "INVALID_IF_MATCH"), "{line}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly_and_ignores_what_it_cannot_read() {
        let lists = |line: &str| EntityTags::none_match_lists(&headers(&header::IF_NONE_MATCH, &[line]), "1.43");
        assert!(lists("*") && lists("\"1.43\"") && lists("\"x\", W/\"1.43\""));
        assert!(!lists("\"1.4\"") && !lists("1.43") && !lists(""));
        assert!(!EntityTags::none_match_lists(&HeaderMap::new(), "1.43"));
    }
}
