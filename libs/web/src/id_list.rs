//! The query parameter `ids` of a list: exactly these items. Knows no kind of item.

use std::{collections::BTreeSet, str::FromStr};

use axum::http::StatusCode;

use crate::problem::Problem;

/// Most ids in one request.
const IDS_MAX: usize = 100;

/// Reads ids with commas between, each once, in their order. `alone`: whether the request has no parameter that chooses items
/// in another way. 400 for what is no list of ids, 422 for too many.
pub fn parse_ids<T: FromStr + Copy + Ord>(text: &str, alone: bool) -> Result<Vec<T>, Problem> {
    let invalid = |message: &str| Problem::new(StatusCode::BAD_REQUEST, "INVALID_QUERY").field("ids", message);
    if !alone {
        return Err(invalid("must not be combined with parameters that choose a page"));
    }
    let ids: Result<Vec<T>, _> = text.split(',').map(str::parse).collect();
    let mut ids = ids.map_err(|_| invalid("must be UUIDs with commas between"))?;
    if ids.len() > IDS_MAX {
        return Err(Problem::unprocessable().field("ids", format!("must be at most {IDS_MAX} ids")));
    }
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{IDS_MAX, parse_ids};

    fn status(text: &str, alone: bool) -> u16 {
        parse_ids::<Uuid>(text, alone).map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn ids_are_read_in_their_order_and_each_once() {
        let [one, two] = [1, 2].map(Uuid::from_u128);
        assert_eq!(parse_ids(&format!("{two},{one},{two}"), true).unwrap(), [two, one]);
    }

    #[test]
    fn what_is_no_list_of_ids_is_refused() {
        let many = |count: u128| (0..count).map(|n| Uuid::from_u128(n).to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(status(&many(IDS_MAX as u128), true), 200);
        assert_eq!(status(&many(IDS_MAX as u128 + 1), true), 422);
        for text in ["", "7", "7,", ",", "00000000-0000-0000-0000-000000000001 "] {
            assert_eq!(status(text, true), 400, "{text}");
        }
        assert_eq!(status("00000000-0000-0000-0000-000000000001", false), 400);
    }
}
