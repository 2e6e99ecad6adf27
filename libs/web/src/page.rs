//! Which page of a list is asked for: `limit`, and `cursor` or `offset`. Knows the bounds; what a cursor holds is the
//! list's own matter.

use agora_api::CursorQuery;
use agora_vocab::PageSize;
use axum::http::StatusCode;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::problem::Problem;

/// Largest offset: beyond it the database would read and drop more than it returns. Cursors have no end.
const OFFSET_MAX: u64 = 10_000;

/// Longest cursor, in bytes.
const CURSOR_BYTES_MAX: usize = 1024;

/// The part of a query that asks for a page. As text, because a flattened query struct is given text alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many items, 1 to 100; 20 if absent.
    #[serde(default)]
    pub limit: Option<String>,
    /// `nextCursor` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How many items to pass over, at most 10 000.
    #[serde(default)]
    pub offset: Option<String>,
}

/// Where a page of a list starts that is sorted by a text of each item, such as a name or a code: after this text, empty at
/// the list's beginning. With the page's size. Errors are those of [`PageQuery::parse`] and [`decode_cursor`].
pub fn page_after(query: CursorQuery) -> Result<(String, PageSize), Problem> {
    let CursorQuery { limit, cursor } = query;
    let page = PageQuery { limit, cursor, offset: None }.parse()?;
    let after = match page.start {
        Start::Cursor(cursor) => decode_cursor(&cursor)?,
        Start::First | Start::Offset(_) => String::new(),
    };
    Ok((after, page.size))
}

/// A page as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items.
    pub size: PageSize,
    pub start: Start,
}

/// Where a page starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the list's beginning.
    First,
    /// After what the cursor names; see [`decode_cursor`].
    Cursor(String),
    /// After this many items.
    Offset(u64),
}

impl PageQuery {
    /// 400 for what is no number, 422 for a number out of bounds or a cursor beside an offset.
    pub fn parse(&self) -> Result<PageRequest, Problem> {
        let size = match &self.limit {
            None => PageSize::DEFAULT,
            Some(limit) => PageSize::parse(number("limit", limit)?)?,
        };
        let start = match (&self.cursor, &self.offset) {
            (None, None) => Start::First,
            (Some(cursor), None) => Start::Cursor(cursor.clone()),
            (None, Some(offset)) => Start::Offset(within(number("offset", offset)?)?),
            (Some(_), Some(_)) => return Err(Problem::unprocessable().field("offset", "cannot stand beside cursor")),
        };
        Ok(PageRequest { size, start })
    }
}

fn number(field: &str, text: &str) -> Result<i64, Problem> {
    text.parse()
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field(field, "must be a whole number"))
}

fn within(offset: i64) -> Result<u64, Problem> {
    u64::try_from(offset)
        .ok()
        .filter(|offset| *offset <= OFFSET_MAX)
        .ok_or_else(|| Problem::unprocessable().field("offset", "must be from 0 to 10000; use cursor to read further"))
}

/// The opaque text of a place in a list.
pub fn encode_cursor<T: Serialize>(place: &T) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// The place that a cursor names; 400 for a text that [`encode_cursor`] did not make.
pub fn decode_cursor<T: DeserializeOwned>(cursor: &str) -> Result<T, Problem> {
    let read = || {
        let short = cursor.len() <= CURSOR_BYTES_MAX;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok().filter(|_| short)?;
        serde_json::from_slice(&bytes).ok()
    };
    read().ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field("cursor", "must be nextCursor of another page")
    })
}

#[cfg(test)]
mod tests {
    use agora_vocab::PageSize;

    use super::{PageQuery, PageRequest, Start, decode_cursor, encode_cursor};

    fn query(limit: Option<&str>, cursor: Option<&str>, offset: Option<&str>) -> PageQuery {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        PageQuery { limit: owned(limit), cursor: owned(cursor), offset: owned(offset) }
    }

    #[test]
    fn without_parameters_it_is_the_first_page_of_twenty() {
        let expected = PageRequest { size: PageSize::DEFAULT, start: Start::First };
        assert_eq!(PageQuery::default().parse().unwrap(), expected);
    }

    #[test]
    fn every_refusal_has_its_status_and_field() {
        let cases = [
            (query(Some("ten"), None, None), 400, "limit"),
            (query(Some("0"), None, None), 422, "limit"),
            (query(Some("-1"), None, None), 422, "limit"),
            (query(Some("101"), None, None), 422, "limit"),
            (query(Some("99999999999999999999"), None, None), 400, "limit"),
            (query(None, None, Some("x")), 400, "offset"),
            (query(None, None, Some("-1")), 422, "offset"),
            (query(None, None, Some("10001")), 422, "offset"),
            (query(None, Some("c"), Some("1")), 422, "offset"),
        ];
        for (query, status, field) in cases {
            let wire = query.parse().unwrap_err().to_wire();
            assert_eq!((wire.status, wire.details[0].field.as_str()), (status, field), "{query:?}");
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_any_other_text_is_refused() {
        let cursor = encode_cursor(&(7, "name"));
        assert_eq!(decode_cursor::<(i64, String)>(&cursor).unwrap(), (7, "name".to_owned()));
        for text in ["", "%%%", "bm9uZQ", &"A".repeat(2000)] {
            assert_eq!(decode_cursor::<(i64, String)>(text).unwrap_err().status(), 400, "{text}");
        }
    }
}
