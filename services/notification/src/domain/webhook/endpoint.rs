//! Endpoints: where merchants receive events, and which ones.

use agora_vocab::Invalid;
use time::OffsetDateTime;
use uuid::Uuid;

use super::public::EVENT_TYPES;
use crate::domain::kinds::names;

/// Endpoints of a shop at most.
pub const ENDPOINTS_MAX: i64 = 50;
/// Valid secrets of an endpoint at most: the current one and those that were replaced in the last 24 hours.
pub const SECRETS_MAX: i64 = 5;
/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 200;
/// Stands for all types of events.
const ALL: &str = "*";

names! {
    /// Why the service disabled an endpoint.
    DisableReason of "disabledReason" {
        /// It answered 410: the receiver wants no more.
        Gone = "gone",
        /// No delivery succeeded for 120 hours.
        Failing = "failing",
    }
}

/// Which types of events an endpoint receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTypes {
    All,
    /// At least one, each once, in the order of [`EVENT_TYPES`].
    Listed(Vec<String>),
}

/// An endpoint as admins see it: without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: Uuid,
    pub url: String,
    pub description: String,
    pub event_types: EventTypes,
    /// Whether it receives events.
    pub active: bool,
    /// Set if the service made it inactive.
    pub disabled: Option<Disabled>,
    /// Since when no delivery has succeeded; none after a success.
    pub failing_since: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// The end that the service put to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disabled {
    pub reason: DisableReason,
    pub at: OffsetDateTime,
}

/// An endpoint to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEndpoint {
    pub id: Uuid,
    pub url: String,
    pub description: String,
    pub event_types: EventTypes,
    pub active: bool,
}

/// What changes about an endpoint; `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointChange {
    pub url: Option<String>,
    pub description: Option<String>,
    pub event_types: Option<EventTypes>,
    /// `true` also ends a disabling by the service.
    pub active: Option<bool>,
}

impl EventTypes {
    /// Parses the types of a client: names, or `*` alone for all.
    pub fn parse(texts: &[String]) -> Result<Self, Invalid> {
        if texts == [ALL] {
            return Ok(Self::All);
        }
        let known = |text: &String| EVENT_TYPES.contains(&text.as_str());
        if texts.is_empty() || !texts.iter().all(known) {
            let all = EVENT_TYPES.join(" ");
            return Err(Invalid::new("eventTypes", format!("must be [\"*\"] or a list of at least one of {all}")));
        }
        let listed = EVENT_TYPES.iter().filter(|kind| texts.iter().any(|text| text == *kind));
        Ok(Self::Listed(listed.map(|kind| (*kind).to_owned()).collect()))
    }

    /// The types as they are stored: none for all.
    pub fn stored(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Listed(kinds) => Some(kinds),
        }
    }

    /// The types as a client writes them.
    pub fn texts(self) -> Vec<String> {
        match self {
            Self::All => vec![ALL.to_owned()],
            Self::Listed(kinds) => kinds,
        }
    }
}

impl From<Option<Vec<String>>> for EventTypes {
    fn from(stored: Option<Vec<String>>) -> Self {
        stored.map_or(Self::All, Self::Listed)
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, EventTypes};

    fn parse(texts: &[&str]) -> Result<EventTypes, agora_vocab::Invalid> {
        EventTypes::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn types_are_known_names_each_once_or_all() {
        assert_eq!(parse(&[ALL]), Ok(EventTypes::All));
        let listed = parse(&["order.paid", "order.placed", "order.paid"]).unwrap();
        assert_eq!(listed.clone().texts(), ["order.placed", "order.paid"]);
        assert_eq!(EventTypes::from(listed.stored().map(<[String]>::to_vec)), listed);
        for texts in [&[][..], &["order.teleported"], &[ALL, "order.paid"], &["order.paid", ""]] {
            let refused = parse(texts).unwrap_err();
            assert!(refused.field == "eventTypes" && refused.message.contains("order.paid"), "{texts:?}");
        }
    }
}
