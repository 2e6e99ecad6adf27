//! The limits as a file lists them: JSON, read again when it changes.

use std::num::NonZeroU32;

use agora_api::RouteClass;
use agora_topology::{RATE_LIMIT_BURST_MAX, RATE_LIMIT_CLASSES, RATE_LIMIT_PER_MINUTE_MAX, rate_limit_burst};
use serde::Deserialize;

/// What a limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum LimitKey {
    /// The address of the client; of IPv6 its network.
    Address,
    /// The account of the token.
    User,
}

/// How often each client may use the routes of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub class: RouteClass,
    pub key: LimitKey,
    pub per_minute: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireLimit {
    name: String,
    key: LimitKey,
    requests_per_minute: u32,
    burst: Option<u32>,
}

/// The limits of a file like `[{"name": "checkout", "key": "User", "requestsPerMinute": 60, "burst": 10}]`. The error names
/// the field and what would be acceptable.
pub fn parse(text: &str) -> Result<Vec<Limit>, String> {
    let wire: Vec<WireLimit> =
        serde_json::from_str(text).map_err(|error| format!("is not a list of limits: {error}"))?;
    let mut limits = Vec::with_capacity(wire.len());
    for (at, wire) in wire.into_iter().enumerate() {
        let limit = limit(&wire).map_err(|(field, acceptable)| format!("[{at}].{field} must be {acceptable}"))?;
        if limits.iter().any(|other: &Limit| (other.class, other.key) == (limit.class, limit.key)) {
            return Err(format!("[{at}] must not have the name and the key of another limit"));
        }
        limits.push(limit);
    }
    Ok(limits)
}

fn limit(wire: &WireLimit) -> Result<Limit, (&'static str, String)> {
    let within = |field, number: u32, max: u32| {
        let number = NonZeroU32::new(number).filter(|number| number.get() <= max);
        number.ok_or_else(|| (field, format!("from 1 to {max}")))
    };
    let class = RouteClass::limited(&wire.name);
    let per_minute = within("requestsPerMinute", wire.requests_per_minute, RATE_LIMIT_PER_MINUTE_MAX)?;
    let burst = wire.burst.unwrap_or_else(|| rate_limit_burst(per_minute.get()));
    Ok(Limit {
        class: class.ok_or_else(|| ("name", format!("one of {}", RATE_LIMIT_CLASSES.join(", "))))?,
        key: wire.key,
        per_minute,
        burst: within("burst", burst, RATE_LIMIT_BURST_MAX)?,
    })
}

#[cfg(test)]
mod tests {
    use agora_api::RouteClass;
    use agora_topology::RATE_LIMIT_CLASSES;

    use super::{LimitKey, parse};

    #[test]
    fn gw6_the_topology_names_exactly_the_classes_that_are_limited() {
        let mut limited = RouteClass::LIMITED.map(RouteClass::name);
        let mut named = RATE_LIMIT_CLASSES;
        limited.sort_unstable();
        named.sort_unstable();
        assert_eq!(limited, named);
    }

    #[test]
    fn gw6_a_limit_has_a_class_a_key_and_numbers() {
        let text = r#"[{"name": "checkout", "key": "User", "requestsPerMinute": 60},
                       {"name": "checkout", "key": "Address", "requestsPerMinute": 600, "burst": 5}]"#;
        let limits = parse(text).unwrap();
        let numbers = |limit: &super::Limit| (limit.class, limit.key, limit.per_minute.get(), limit.burst.get());
        assert_eq!(
            limits.iter().map(numbers).collect::<Vec<_>>(),
            [(RouteClass::Checkout, LimitKey::User, 60, 10), (RouteClass::Checkout, LimitKey::Address, 600, 5)]
        );
        assert_eq!(parse("[]"), Ok(Vec::new()));
    }

    #[test]
    fn gw6_an_error_names_the_field_and_what_would_be_acceptable() {
        let limit = |text: &str| parse(&format!("[{text}]")).unwrap_err();
        for (text, expected) in [
            (r#"{"name": "cash", "key": "User", "requestsPerMinute": 1}"#, "[0].name must be one of browsing, admin"),
            (r#"{"name": "exempt", "key": "User", "requestsPerMinute": 1}"#, "[0].name must be one of"),
            (r#"{"name": "cart", "key": "User", "requestsPerMinute": 0}"#, "[0].requestsPerMinute must be from 1 to"),
            (
                r#"{"name": "cart", "key": "User", "requestsPerMinute": 1, "burst": 0}"#,
                "[0].burst must be from 1 to 100000",
            ),
            (r#"{"name": "cart", "key": "User"}"#, "is not a list of limits: missing field `requestsPerMinute`"),
            (r#"{"name": "cart", "key": "Name", "requestsPerMinute": 1}"#, "is not a list of limits: unknown variant"),
            (
                r#"{"name": "cart", "key": "User", "requestsPerMinute": 1}, {"name": "cart", "key": "User", "requestsPerMinute": 2}"#,
                "[1] must not have the name and the key of another limit",
            ),
        ] {
            let said = limit(text);
            assert!(said.starts_with(expected), "{said}");
        }
        assert!(parse("").is_err());
    }
}
