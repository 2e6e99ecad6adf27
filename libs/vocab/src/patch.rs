//! A member of a JSON merge patch (RFC 7396).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a patch does with an optional field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Absent: the field does not change.
    #[default]
    Keep,
    /// `null`: the field is removed.
    Remove,
    /// The field is set to this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field is absent.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The field after the patch, `now` being the field before it.
    pub fn applied(self, now: Option<T>) -> Option<T> {
        match self {
            Self::Keep => now,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The patch with another value.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Remove => Patch::Remove,
            Self::Set(value) => Patch::Set(turn(value)),
        }
    }

    /// The patch with another value; an error of `parse` is returned.
    pub fn parsed<U, E>(self, parse: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Remove => Patch::Remove,
            Self::Set(value) => Patch::Set(parse(value)?),
        })
    }
}

/// Requires `#[serde(skip_serializing_if = "Patch::is_keep")]` on the field, so that [`Patch::Keep`] becomes an absent
/// field.
impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Remove => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

/// Requires `#[serde(default)]` on the field, so that an absent field becomes [`Patch::Keep`].
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::Patch;

    #[derive(Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Change {
        #[serde(skip_serializing_if = "Patch::is_keep")]
        limit: Patch<i64>,
    }

    const ALL: [Patch<i64>; 3] = [Patch::Keep, Patch::Remove, Patch::Set(7)];

    #[test]
    fn an_absent_member_null_and_a_value_are_three_patches_and_are_written_as_they_were_read() {
        for (limit, text) in ALL.into_iter().zip(["{}", r#"{"limit":null}"#, r#"{"limit":7}"#]) {
            assert_eq!(serde_json::from_str::<Change>(text).unwrap(), Change { limit }, "{text}");
            assert_eq!(serde_json::to_string(&Change { limit }).unwrap(), text);
        }
        assert!(serde_json::from_str::<Change>(r#"{"limit":"7"}"#).is_err());
    }

    #[test]
    fn a_patch_keeps_removes_or_sets_a_field_whether_or_not_it_has_a_value() {
        assert_eq!(ALL.map(|patch| patch.applied(Some(3))), [Some(3), None, Some(7)]);
        assert_eq!(ALL.map(|patch| patch.applied(None)), [None, None, Some(7)]);
    }

    #[test]
    fn only_a_value_that_is_set_is_turned_or_parsed() {
        assert_eq!(
            ALL.map(|patch| patch.map(|n| n.to_string())),
            [Patch::Keep, Patch::Remove, Patch::Set("7".to_owned())]
        );
        let even = |n: i64| if n % 2 == 0 { Ok(n / 2) } else { Err("odd") };
        assert_eq!(ALL.map(|patch| patch.parsed(even)), [Ok(Patch::Keep), Ok(Patch::Remove), Err("odd")]);
        assert_eq!(Patch::Set(8).parsed(even), Ok(Patch::Set(4)));
    }
}
